"""Commands in processes of their own, each from the same state of a machine, and what they come to
when nobody disturbs them.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.abuse.machines import Ended, documented, settings, tree
from tests.index import Index
from tests.ran import ran

# Python itself asks with a file of such a name whether it can write temporary files.
OTHERS = re.compile(r"tmp/[a-z0-9_]{8}")
PROGRAM = Path(__file__).parent / "killed.py"
FOLDERS = ("repository", "state", "wheelhouse", "tmp", "cache")
Words = tuple[str, ...]

MANIFEST = """\
project: toys
python: "3.11"
bases:
  web: {requirements: [frame]}
services:
  one: {base: web, context: one, requirements: [tool], command: [python, -m, app]}
"""
DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
CMD ["python", "-m", "app"]
"""


LOCK, GENERATE = ("lock",), ("generate",)
BEFORE: Mapping[Words, tuple[Words, ...]] = {
    ("init",): (),
    LOCK: (),
    ("lock", "--upgrade"): (LOCK,),
    ("lock", "--fetch"): (LOCK,),
    ("plan",): (LOCK,),
    GENERATE: (LOCK,),
    ("check",): (LOCK, GENERATE),
    ("bake",): (LOCK,),
    ("add", "two", "--base", "web"): (LOCK,),
    ("ci", "plan"): (LOCK, GENERATE),
    ("layers",): (LOCK,),
    ("doctor",): (LOCK,),
    ("prune",): (LOCK,),
}
"""Commands that need no engine, or say that there is none, and what is run before them."""


@dataclass(frozen=True)
class Home:
    """A repository, on a machine that has nothing else."""

    folder: Path
    index: Index

    @property
    def root(self) -> Path:
        return self.folder / "repository"

    def run(self, *words: str, moment: int = 0, steps: int = 0) -> tuple[int, str, str]:
        """A command in a process of its own: exit code, and what it says."""
        done = ran(
            [sys.executable, PROGRAM, self.folder / "moments", str(moment), str(steps), *words],
            cwd=self.root,
            env={**os.environ, **settings(self.folder, self.index), **self.own},
        )
        return done.returncode, done.stdout, done.stderr

    @property
    def own(self) -> dict[str, str]:
        return {"TMPDIR": str(self.folder / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}

    def quiet(self) -> bool:
        """Whether all that a killed process had started has ended."""
        mark = os.fsencode(f"TMPDIR={self.folder / 'tmp'}")
        return not any(mark in _read(path) for path in Path("/proc").glob("[0-9]*/environ"))

    def left(self) -> Mapping[str, bytes | None]:
        """All that lies in the repository and in the machine's folders, but for uv's cache."""
        found = tree(*(self.folder / name for name in FOLDERS))
        names = {os.path.relpath(path, self.folder): content for path, content in found.items()}
        return {name: said for name, said in names.items() if not OTHERS.fullmatch(name)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


@dataclass(frozen=True)
class Reference:
    """A command that nobody disturbed: where it began, and what it came to."""

    start: Path
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]
    ended: Ended
    moments: int


@dataclass(frozen=True)
class References:
    """What each command comes to, made when it is asked for first. All run at the same path."""

    folder: Path
    index: Index
    known: dict[Words, Reference] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return Home(self.folder / "machine", self.index)

    def __call__(self, command: Words) -> Reference:
        if command not in self.known:
            self.known[command] = self._made(command)
        return self.known[command]

    def _made(self, command: Words) -> Reference:
        home, start = self.home, self.folder / "-".join(command)
        shutil.rmtree(home.folder, ignore_errors=True)
        for name in ("repository/one", *FOLDERS[1:]):
            (home.folder / name).mkdir(parents=True)
        (home.root / "one/app.py").write_text("print(1)\n")
        if command == ("init",):
            (home.root / "one/Dockerfile").write_text(DOCKERFILE)
            (home.root / "one/requirements.txt").write_text("tool\n")
        else:
            (home.root / "services.yaml").write_text(MANIFEST)
        for words in BEFORE[command]:
            code, _, stderr = home.run(*words)
            assert code == 0, stderr
        shutil.copytree(home.folder, start, symlinks=True)
        before = home.left()
        ended = documented(*home.run(*command))
        moments = int((home.folder / "moments").read_text())
        return Reference(start, before, home.left(), ended, moments)

    def again(self, command: Words) -> Home:
        """The machine as it was before the command."""
        known = self(command)
        shutil.rmtree(self.home.folder)
        shutil.copytree(known.start, self.home.folder, symlinks=True)
        return self.home


def whole(now: Mapping[str, bytes | None], known: Reference) -> None:
    """No file of the repository is half-written: each is as before, or as the command makes it."""
    for path, content in now.items():
        if content is not None and path.startswith("repository") and "/." not in path:
            assert content in (known.before.get(path), known.after.get(path)), path
    assert not {path for path in known.before if path.startswith("repository")} - set(now)


def goes_on(home: Home, command: Words, known: Reference) -> None:
    """The same command comes to what it comes to undisturbed, and nothing is left over."""
    now = home.left()
    done = all(now.get(path) == said for path, said in known.after.items())
    again = documented(*home.run(*command))
    # `add` says that the service is there, where it was killed when all was done
    assert again.code == known.ended.code or done, again.stderr
    left = home.left()
    assert {*left} == {*known.after}, {*left} ^ {*known.after}
    other = {path for path in left if left[path] != known.after[path]}
    assert not other, other
