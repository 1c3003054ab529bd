"""`weights: {mount: image}`: a model in an image of its own, which containers of the service mount."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.engine.conftest import Toy, call, docker, fetch, python, up
from tests.engine.registries import free_port
from tests.engine.toys import held, text_of

pytestmark = pytest.mark.slow

MANIFEST = text_of("mounted-weights.yaml")
ANSWERS = """
import http.server, pathlib, signal, sys
WORD = pathlib.Path("/weights/deep/word.txt").read_text()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(WORD.encode())
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
FILES = {
    "answers/answers.py": ANSWERS,
    "answers/asks.py": "import sys, answers\nprint(answers.WORD, *sys.argv[1:])\n",
    "answers/smoke.py": "def load():\n    import answers\n    assert answers.WORD in ('one', 'two')\n",
    "answers/verify.py": "def verify(service):\n    assert service.get('/').text == 'one'\n",
    "model/deep/word.txt": "one",
    "model/large.bin": "0" * 100_000,
}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Toy]:
    with up(tmp_path_factory.mktemp("mounted"), MANIFEST.replace("PORT", str(port)), FILES) as made:
        yield made


def ids(toys: Toy) -> tuple[str, str]:
    """The images of the service and of its weights."""
    service, weights = (
        held(f"{toys.project}/{name}:latest") for name in ("answers", "weights-model")
    )
    assert service and weights
    return service, weights


def test_the_service_answers_from_weights_that_its_image_does_not_have(
    toys: Toy, port: int
) -> None:
    toys.done("up")
    assert fetch(f"http://127.0.0.1:{port}/") == (200, "one")
    assert toys.slimbake("run", "asks", "me").stdout == "one me\n"
    toys.done("check", "--images", "answers")
    assert toys.slimbake("debug", "answers", "cat", "/weights/deep/word.txt").stdout == "one"
    listed = "import os; print([f for _, _, names in os.walk('/weights') for f in names])"
    assert python(toys.image("answers"), listed) == "[]\n"


def test_what_is_mounted_is_the_image_and_cannot_be_written(toys: Toy) -> None:
    toys.slimbake("up", "answers")
    name = docker("ps", "--quiet", f"--filter=label=com.docker.compose.project={toys.project}")
    mounts = json.loads(docker("inspect", "--format={{json .Mounts}}", name.strip()))
    (mount,) = (each for each in mounts if each["Destination"] == "/weights")
    assert (mount["Type"], mount["RW"]) == ("volume", False)
    label = '--format={{index .Labels "slimbake.image"}}'
    assert docker("volume", "inspect", label, mount["Name"]).strip() == ids(toys)[1]


def test_an_edit_of_code_leaves_the_weights_and_one_of_weights_the_code(
    toys: Toy, port: int
) -> None:
    service, weights = ids(toys)
    toys.write(
        MANIFEST.replace("PORT", str(port)), FILES | {"answers/answers.py": f"{ANSWERS}# edited\n"}
    )
    toys.done("bake")
    other, same = ids(toys)
    assert (other != service, same) == (True, weights)
    toys.write(
        MANIFEST.replace("PORT", str(port)),
        FILES | {"answers/answers.py": f"{ANSWERS}# edited\n", "model/deep/word.txt": "two"},
    )
    assert toys.slimbake("lock").code == 0
    toys.done("bake")
    kept, new = ids(toys)
    assert (kept, new != weights) == (other, True)
    assert toys.slimbake("up", "answers").code == 0
    assert fetch(f"http://127.0.0.1:{port}/") == (200, "two")


def test_pushed_weights_are_printed_for_those_that_mount_them(
    toys: Toy, port: int, registry: str
) -> None:
    toys.write(MANIFEST.replace("PORT", str(port)), FILES)
    assert toys.slimbake("lock").code == 0
    where = f"--registry={registry}/{toys.project}"
    toys.done("bake", "--push", where)
    again = toys.slimbake("bake", "--push", "--missing", where, "--tag=v2")
    assert "on the registry: answers, asks, weights-model" in again.stderr
    printed = toys.done("export", "digests", "answers", where, "--tag=v2")
    reference = printed.json()["answers"]["weights"]
    assert reference.startswith(f"{registry}/{toys.project}/weights-model@sha256:")
    assert call("docker", "pull", "--quiet", reference).code == 0
