"""Imports modules of an image, each in a fork of its own, and tells what came of it.

Only modules whose source asks where it lies or what lies beside it: what moved or went could change
what these do. A module that crashes, hangs or exits has an outcome like any other.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from slimbake.inside.records import recorded
from slimbake.inside.step import PREFIX, SITE

from .census import Specs, module_name

SECONDS = 20.0  # for one import, which other processes may slow down
GRACE = 5.0  # more, for the process that waits for it
EVERY = 0.1  # seconds between two looks at a child that says nothing
MEMORY = 4_000_000_000  # bytes of address space that one import may add
ASKS = re.compile(
    rb"__file__|__path__|__loader__|__spec__|\binspect\b|\bpkgutil\b|importlib.resources"
)
NEVER = re.compile(r"(.*\.)?(__main__|setup|conftest)")  # they do something at import
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_answers: set[int] = set()  # descriptors that no code of an image may write to, or keep open


def main() -> None:
    """The program `imports`: an object on standard input, `packages` of which modules are imported.

    The last line of output is JSON: package -> module -> outcome. `modules` instead: exactly these.
    """
    asked = json.load(sys.stdin)
    site = next(PREFIX.glob(SITE))
    chosen = _chosen(site, asked.get("packages"), asked.get("modules"))
    answers = os.dup(1)
    _answers.add(answers)
    os.dup2(2, 1)  # what a module prints is no answer
    found = {package: dict(_outcomes(names)) for package, names in chosen.items()}
    with os.fdopen(answers, "w") as out:
        out.write(json.dumps(found) + "\n")


def _chosen(
    site: Path, packages: Sequence[str] | None, modules: Sequence[str] | None
) -> dict[str, list[str]]:
    specs = Specs()

    def wanted(name: str, package: str) -> bool:
        if modules is not None:
            return name in modules
        asked = not packages or package in packages
        return asked and not NEVER.fullmatch(name) and bool(ASKS.search(_source(specs, name)))

    chosen: dict[str, list[str]] = {}
    for row in recorded(site):
        if (name := module_name(row.name)) and wanted(name, row.package):
            chosen.setdefault(row.package, []).append(name)
    return {package: sorted({*names}) for package, names in chosen.items()}


def _source(specs: Specs, name: str) -> bytes:
    """The source of a module, on disk or not; empty where it has none."""
    spec = specs.spec(name)
    try:
        text = spec.loader.get_source(name) if spec and spec.loader else None  # type: ignore[attr-defined]
    except (AttributeError, ImportError, OSError, SyntaxError, UnicodeDecodeError):
        return b""
    return (text or "").encode("utf-8", "replace")


def _outcomes(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Import the first package of the names once, in a child, and each of them in a child of that."""
    tops = dict.fromkeys(name.partition(".")[0] for name in names)
    for top in tops:
        below = [name for name in names if name.partition(".")[0] == top]
        said = in_child(partial(_warm, top, below), SECONDS * (len(below) + 2))
        try:
            yield from json.loads(said).items()
        except ValueError:
            # Is it the package, or did one of its modules end the process that imported it?
            whole = in_child(partial(_imported, top), SECONDS) == "imported"
            for name in below:
                yield name, _alone(name) if whole else f"its package: {said}"


def _warm(top: str, names: Sequence[str]) -> str:
    importlib.import_module(top)
    return json.dumps({name: in_child(partial(_imported, name), SECONDS) for name in names})


def _alone(name: str) -> str:
    """What comes of an import that may end the process that has forked it."""
    child = partial(in_child, partial(_imported, name), SECONDS)
    return in_child(child, SECONDS + GRACE)


def _imported(name: str) -> str:
    importlib.import_module(name)
    return "imported"


def in_child(action: Callable[[], str], seconds: float) -> str:
    """What an action returns in a forked process with limits: else the exception, signal or time.

    The process has a scratch folder to work in, and it is killed with all that it started.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        for each in _answers:
            os.close(each)
        _answers.clear()
        _answers.add(writing)
        code = 1
        try:
            os.setpgid(0, 0)
            _limit()
            with tempfile.TemporaryDirectory() as scratch:
                os.chdir(scratch)
                answer = _said(action)
                os.chdir("/")
            _write(writing, answer.encode("utf-8", "replace"))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    said, ended = _read(reading, child, seconds)
    os.close(reading)
    if not ended:
        _kill(child)
        os.waitpid(child, 0)
        return f"no end within {seconds:g} s"
    _, status = os.waitpid(child, 0)
    _kill(child)
    code = os.waitstatus_to_exitcode(status)
    if said:
        return said.decode("utf-8", "replace")
    return f"signal {-code}" if code < 0 else f"it exited with {code}"


def _said(action: Callable[[], str]) -> str:
    try:
        return action()
    except BaseException as error:  # the outcome, of any kind
        return canonical(f"{type(error).__name__}: {error}")


def canonical(text: str) -> str:
    """A text without what differs from run to run: addresses, and folders of ours."""
    return _ADDRESS.sub("0x", text).replace(tempfile.gettempdir(), "/tmp")[:2000]  # noqa: S108


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)  # the process that forked may have one
    least = used + MEMORY if most == resource.RLIM_INFINITY else min(used + MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (least, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123 - to its end


def _write(pipe: int, content: bytes) -> None:
    while content:
        content = content[os.write(pipe, content) :]


def _read(pipe: int, child: int, seconds: float) -> tuple[bytes, bool]:
    """What comes out of a pipe until it or the child ends, and whether that was in time."""
    pieces: list[bytes] = []
    ends, gone = time.monotonic() + seconds, False
    while (left := ends - time.monotonic()) > 0:
        if select.select([pipe], [], [], 0 if gone else min(left, EVERY))[0]:
            if not (piece := os.read(pipe, 1 << 16)):
                return b"".join(pieces), True
            pieces.append(piece)
        elif gone:
            return b"".join(pieces), True  # what the child has forked holds the pipe
        else:
            gone = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return b"".join(pieces), False


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
