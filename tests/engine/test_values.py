"""Hostile values, once through a real image: what the golden fleet `hostile` says is what the image
has.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import call, docker, inspected
from tests.golden.fleets import CASES, Fleet
from tests.golden.newest_buildx import Unavailable, newest_buildx

from slimbake.config import manifest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

IMAGE = "slimbake-test/hostile"


def buildx(which: str) -> list[str]:
    if which == "installed":
        return ["docker", "buildx"]
    try:
        return [str(newest_buildx())]
    except Unavailable as reason:
        pytest.skip(f"no newer buildx to be had: {reason}")


def root_filesystem(folder: Path) -> None:
    """A base, and a builder, in which every step holds, and none takes time: its python does
    nothing and says that it went well.
    """
    (folder / "app").mkdir(parents=True)  # where the code would be
    true = shutil.which("true")
    assert true is not None
    libraries = [word for word in call("ldd", true).stdout.split() if word.startswith("/")]
    programs = [(true, f"/usr/bin/{name}") for name in ("python", "python3.11")]
    for source, target in (*programs, *zip(libraries, libraries, strict=True)):
        place = folder / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)


@pytest.fixture(params=["installed", "newest"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, dict[str, object]]]:
    """The configuration of the built image."""
    command, name = buildx(request.param), f"{IMAGE}:{request.param}"
    root = Fleet(CASES / "hostile").written(tmp_path)
    root_filesystem(root / "root")
    given = {"contexts.inside": "bake/programs", "tags": name}
    given |= dict.fromkeys(("contexts.base", "contexts.builder"), "root")
    sets = [f"--set=target.{key}={value}" for key, value in given.items()]
    done = call(*command, "bake", *sets, "target", cwd=root)
    assert done.code == 0, done.stderr
    try:
        yield inspected(name, ".Config")
    finally:
        docker("image", "rm", "--force", name)


def test_values_of_variables_labels_and_commands_are_in_the_image_as_the_manifest_says_them(
    image: dict[str, object],
) -> None:
    said = manifest(CASES / "hostile/services.yaml").services[0]
    assert isinstance(image["Env"], list) and isinstance(image["Labels"], dict)
    variables = dict(entry.split("=", 1) for entry in image["Env"])
    assert {name: variables[name] for name, _ in said.env} == dict(said.env)
    assert {name: image["Labels"][name] for name, _ in said.labels} == dict(said.labels)
    assert (image["Entrypoint"], image["Cmd"]) == (None, list(said.command))
