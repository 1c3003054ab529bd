"""Another builder, in a machine of its own: BuildKit of a second engine, reached through a socket."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Ended, Toy, call, docker, fleet
from tests.engine.engines import Own, own_engine, sees_loopback
from tests.engine.toys import BROKEN, SMOKE, entry, held
from tools.bare.images import python_image, uv_image

from slimbake.fleet.resolve import DEFAULT_UV
from slimbake.registry import ImageRepository

pytestmark = pytest.mark.slow
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Afar:
    """A toy fleet, and a builder of buildx's `remote` driver that knows nothing of this engine."""

    toy: Toy
    to: str  # where images are pushed
    builder: str

    def bake(self, *words: str, builder: bool = True) -> Ended:
        there = ("--builder", self.builder) if builder else ()
        return self.toy.slimbake("bake", "--push", "--registry", self.to, *there, *words)

    def repository(self, service: str) -> ImageRepository:
        return ImageRepository(f"{self.to}/{service}")

    def digest(self, service: str, tag: str = "latest") -> str:
        found = self.repository(service).document(tag)
        return found.descriptor.digest if found else ""


@contextlib.contextmanager
def dialled(own: Own, folder: Path) -> Iterator[Path]:
    """A socket at which the BuildKit of an engine answers, as one on another machine would."""
    path = folder / "buildkit.sock"
    words = ("docker", "--host", own.host, "buildx", "dial-stdio", "--builder", "default")
    environment = {k: v for k, v in os.environ.items() if k != "BUILDX_BUILDER"}
    with socket.socket(socket.AF_UNIX) as door, contextlib.ExitStack() as undo:
        door.bind(str(path))
        door.listen(64)

        def serve() -> None:
            with contextlib.suppress(OSError):  # the door is closed in the end
                while True:
                    near, _ = door.accept()
                    with near:
                        process = subprocess.Popen(
                            words,
                            stdin=near.fileno(),
                            stdout=near.fileno(),
                            stderr=subprocess.DEVNULL,
                            env={**environment, "DOCKER_HOST": own.host},
                        )
                    undo.callback(process.terminate)

        threading.Thread(target=serve, daemon=True).start()
        yield path
        door.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def afar(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Afar]:
    with contextlib.ExitStack() as undo:
        toy = undo.enter_context(fleet(tmp_path_factory.mktemp("afar")))
        to = f"{registry}/{toy.project}"
        services = entry("one", "    port: 8000\n    budget: {uncompressed: 500MB}\n") + entry(
            "two"
        )
        python = _pushed(python_image("3.11"), f"{to}/python:3.11")
        uv = _pushed(uv_image(DEFAULT_UV), f"{to}/uv:1")
        externals = f'externals: {{python: {{image: "{python}"}}, uv: {{image: "{uv}"}}}}'
        toy.write(f"{externals}\nservices:\n{services}", _files(toy))
        engine = undo.enter_context(own_engine())
        undo.enter_context(sees_loopback(engine, int(registry.rpartition(":")[2])))
        folder = tmp_path_factory.mktemp("builder")
        path = undo.enter_context(dialled(engine, folder))
        name = f"afar-{secrets.token_hex(3)}"
        docker("buildx", "create", "--name", name, "--driver", "remote", f"unix://{path}")
        undo.callback(call, "docker", "buildx", "rm", name)
        yield Afar(toy, to, name)


def _pushed(image: str, name: str) -> str:
    """An image from outside under a name in a registry that both engines reach."""
    docker("tag", image, name)
    docker("push", "--quiet", name)
    docker("image", "rm", name)
    return name


def _files(toy: Toy) -> dict[str, str]:
    listens = (
        "import socket\nif __name__ == '__main__':\n    door = socket.create_server(('', 8000))\n"
        f"    while True:\n        door.accept()\n# {toy.project}\n"
    )
    return {
        "one/app.py": listens,
        "two/app.py": f"print('two')  # {toy.project}\n",
        "one/smoke.py": SMOKE,
        "two/smoke.py": SMOKE,
    }


def _document(afar: Afar, service: str) -> dict[str, Any]:
    found = afar.repository(service).document("latest")
    assert found
    return found.read()


def test_a_remote_builder_pushes_what_the_engine_s_own_would(afar: Afar) -> None:
    done = afar.bake("--json")
    assert done.code == 0, done.stderr
    pushed = {name: afar.digest(name) for name in ("one", "two")}
    assert all(pushed.values())
    kinds = {layer["mediaType"] for layer in _document(afar, "one")["layers"]}
    assert kinds == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    measured = done.json()["images"]
    assert {name: measured[name]["digest"] for name in pushed} == pushed
    for name in pushed:
        kinds = {each["artifactType"] for each in afar.repository(name).referrers(pushed[name])}
        assert kinds == {"application/vnd.cyclonedx+json", "application/vnd.slimbake.fingerprint"}
        assert held(f"{afar.to}/{name}:latest") == pushed[name], "for `slimbake up`"
    again = afar.bake("--missing")
    assert (again.code, "on the registry: one, two" in again.stderr) == (0, True), again.stderr

    own = afar.bake("--tag", "own", "--json", builder=False)
    assert own.code == 0, own.stderr
    assert {name: afar.digest(name, "own") for name in pushed} == pushed, "from every builder"


def test_no_tag_moves_where_a_smoke_fails_afar(afar: Afar) -> None:
    assert afar.bake().code == 0
    before = afar.digest("two")
    afar.toy.file("two/app.py", f"print('edited')  # {afar.toy.project}\n")
    afar.toy.file("two/smoke.py", BROKEN)
    done = afar.bake()
    assert (done.code, "the smoke of two failed" in done.stderr) == (6, True), done.stderr
    assert afar.digest("two") == before
    for name, content in _files(afar.toy).items():
        afar.toy.file(name, content)


def test_a_builder_that_cannot_see_the_engine_s_images_is_refused(afar: Afar, toy: Toy) -> None:
    toy.write("services:\n" + entry("two"), {"two/app.py": "", "two/smoke.py": SMOKE})
    done = toy.slimbake("bake", "--builder", afar.builder)
    words = "python:3.11-slim-trixie cannot be reached"
    assert (done.code, words in done.stderr) == (7, True), done.stderr
