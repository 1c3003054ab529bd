"""The inventory on real images: what is taken away after its layer was made makes a bake red."""

from __future__ import annotations

import pytest
from tests.engine.conftest import Toy, call, docker, python
from tests.engine.toys import SMOKE, entry

from slimbake.render.generated import SHIPPED

NAMES = ("one", "two")
SITE = "/opt/slimbake/lib/python3.11/site-packages"
HARM = f"""\
from pathlib import Path
site = Path("{SITE}")
(site / "idna/codec.py").unlink()
(site / "six-1.17.0.dist-info/METADATA").unlink()
"""
# Prints where modules lie, those alone that have bytecode.
MODULES = """\
import idna.codec, os, six
for module in idna.codec, six:
    if os.path.isfile(module.__file__) and os.path.isfile(module.__cached__):
        print(module.__file__)
"""


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    """A service that imports nothing, on packages of which it loses some; and one beside it."""
    template = (SHIPPED / "templates/service.Dockerfile.j2").read_text("utf-8")
    harmed = template.replace(
        "USER {{ recipe.user }}",
        '{% if target.name == "one" %}COPY harm.py /harm.py\nRUN ["python", "/harm.py"]\n'
        "{% endif %}USER {{ recipe.user }}",
    )
    assert harmed != template
    shared_toy.write(
        "bases: {small: {requirements: [idna, six==1.17.0]}}\nservices:\n"
        + "".join(entry(name, "    base: small\n    requirements: [toml]\n") for name in NAMES),
        {
            **{f"{name}/app.py": "" for name in NAMES},
            **{f"{name}/smoke.py": SMOKE for name in NAMES},
            "one/harm.py": HARM,
            "templates/service.Dockerfile.j2": harmed,
        },
    )
    return shared_toy


def test_a_bake_is_red_where_an_image_loses_what_a_lower_layer_has(toy: Toy) -> None:
    done = toy.slimbake("bake")
    assert done.code == 6
    assert "the inventory of one failed" in done.stderr
    for name in ("idna/codec.py of idna", "six-1.17.0.dist-info/METADATA of six 1.17.0"):
        (line,) = (line for line in done.stderr.splitlines() if f"lost: {name}" in line)
        assert line.endswith(" is not in the image")
    assert call("docker", "image", "inspect", toy.image("one")).code, "it has no tag"
    assert docker("run", "--rm", toy.image("two")) == "", "what lost nothing is tagged"


def test_every_module_lies_where_its_wheel_brought_it_beside_its_bytecode(toy: Toy) -> None:
    toy.done("bake", "two")
    shown = python(toy.image("two"), MODULES)
    assert shown.split() == [f"{SITE}/{path}" for path in ("idna/codec.py", "six.py")]
