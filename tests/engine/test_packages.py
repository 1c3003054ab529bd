"""Where a build has its wheels from, and what becomes of wheels that are not what they should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Ended, Toy, docker
from tests.engine.toys import code, entry, held
from tests.index import Index, serving
from tests.wheels import wheel_bytes

pytestmark = pytest.mark.slow


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as made:
        yield made


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheelhouse of the test's own."""
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "wheelhouse"))
    return tmp_path / "wheelhouse"


def filled(toy: Toy, index: Index) -> None:
    """Lock and fetch from the index; what follows has to do without it: a build cannot even reach
    it.
    """
    for command in (("lock",), ("lock", "--fetch")):
        toy.done(*command, env={"UV_DEFAULT_INDEX": index.url})


def test_a_wheel_that_was_swapped_is_caught_by_its_hash_and_named(
    toy: Toy, index: Index, wheelhouse: Path
) -> None:
    index.add("toy-core", "1")
    index.add("toy-leaf", "1")
    toy.write(
        "services:\n" + entry("one", "    requirements: [toy-core, toy-leaf]\n"), code(toy, "one")
    )
    filled(toy, index)
    (wheel,) = wheelhouse.glob("sha256/*/toy_leaf-1-*.whl")
    good = wheel.read_bytes()
    evil = wheel_bytes("toy-leaf", "1", files={"toy_leaf/__init__.py": b"version = '!'\n"})
    assert len(evil) == len(good) and evil != good
    wheel.write_bytes(evil)

    done = toy.slimbake("bake")
    assert done.code == 5, done.stderr
    assert held(toy.image("one")) == ""
    assert done.reported[0].startswith("slimbake: layer_one does not build: make-layer")
    assert any("toy-leaf" in line or "toy_leaf" in line for line in done.reported)
    assert wheel.parent.name in done.stderr, "the hash that was wanted"
    assert any("`slimbake lock --fetch`" in line for line in done.reported)

    fixed = toy.slimbake("lock", "--fetch", env={"UV_DEFAULT_INDEX": index.url})
    assert fixed.code == 0 and f"{wheel.name} is damaged" in fixed.stderr
    assert wheel.read_bytes() == good
    toy.done("bake")
    assert docker("run", "--rm", toy.image("one")) == "one\n"


def test_a_stale_lock_is_refused_and_a_new_one_is_made(toy: Toy) -> None:
    more = "    requirements: requirements.txt\n"
    toy.write(
        "services:\n" + entry("one", more), code(toy, "one") | {"one/requirements.txt": "six\n"}
    )
    refused = toy.slimbake("bake", "--frozen")
    assert refused.code == 4 and "not locked yet: the packages of one" in refused.stderr
    toy.done("bake")
    before = held(toy.image("one"))
    toy.file("one/requirements.txt", "six\niniconfig\n")
    done = toy.slimbake("bake")
    assert (done.code, done.stdout) == (4, "")
    assert done.reported[0] == (
        "slimbake: locks are out of date: what one asks for has changed"
        " (services.yaml, one/requirements.txt)"
    )
    assert held(toy.image("one")) == before
    assert "iniconfig" not in (toy.root / "bake/locks/one.txt").read_text()


def package(toy: Toy, name: str, needs: str) -> dict[str, str]:
    """A package of the repository; its name makes the lock that it needs something in one that no
    cache knows.
    """
    backend = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    project = (
        f'[project]\nname = "{name}-{toy.project}"\nversion = "1"\ndependencies = ["{needs}"]\n'
    )
    return {f"libs/{name}/pyproject.toml": project + backend, f"libs/{name}/own_{name}.py": ""}


def names(wheelhouse: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in wheelhouse.glob("sha256/*/*")}


def fetching(done: Ended) -> set[str]:
    """The targets that asked the index."""
    return {
        line.partition(": fetch")[0]
        for line in done.stderr.splitlines()
        if ": fetch-wheels /wheels" in line
    }


def test_the_index_and_the_wheelhouse_give_the_same_images(toy: Toy, wheelhouse: Path) -> None:
    toy.write(
        "bases:\n  small: {requirements: [./libs/low]}\nservices:\n"
        + entry("one", "    base: small\n    requirements: [./libs/high]\n"),
        code(toy, "one") | package(toy, "low", "six") | package(toy, "high", "iniconfig"),
    )
    from_wheelhouse = toy.done("bake", "--json")
    assert fetching(from_wheelhouse) == set()
    assert names(wheelhouse) == {"six", "iniconfig", "setuptools"}

    # What is there is not built again, from wherever its wheels would come.
    toy.edit("project:", "packages: index\nproject:")
    from_index = toy.done("bake", "--json", "--set", "*.no-cache=true")
    assert fetching(from_index) >= {"layer_base-small", "layer_one"}
    assert from_index.json()["images"] == from_wheelhouse.json()["images"]


def test_a_bake_warns_of_a_shared_library_that_the_image_lacks(
    toy: Toy, index: Index, wheelhouse: Path
) -> None:
    native = Path("/usr/lib/x86_64-linux-gnu/libreadline.so.8").resolve()
    if not native.is_file():
        assert "CI" not in os.environ, "a pipeline has to run this"
        pytest.skip("this machine has no libreadline")
    files = {"toy_native/native.so": native.read_bytes()}
    name = "toy_native-1-py3-none-any.whl"
    index.publish("toy-native", name, wheel_bytes("toy-native", "1", files=files))
    toy.write("services:\n" + entry("one", "    requirements: [toy-native]\n"), code(toy, "one"))
    filled(toy, index)
    done = toy.done("bake")
    at = "/opt/slimbake/lib/python3.11/site-packages/toy_native/native.so"
    warned = f"warning: one: {at} needs libtinfo.so.6, which the image lacks: "
    (line,) = (line for line in done.stderr.splitlines() if warned in line)
    assert line.endswith("`system: [libtinfo6]` brings it"), "the Python image has the package"
