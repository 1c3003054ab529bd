"""Fixtures of the engine tests: one engine, real images built once and shared, toy fleets for what
must fail.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest
from tests.engine.registries import PROGRAM, loopback_registry
from tests.engine.schedule import place
from tests.ran import ran
from tools.bare import __main__ as setup
from tools.bare import apt

from slimbake.host.files import checkout

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def reported(self) -> list[str]:
        """The lines of the error with which a command ended."""
        lines = self.stderr.splitlines()
        return list(dropwhile(lambda line: not line.startswith("slimbake: "), lines))


def call(
    *words: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> Ended:
    """A command to its end."""
    done = ran(words, cwd=cwd, env={**os.environ, **(env or {})}, input=stdin)
    return Ended(done.returncode, done.stdout, done.stderr)


def docker(*words: str, stdin: str | None = None) -> str:
    """A docker command that must succeed; its stdout."""
    done = call("docker", *words, stdin=stdin)
    assert done.code == 0, done.stderr
    return done.stdout


def inspected(image: str, part: str) -> Any:
    """A part of what the engine says of an image: `.Config.Env`."""
    return json.loads(docker("image", "inspect", f"--format={{{{json {part}}}}}", image))


def python(image: str, code: str, *flags: str) -> str:
    """What Python prints in a container of an image, without a network."""
    words = ("--rm", "--network=none", *flags, "--entrypoint=python", image)
    return docker("run", *words, "-c", code)


def slimbake(
    *words: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> Ended:
    """The command line, as a pipeline calls it."""
    pipeline = {"CI": "true", **(env or {})}
    return call(sys.executable, "-m", "slimbake", *words, cwd=cwd, env=pipeline, stdin=stdin)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)
    items.sort(
        key=lambda item: place(item.location[0]) if item.get_closest_marker("engine") else (-1, "")
    )


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """An engine that answers, and images of Python and uv; `make test` has set them up."""
    setup.main()


@pytest.fixture(scope="session")
def baked() -> dict[str, Any]:
    """The eight services, built, their smokes run, tagged: what `slimbake bake --json` says of
    them.
    """
    done = slimbake("bake", "--json")
    assert done.code == 0, done.stderr
    return dict(done.json()["images"])


@dataclass(frozen=True, slots=True)
class Toy:
    """A small fleet of its own in a folder, with a project name that no other has."""

    root: Path
    project: str

    def write(self, manifest: str, files: Mapping[str, str] = {}, *, python: str = "3.11") -> None:
        """Write `services.yaml` (a body; the project is filled in) and other files, path ->
        content.
        """
        text = f'project: {self.project}\npython: "{python}"\n{manifest}'
        for name, content in {"services.yaml": text, **files}.items():
            self.file(name, content)

    def file(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")

    def edit(self, old: str, new: str, name: str = "services.yaml") -> str:
        """Replace a text of a file, of the manifest for one; the file as it was."""
        before = (self.root / name).read_text("utf-8")
        assert old in before
        self.file(name, before.replace(old, new))
        return before

    def slimbake(
        self, *words: str, env: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> Ended:
        return slimbake(*words, cwd=self.root, env=env, stdin=stdin)

    def done(
        self, *words: str, env: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> Ended:
        """The same, of a command that must succeed."""
        ended = self.slimbake(*words, env=env, stdin=stdin)
        assert ended.code == 0, ended.stderr
        return ended

    def staged(self, service: str, kind: str = "built") -> str:
        """What this folder's last build of a service is called, checked or not."""
        return f"slimbake/{self.project}/{service}:{kind}-{checkout(self.root)}"

    def image(self, service: str, tag: str = "latest") -> str:
        return f"{self.project}/{service}:{tag}"


@contextmanager
def fleet(root: Path) -> Iterator[Toy]:
    """A toy fleet in a folder; what it leaves in the engine is removed in the end."""
    made = Toy(root, f"toy-{uuid.uuid4().hex[:8]}")
    try:
        yield made
    finally:
        if (root / "services.yaml").is_file():
            made.slimbake("prune", "--all")


@contextmanager
def up(root: Path, manifest: str, files: Mapping[str, str]) -> Iterator[Toy]:
    """A toy fleet that is baked, whose containers and data are removed in the end."""
    with fleet(root) as made:
        texts = {name: text.replace("PROJECT", made.project) for name, text in files.items()}
        made.write(manifest, texts)
        made.done("bake")
        yield made
        made.slimbake("down", "--volumes")


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    """An empty toy fleet of the test's own."""
    with fleet(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """An empty toy fleet that the tests of a module share."""
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        yield made


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    """A registry on loopback: `127.0.0.1:PORT`."""
    if shutil.which(PROGRAM) is None:
        if os.geteuid() or shutil.which("apt-get") is None:
            pytest.skip(f"{PROGRAM} is not installed, and this is not root on Debian")
        apt.install(PROGRAM)  # waits for another one, as of the other worker
    with loopback_registry() as at:
        yield at


def fetch(url: str, body: Any = None) -> tuple[int, str]:
    """Status and text of an answer; status 0 where nobody answers. A body makes it a POST of JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
