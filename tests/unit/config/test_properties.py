"""What holds for every manifest, whoever wrote it."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement

from slimbake.config import MANIFEST_SCHEMA, manifest
from slimbake.config.model import Manifest, Pairs, ServiceEntry
from slimbake.config.report import RefusedError
from slimbake.config.specs import lockable
from slimbake.errors import ManifestError

FOLDER = Path(__file__).parents[2] / "fixtures/manifests/sound"
SOUND = (FOLDER / "services.yaml").read_text("utf-8")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(FOLDER, tmp_path_factory.mktemp("fleet") / "sound")


many = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def outcome(fleet: Path, data: bytes) -> Manifest | None:
    """The manifest, or None when it is refused as it should be; anything else that is raised is a
    bug.
    """
    path = fleet / "services.yaml"
    path.write_bytes(data)
    try:
        return manifest(path)
    except ManifestError as error:
        assert error.problems
        assert all("\n" not in each.message for each in error.problems)
        return None


@many
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_are_refused_in_words(fleet: Path, data: bytes) -> None:
    assert outcome(fleet, data) is None


@many
@given(
    st.integers(0, len(SOUND)),
    st.integers(0, 20),
    st.text(":{}[]&*!|>'\"#%@`-?,\n\t \0é/~", max_size=4),
)
def test_a_manifest_with_a_slip_ends_in_words(fleet: Path, at: int, cut: int, slip: str) -> None:
    outcome(fleet, (SOUND[:at] + slip + SOUND[at + cut :]).encode("utf-8", "surrogatepass"))


def keys() -> list[str]:
    found: set[str] = set()

    def collect(schema: Any) -> None:
        if isinstance(schema, dict):
            found.update(schema.get("properties", {}))
            for each in schema.values():
                collect(each)

    collect(json.loads(MANIFEST_SCHEMA.read_text("utf-8")))
    return sorted(found)


words = st.sampled_from(
    [
        *("api", "web", "ml", ".", "api/smoke.py", "target:api", "cpu", "3.11", "", "-r x", "1GB"),
        *keys(),
    ]
)
things = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70_000) | words | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=25,
)


@many
@given(
    st.fixed_dictionaries(
        {
            "project": words,
            "python": words,
            "services": st.dictionaries(words, st.dictionaries(words, things)),
        },
        optional={
            "bases": st.dictionaries(words, st.dictionaries(words, things)),
            "platforms": things,
        },
    )
)
def test_any_shape_under_the_right_keys_ends_in_words(fleet: Path, shape: Any) -> None:
    outcome(fleet, json.dumps(shape).encode())


def shuffled(value: Any, order: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    entries = list(value.items())
    order.shuffle(entries)
    return {key: shuffled(each, order) for key, each in entries}


def canonical(found: Manifest) -> Manifest:
    """Mappings keep the order of the file, so they are sorted to be compared."""

    def pairs(value: Pairs) -> Pairs:
        return tuple(sorted(value))

    def service(value: ServiceEntry) -> ServiceEntry:
        return replace(
            value,
            env=pairs(value.env),
            volumes=pairs(value.volumes),
            contexts=pairs(value.contexts),
            secrets=tuple(sorted(value.secrets, key=lambda each: each.id)),
        )

    return replace(
        found,
        bases=tuple(sorted(found.bases, key=lambda each: each.name)),
        services=tuple(sorted(map(service, found.services), key=lambda each: each.name)),
    )


@settings(many, max_examples=30)
@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing(fleet: Path, order: random.Random) -> None:
    import yaml

    expected = outcome(fleet, SOUND.encode())
    found = outcome(fleet, json.dumps(shuffled(yaml.safe_load(SOUND), order)).encode())
    assert expected is not None
    assert found is not None
    assert canonical(found) == canonical(expected)


@given(
    st.from_regex(r"[a-z](\.?[A-Z0-9])?", fullmatch=True),
    st.lists(
        st.from_regex(r"(==|===|~=|!=|<=?|>=?|=|~)v?[0-9]{1,2}(\.[0-9*a+_-]){0,3}", fullmatch=True),
        min_size=1,
        max_size=3,
    ),
)
def test_versions_are_taken_as_packaging_takes_them(name: str, clauses: list[str]) -> None:
    spec = name + ",".join(clauses)
    try:
        Requirement(spec)
    except InvalidRequirement:
        with pytest.raises(RefusedError):
            lockable(spec)
    else:
        assert lockable(spec) == spec
