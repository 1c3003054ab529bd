"""Hostile words on the command line: each command refuses them in words that harm no terminal, or
finds nothing of that name, and writes nothing outside of the repository.
"""

from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.test_values import PAYLOADS

WORDS = {
    **{name: said for name, said in PAYLOADS.items() if "\0" not in said and "\ud800" not in said},
    "no text": "\udcff\udcfe",  # bytes that are no UTF-8, as Python has them
    "a pattern": "*",
    "an end of options": "--",
    "a number below nothing": "-1",
}
COMMANDS = (
    *("check -f @", "plan @", "export @", "export digests @", "export digests --tag @"),
    *("ci plan @", "ci plan --since @", "ci job --shared @", "export digests --registry @"),
    *("add @", "add two --base @", "add two --port @", "plan --since @", "why @ @"),
    *("lock --upgrade @", "sizes @", "export images @"),
    *("ci summary --plan @", "init --service @", "init --compose @", "bake --tag @"),
    *("bake --platform @", "bake --set @", "bake --builder @", "why @", "run @"),
    *("debug @", "check --images @", "@"),
)
MANIFEST = """\
project: toys
python: "3.11"
registry: 127.0.0.1:1/toys
services: {one: {context: one}}
"""


@pytest.mark.parametrize("word", WORDS)
def test_a_hostile_word_is_refused(word: str, slimbake: Slimbake, tmp_path: Path) -> None:
    root = tmp_path / "above" / "repository"
    (root / "one").mkdir(parents=True)
    for command in COMMANDS:
        (root / "services.yaml").write_text(MANIFEST)
        words = [WORDS[word] if each == "@" else each for each in command.split()]
        slimbake(*words, at=root)
    assert {path.name for path in (tmp_path, tmp_path / "above") for path in path.iterdir()} == {
        "above",
        "repository",
    }
