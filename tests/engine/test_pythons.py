"""A fleet with two Pythons: each service is built, checked and started with its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.engine.conftest import Toy, docker, fleet
from tools.bare.images import python_image

pytestmark = pytest.mark.slow

MANIFEST = """\
bases:
  web:
    requirements: [markupsafe]
    variants: {py311: {python: "3.11"}, py313: {python: "3.13"}}
services:
  a: {base: web, context: app, command: [python, -m, app], smoke: smoke.py}
  b: {context: app, python: "3.13", requirements: [markupsafe, ./lib], command: [python, -m, app]}
  c: {context: app, python: "3.13", requirements: [markupsafe, ./lib], command: [python, -m, app]}
  d: {context: app, requirements: [markupsafe, ./lib], command: [python, -m, app]}
"""
APP = "import sys\nimport markupsafe\nprint(markupsafe.escape('<'), *sys.version_info[:2])\n"
LIB = '[project]\nname = "lib"\nversion = "1"\n'
EVERY = {"a": (3, 11), "a-py313": (3, 13), "b": (3, 13), "c": (3, 13), "d": (3, 11)}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    for version in ("3.11", "3.13"):
        python_image(version)
    with fleet(tmp_path_factory.mktemp("pythons")) as made:
        files = {
            "app/app.py": f"{APP}# {made.project}\n",
            "app/smoke.py": "def imports():\n    import app\n",
            "lib/pyproject.toml": LIB,
            "lib/lib.py": "ONE = 1\n",
        }
        made.write(MANIFEST, files)
        made.done("bake", *EVERY)
        yield made


def _image(toy: Toy, service: str) -> str:
    return toy.image(service) if service != "a-py313" else toy.image("a", "latest-py313")


def test_each_image_starts_with_its_own_python(toy: Toy) -> None:
    for service, (major, minor) in EVERY.items():
        assert docker("run", "--rm", _image(toy, service)) == f"&lt; {major} {minor}\n"
        program = f"python{major}.{minor}"
        assert (
            docker("run", "--rm", f"--entrypoint={program}", _image(toy, service), "-Ic", "1") == ""
        )


def test_images_of_one_python_share_their_layers_and_none_with_the_other(toy: Toy) -> None:
    layers = {}
    for service in EVERY:
        text = docker("image", "inspect", "--format={{json .RootFS.Layers}}", _image(toy, service))
        layers[service] = json.loads(text)
    assert layers["b"][:-1] == layers["c"][:-1], "all but the code"
    assert layers["b"][:2] == layers["a-py313"][:2], "the runtime"
    assert layers["a"][:2] == layers["d"][:2]
    runtime, folder, *_ = layers["b"]  # /app, which is empty
    assert {*layers["b"]} & {*layers["d"]} == {folder} != {runtime}


def test_a_package_of_the_repository_is_built_for_each(toy: Toy) -> None:
    for service, version in (("b", "3.13"), ("d", "3.11")):
        where = docker(
            "run", "--rm", "--entrypoint=python", _image(toy, service), "-c",
            "import lib; print(lib.__file__)",
        )  # fmt: skip
        assert where == f"/opt/slimbake/lib/python{version}/site-packages/lib.py\n"


def test_the_image_says_which_python_it_was_made_of(toy: Toy) -> None:
    for service, version in (("b", "3.13"), ("d", "3.11")):
        label = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
        name = docker("image", "inspect", f"--format={label}", _image(toy, service)).strip()
        assert name == f"python:{version}-slim-trixie"


def test_a_debug_shell_has_that_python_s_tools(toy: Toy) -> None:
    toy.done("bake", "b")
    assert "Python 3.13" in toy.done("debug", "b", "python3", "-V").stdout
