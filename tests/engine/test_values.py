"""Whatever a value holds, it arrives in the real image as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Toy, docker, fleet

HOSTILE = {
    "quotes": '"double" \'single\' \\ back\\\\slashes \\n \\"',
    "lines": "first\nsecond\r\n\ttabbed\n\n",
    "dollars": "$HOME ${HOME} $${HOME} \\$HOME ${HOME:-x} $",
    "templates": "${var} %{ if true }x%{ endif } $${x} %%{x} {{ x }} {% x %}",
    "shell": "`id` $(id) ; | & > # no comment",
    "unicode": "grüße 日本語 🙂 \u00a0\u2028 é",
    "json": '{"a": [1, "b"]}',
    "commas": "a=b,c=d",
    "spaces": "  around  ",
    "heredoc": "<<EOF",
    "flag": "--privileged",
    "empty": "",
}

SHOW = """
import json, os, sys
print(json.dumps({"env": {k[4:]: v for k, v in os.environ.items() if k.startswith("OUR_")}, "words": sys.argv[1:]}))
"""

OWN = 'FROM base\nCOPY show.py /app/\n' + "".join(
    f'ARG {name}\nENV OUR_{name}="${{{name}}}"\n' for name in HOSTILE
) + 'ENTRYPOINT ["python", "-m", "show"]\n'  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """Two services: `generated` has hostile env, labels and command; `own` has hostile args and its own Dockerfile."""
    env = {f"OUR_{name}": value for name, value in HOSTILE.items()}
    services = {
        "generated": {
            "context": "über uns/it's $one",
            "env": env,
            "labels": {f"our.{name}": value for name, value in HOSTILE.items()},
            "command": ["python", "-m", "show", *HOSTILE.values()],
        },
        "own": {"context": "own", "dockerfile": "own/Dockerfile", "args": HOSTILE},
    }
    with fleet(tmp_path_factory.mktemp("values")) as made:
        # JSON is YAML, but for one character that YAML 1.1 takes for the end of a line.
        text = json.dumps(services, ensure_ascii=False).replace("\u2028", r"\u2028")
        made.write(
            f"services: {text}\n",
            **{"über uns/it's $one/show.py": SHOW, "own/show.py": SHOW, "own/Dockerfile": OWN},
        )
        done = made.slimbake("bake")
        assert done.code == 0, done.stderr
        yield made


def shown(toy: Toy, service: str) -> dict[str, Any]:
    return dict(json.loads(docker("run", "--rm", toy.image(service))))


def test_hostile_environment_arrives_unchanged(toy: Toy) -> None:
    assert shown(toy, "generated")["env"] == HOSTILE


def test_hostile_command_arrives_unchanged(toy: Toy) -> None:
    assert shown(toy, "generated")["words"] == list(HOSTILE.values())


def test_hostile_labels_arrive_unchanged(toy: Toy) -> None:
    labels = json.loads(docker("image", "inspect", "--format={{json .Config.Labels}}", toy.image("generated")))
    assert {k.removeprefix("our."): v for k, v in labels.items() if k.startswith("our.")} == HOSTILE


def test_hostile_args_arrive_unchanged_in_a_dockerfile_of_ones_own(toy: Toy) -> None:
    assert shown(toy, "own")["env"] == HOSTILE
