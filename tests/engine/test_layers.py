"""Layers of packages depend on their wheels alone: equal on every engine and in every repository, and
built once anywhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.engines import bring_externals, own_engine

from slimbake.plan.graph import layers
from slimbake.project import load

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

SMOKE = "def imports():\n    import {}\n"
ONE = """
bases:
  ml: {requirements: [torch, transformers, numpy], torch: cpu}
services:
  answers: {base: ml, context: app, command: [python, app.py], smoke: smoke.py}
"""
# Neither a base, nor a name, nor another package in common.
OTHER = """
torch: cpu
services:
  words: {context: code, requirements: [transformers, torch, numpy, tabulate],
          command: [python, app.py], smoke: smoke.py}
"""
SHARED = {"torch", "transformers", "numpy"}
LIGHT = """
services:
  app: {context: app, requirements: [pydantic, idna==3.10], command: [python, app.py],
        smoke: smoke.py}
"""


def files(folder: str, imported: str) -> dict[str, str]:
    return {f"{folder}/app.py": "", f"{folder}/smoke.py": SMOKE.format(imported)}


def digests(toy: Toy, service: str, host: str = "", registry: str = "") -> dict[str, str]:
    """The layers of packages of a service, as tars: name -> digest. `host`: of another engine."""
    image = f"{registry}/{service}:latest" if registry else toy.image(service)
    where = ("--host", host) if host else ()
    said = docker(*where, "image", "inspect", image, "--format", "{{json .RootFS.Layers}}")
    names = layers(load(toy.root / "services.yaml").plan, service)
    pairs = zip(names, json.loads(said), strict=True)
    return {name: digest for name, digest in pairs if name.startswith("layer_")}


def made(stderr: str) -> list[str]:
    """The layers whose step ran."""
    return re.findall(r"^(layer_\S+): make-layer", stderr, re.MULTILINE)


@pytest.mark.parametrize("containerd_store", [True, False], ids=["containerd", "graph driver"])
def test_two_repositories_have_equal_layers_of_equal_wheels_on_two_engines(
    tmp_path: Path, containerd_store: bool
) -> None:
    with fleet(tmp_path / "one") as one, fleet(tmp_path / "other") as other:
        one.write(ONE, files("app", "transformers, torch"))
        one.done("bake")
        other.write(OTHER, files("code", "transformers, torch, tabulate"))
        other.done("lock")
        with own_engine(containerd_store=containerd_store) as engine:
            bring_externals(other.root / "services.yaml", engine.host)
            other.done("bake", env={"DOCKER_HOST": engine.host})
            theirs = digests(other, "words", host=engine.host)
        ours = digests(one, "answers")
    shared = {name for name in ours if name.split("_")[1] in SHARED}
    assert len(shared) == len(SHARED)
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}


def test_a_new_version_of_a_light_package_makes_no_heavy_layer_again(toy: Toy) -> None:
    toy.write(LIGHT, files("app", "pydantic, idna"))
    toy.done("bake")
    before = digests(toy, "app")
    toy.edit("idna==3.10", "idna==3.9")
    toy.done("lock")
    ended = toy.done("bake")
    after = digests(toy, "app")
    assert made(ended.stderr) == ["layer_app"]
    assert {name for name in before if before[name] != after[name]} == {"layer_app"}


def test_what_one_repository_pushed_another_one_does_not_build(
    tmp_path: Path, registry: str
) -> None:
    with fleet(tmp_path / "one") as one, fleet(tmp_path / "other") as other:
        one.write(LIGHT, files("app", "pydantic"))
        one.done("bake", "--push", "--registry", f"{registry}/one")
        place = f'layers: {{registry: "{registry}/one"}}\n'
        service = LIGHT.replace("  app:", "  other:")
        other.write(place + service, files("app", "pydantic"))
        ended = other.done("bake", "--push", "--missing", "--registry", f"{registry}/other")
        assert "on the registry: 3 layers of packages" in ended.stderr
        assert made(ended.stderr) == []
        ours = digests(one, "app", registry=f"{registry}/one")
        theirs = digests(other, "other", registry=f"{registry}/other")
        assert list(ours.values()) == list(theirs.values())
