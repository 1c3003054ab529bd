"""A name is a name: renaming every service and base changes nothing but names in what is generated."""

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from slimbake.config.model import (
    BaseEntry,
    LocalPackage,
    Manifest,
    Requirements,
    ServiceEntry,
    WeightsEntry,
)
from slimbake.fleet import resolve
from slimbake.lock.model import locked_layers, question, settled
from slimbake.plan import plan
from slimbake.render.generated import generate

COMMON, AUTH = LocalPackage("common", "libs/common"), LocalPackage("auth", "libs/auth")
PROJECTS = {"libs/common": "[project]", "libs/auth": "[project]"}

requirements = st.builds(
    Requirements,
    specs=st.lists(st.sampled_from(["torch", "numpy>=2", "httpx"]), unique=True).map(tuple),
    packages=st.lists(st.sampled_from([COMMON, AUTH]), unique=True).map(tuple),
)
weights = st.sampled_from(
    [
        None,
        WeightsEntry("package", "model"),
        WeightsEntry("path", "shared/model"),
        WeightsEntry("path", "own"),
    ]
)


@st.composite
def fleets(draw: st.DrawFn) -> Manifest:
    """Fleets whose bases are called b0q, b1q ... and whose services s0q, s1q ...: words that stand
    nowhere else.
    """
    bases: list[BaseEntry] = []
    for number in range(draw(st.integers(0, 4))):
        parents = st.sampled_from([None, *(base.name for base in bases)])
        bases.append(
            BaseEntry(
                f"b{number}q",
                draw(parents),
                draw(requirements),
                draw(st.sampled_from([(), ("libpq5",)])),
            )
        )
    services = tuple(
        ServiceEntry(
            name=f"s{number}q",
            context=f"code/{number}",
            base=draw(st.sampled_from([None, *(base.name for base in bases)])),
            requirements=draw(requirements),
            command=("python", "-m", "app"),
            port=draw(st.sampled_from([None, 8000 + number])),
            weights=draw(weights),
            smoke=draw(st.sampled_from([None, "smoke.py"])),
        )
        for number in range(draw(st.integers(1, 5)))
    )
    return Manifest(
        file=Path("/repo/services.yaml"),
        project="p",
        python="3.11",
        bases=tuple(bases),
        services=services,
    )


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub("|".join(names), lambda match: names[match[0]], text)


def with_names(manifest: Manifest, names: dict[str, str]) -> Manifest:
    return replace(
        manifest,
        bases=tuple(
            replace(b, name=names[b.name], extends=names[b.extends] if b.extends else None)
            for b in manifest.bases
        ),
        services=tuple(
            replace(s, name=names[s.name], base=names[s.base] if s.base else None)
            for s in manifest.services
        ),
    )


def names_for(manifest: Manifest, shuffled: list[int]) -> dict[str, str]:
    old = [
        *(base.name for base in manifest.bases),
        *(service.name for service in manifest.services),
    ]
    # Of other lengths, and in another alphabetical order.
    return {
        name: f"x{number}{'-long' * (number % 3)}"
        for name, number in zip(old, shuffled, strict=False)
    }


@settings(max_examples=15)
@given(manifest=fleets(), shuffled=st.permutations(range(10, 20)))
def test_renaming_changes_names_in_files_alone(manifest: Manifest, shuffled: list[int]) -> None:
    names = names_for(manifest, shuffled)

    def files(of: Manifest) -> dict[str, str]:
        return {f.path: f.text for f in generate(plan(resolve(of)), Path("/nowhere"))}

    before = {renamed(path, names): renamed(text, names) for path, text in files(manifest).items()}
    after = files(with_names(manifest, names))
    assert sorted(before) == sorted(after)
    assert before == after


@given(manifest=fleets(), shuffled=st.permutations(range(10, 20)))
def test_renaming_changes_only_names_in_questions(manifest: Manifest, shuffled: list[int]) -> None:
    names = names_for(manifest, shuffled)

    def digests(of: Manifest) -> dict[str, str]:
        found: dict[str, str] = {}
        for layer in locked_layers(resolve(of)):
            below = [found[each.name] for each in settled(layer)]
            found[layer.name] = question(layer, "3.11", PROJECTS, below)
        return found

    before = {renamed(name, names): digest for name, digest in digests(manifest).items()}
    assert before == digests(with_names(manifest, names))
