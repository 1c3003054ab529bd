"""Steps of `build` on a real engine: packages and images, outputs, no network, the same bytes."""

from __future__ import annotations

import pytest
from tests.engine.conftest import Toy, docker
from tests.engine.toys import text_of
from tools.bare.images import python_image

pytestmark = pytest.mark.slow

COLLECT = """\
import os, socket, pathlib, iniconfig
try:
    socket.create_connection(("192.0.2.1", 80), 3)
    network = "network"
except OSError as error:
    network = "no network" if error.errno == 101 else str(error)
pathlib.Path("static/css").mkdir(parents=True)
words = pathlib.Path("frontend/dist/words.txt").read_text()
pathlib.Path("static/css/all.css").write_text(f"{iniconfig.__name__} {network} {words}")
pathlib.Path("left.txt").touch()
"""
WORDS = """\
import os, pathlib
pathlib.Path("dist").mkdir()
pathlib.Path("dist/words.txt").write_text(os.environ["WORDS"])
"""
MANIFEST = text_of("build-steps.yaml")


def test_outputs_of_steps_are_in_the_image_and_nothing_else(toy: Toy) -> None:
    image = python_image("3.11")
    show = "print(open('/app/static/css/all.css').read(), *sorted(os.listdir('/app')))"
    toy.write(
        MANIFEST.replace("IMAGE", image),
        {
            "one/app.py": f"import os\n{show}  # {toy.project}\n",
            "one/collect.py": COLLECT,
            "one/frontend/words.py": WORDS,
        },
    )
    done = toy.done("bake", "--json")
    assert docker("run", "--rm", toy.image("one")) == (
        'iniconfig no network a "b" $c ${d} %{e} __pycache__ app.py collect.py frontend static\n'
    )
    again = toy.done("bake", "--json", "--set", "*.no-cache=true")
    assert again.json()["images"] == done.json()["images"]

    toy.file("one/frontend/words.py", WORDS.replace('"dist/', '"'))
    done = toy.slimbake("bake")
    assert done.code == 5
    assert "frontend/dist/words.txt" in done.stderr
