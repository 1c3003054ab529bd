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
# What a step wrote into its home, a container finds there, and may write beside it.
HOME = """\
import pathlib
cache = pathlib.Path.home() / ".cache"
(cache / "lock").write_text((cache / "model").read_text())
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


def test_a_step_without_outputs_changes_the_image_itself(toy: Toy) -> None:
    image = python_image("3.13")
    step = (
        "echo $WORD > /etc/word; python -c 'import iniconfig' && head -c 9 /dev/urandom > random"
        " && mkdir ~/.cache && echo fetched > ~/.cache/model"
    )
    toy.write(
        "services:\n"
        f'  one: {{from: "{image}", context: one, requirements: [iniconfig], command: [python, -m, app],\n'
        f'    build: [{{run: [sh, -c, "{step}"], env: {{WORD: hello}}}}]}}\n'
        "  two: {requirements: [iniconfig], command: [python, -c, pass], build: [{run: [python, -c,\n"
        "    \"open('/usr/bin/made', 'w')\"]}]}\n"
        "  bad: {requirements: [], command: [python, -c, pass], build: [{run: [nothing-there]}]}\n",
        {"one/app.py": f"{HOME}print(open('/etc/word').read())  # {toy.project}\n"},
        python="3.13",
    )
    failed = toy.slimbake("bake")
    assert failed.code == 5
    assert "build: nothing-there cannot be run: No such file or directory" in failed.stderr
    assert docker("run", "--rm", toy.image("one")) == "hello\n\n"
    times = docker("run", "--rm", toy.image("one"), "stat", "-c", "%Y %u", "/etc/word", "random")
    assert times == "315532800 0\n" * 2
    environment = docker("run", "--rm", toy.image("one"), "env")
    assert "WORD" not in environment
    assert docker("run", "--rm", toy.image("two"), "python", "-c", "open('/usr/bin/made')") == ""
