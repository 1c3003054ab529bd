"""A name is a name: renaming every service and base changes nothing but names in what is generated."""

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.fleets import pinned, plan_of
from tests.unit.lock.test_model import digests

from slimbake.config.model import (
    BaseEntry,
    LocalPackage,
    Manifest,
    Requirements,
    ServiceEntry,
    WeightsEntry,
)
from slimbake.fleet import Fleet, resolve
from slimbake.lock.locks import Locks
from slimbake.lock.model import locked_scopes
from slimbake.lock.text import lock_text
from slimbake.render.generated import laid_out

COMMON, AUTH = LocalPackage("common", "libs/common"), LocalPackage("auth", "libs/auth")
PROJECTS = {"libs/common": "[project]", "libs/auth": "[project]"}

requirements = st.builds(
    Requirements,
    specs=st.lists(st.sampled_from(["torch", "numpy>=2", "httpx"]), unique=True).map(tuple),
    packages=st.lists(st.sampled_from([COMMON, AUTH]), unique=True).map(tuple),
)
in_folders = (WeightsEntry("path", each) for each in ("shared/model", "own"))
weights = st.sampled_from([None, WeightsEntry("package", "model"), *in_folders])


@st.composite
def fleets(draw: st.DrawFn) -> Manifest:
    """Fleets whose bases are called b0q, b1q ... and whose services s0q, s1q ...: words that stand
    nowhere else.
    """
    bases: list[BaseEntry] = []
    for number in range(draw(st.integers(0, 4))):
        parents = st.sampled_from([None, *(base.name for base in bases)])
        system = draw(st.sampled_from([(), ("libpq5",)]))
        bases.append(BaseEntry(f"b{number}q", draw(parents), draw(requirements), system))
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


def locks(fleet: Fleet) -> Locks:
    """Locks that have what each scope asks for, torch as a layer of its own."""
    texts = {}
    for scope in locked_scopes(fleet):
        names = [spec.partition(">")[0] for spec in scope.asks.specs]
        pins = [pinned(name, size=10_000_000 if name == "torch" else 1_000) for name in names]
        texts[f"{scope.lock}.txt"] = lock_text(pins)
    return Locks(texts)


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub("|".join(names), lambda match: names[match[0]], text)


def with_names(manifest: Manifest, names: dict[str, str]) -> Manifest:
    bases = (
        replace(b, name=names[b.name], extends=names.get(b.extends or "")) for b in manifest.bases
    )
    services = (
        replace(s, name=names[s.name], base=names.get(s.base or "")) for s in manifest.services
    )
    return replace(manifest, bases=tuple(bases), services=tuple(services))


def names_for(manifest: Manifest, shuffled: list[int]) -> dict[str, str]:
    old = [*(base.name for base in manifest.bases), *(each.name for each in manifest.services)]
    # Of other lengths, and in another alphabetical order.
    new = (f"x{number}{'-long' * (number % 3)}" for number in shuffled)
    return dict(zip(old, new, strict=False))


@settings(max_examples=15)
@given(manifest=fleets(), shuffled=st.permutations(range(10, 20)))
def test_renaming_changes_names_in_files_alone(manifest: Manifest, shuffled: list[int]) -> None:
    names = names_for(manifest, shuffled)

    def files(of: Manifest) -> dict[str, str]:
        fleet = resolve(of)
        decided = plan_of(fleet, locks(fleet))
        return {f.path: f.text for f in laid_out(decided, Path("/nowhere"))}

    before = {renamed(path, names): renamed(text, names) for path, text in files(manifest).items()}
    after = files(with_names(manifest, names))
    assert sorted(before) == sorted(after)
    assert before == after


@given(manifest=fleets(), shuffled=st.permutations(range(10, 20)))
def test_renaming_changes_only_names_in_questions(manifest: Manifest, shuffled: list[int]) -> None:
    names = names_for(manifest, shuffled)

    found = digests(resolve(manifest), projects=PROJECTS)
    before = {renamed(name, names): digest for name, digest in found.items()}
    assert before == digests(resolve(with_names(manifest, names)), projects=PROJECTS)
