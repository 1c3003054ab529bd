"""A fleet with two Pythons, of services and as variants: each image is built, checked and started with
its own.
"""

from __future__ import annotations

import pytest
from tests.engine.conftest import Toy, docker, inspected
from tests.engine.toys import SMOKE, held
from tools.bare.images import python_image

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bakes")]

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
def toy(shared_toy: Toy) -> Toy:
    for version in ("3.11", "3.13"):
        python_image(version)
    files = {
        "app/app.py": f"{APP}# {shared_toy.project}\n",
        "app/smoke.py": SMOKE,
        "lib/pyproject.toml": LIB,
        "lib/lib.py": "ONE = 1\n",
    }
    shared_toy.write(MANIFEST, files)
    return shared_toy


@pytest.fixture(scope="module")
def bakes(toy: Toy) -> list[list[str]]:
    """The images of a bake, and of one that asks for a variant."""
    ended = [toy.done("bake", *words, "--json") for words in ((), ("a-py313",))]
    return [sorted(done.json()["images"]) for done in ended]


def _image(toy: Toy, service: str) -> str:
    return toy.image(service) if service != "a-py313" else toy.image("a", "latest-py313")


def test_a_bake_builds_the_default_of_each_service_and_a_variant_where_it_is_asked_for(
    bakes: list[list[str]],
) -> None:
    assert bakes == [["a", "b", "c", "d"], ["a-py313"]]


def test_each_image_starts_with_its_own_python(toy: Toy) -> None:
    for service, (major, minor) in EVERY.items():
        assert docker("run", "--rm", _image(toy, service)) == f"&lt; {major} {minor}\n"
        program = f"python{major}.{minor}"
        assert (
            docker("run", "--rm", f"--entrypoint={program}", _image(toy, service), "-Ic", "1") == ""
        )


def test_images_of_one_python_share_their_layers_and_none_with_the_other(toy: Toy) -> None:
    layers = {name: inspected(_image(toy, name), ".RootFS.Layers") for name in EVERY}
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
        labels = inspected(_image(toy, service), ".Config.Labels")
        name = labels["org.opencontainers.image.base.name"]
        assert name == f"python:{version}-slim-trixie"


def test_a_debug_shell_has_that_python_s_tools(toy: Toy) -> None:
    toy.done("bake", "b")
    assert "Python 3.13" in toy.done("debug", "b", "python3", "-V").stdout


def test_a_variant_is_released_only_when_its_own_smoke_holds(toy: Toy) -> None:
    old = "import sys\ndef imports():\n    import app\n    assert app and sys.version_info < (3, 12)\n"
    toy.file("app/smoke.py", old)
    toy.done("bake", "a", "--tag=2")
    done = toy.slimbake("bake", "a-py313", "--tag=2")
    assert done.code == 6
    assert "the smoke of a-py313 failed" in done.stderr
    assert held(toy.image("a", "2")) and not held(toy.image("a", "2-py313"))
