"""Runs an image's smoke, or its service, and says which files it uses. Standard library only.

Python reports what it opens, imports, loads and starts (PEP 578); what the loader or a library maps without it stands
in /proc/self/maps. Nothing reports what is only looked at (stat), and nothing what a library opens and closes itself.
Passes may be applied before, as in a trial. What is asked for comes as JSON on standard input; the answer is the last
line of standard output.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .passes import Packages, apply, of_json, source
else:
    from passes import Packages, apply, of_json, source

PREFIX = Path("/opt/slimbake")
TOOLS = Path("/inside/tools")
SECONDS = 60  # in which a service answers
GRACE = 10  # more, in which it ends
_PATHS = {"open": 0, "import": 1, "ctypes.dlopen": 0, "os.exec": 0, "os.posix_spawn": 0, "subprocess.Popen": 0}
"""Events of Python's audit, and which of their arguments is a file."""
_MAPPED = re.compile(r"\S+ \S+ \S+ \S+ [1-9]\d* +(/.+?)(?: \(deleted\))?\n?")
_PYTHON = re.compile(r"(?:.*/)?python[\d.]*")
_CHANGE_NOTHING = ("-u", "-B")  # the variables of images say so anyway
_NOT_FILES = ("/proc/", "/dev/", "/sys/", "/inside/", "/tmp/")  # noqa: S108 - of no image


class UntraceableError(Exception):
    """A command is no program of Python; the text says what it is."""


class Trace:
    """What this process and those that it forks use from now on."""

    def __init__(self) -> None:
        # A file that is appended to, since a forked process shares no memory; one that it executes is not seen.
        self._log: IO[bytes] = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 - till the end
        self._seen: set[str] = set()
        self._busy = False

    def install(self) -> None:
        """Begin. There is no end: Python has no way to take a hook of its audit away."""
        sys.addaudithook(self._hook)
        os.register_at_fork(before=self.maps, after_in_child=self._seen.clear)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        which = _PATHS.get(event)
        if which is None or self._busy:
            return
        path = arguments[which]
        if isinstance(path, bytes | str | os.PathLike):
            self._add(os.fsdecode(path), event)

    def _add(self, path: str, how: str) -> None:
        if path and path not in self._seen:
            self._seen.add(path)
            whole = os.path.normpath(Path.cwd() / path)
            if not whole.startswith(_NOT_FILES):
                os.write(self._log.fileno(), os.fsencode(f"{how}\t{whole}\0"))

    def maps(self) -> None:
        """Add what is mapped now: shared libraries, and data that a library maps itself."""
        self._busy = True
        with Path("/proc/self/maps").open() as maps:
            for found in filter(None, map(_MAPPED.fullmatch, maps)):
                self._add(found[1], "map")
        self._busy = False

    def modules(self) -> None:
        """Add the modules that were there before the hook, such as those that a .pth imports at every start."""
        for module in list(sys.modules.values()):
            spec = getattr(module, "__spec__", None)
            cached, origin = getattr(spec, "cached", None) or "", getattr(spec, "origin", None) or ""
            path = cached if os.path.isfile(cached) else origin  # noqa: PTH113 - also of odd strings
            if path.startswith("/"):
                self._add(path, "import")

    def result(self) -> dict[str, str]:
        """The files that are there, links followed too: path -> how it was used first."""
        self.maps()
        self.modules()
        self._busy = True
        self._log.seek(0)
        used: dict[str, str] = {}
        for each in filter(None, self._log.read().split(b"\0")):
            how, _, path = os.fsdecode(each).partition("\t")
            for name in {path, os.path.realpath(path)}:
                if os.path.isfile(name):  # noqa: PTH113
                    used.setdefault(name, how)
        return dict(sorted(used.items()))


def with_sources(used: Mapping[str, str]) -> dict[str, str]:
    """Add the module of each file of bytecode: Python only looks at it, and does not load the bytecode without."""
    sources = {source(path): "bytecode" for path in used if source(path) != path and os.path.isfile(source(path))}  # noqa: PTH113
    return sources | dict(used)


def listing(packages: Packages) -> Iterator[tuple[str, int, str, str]]:
    """Every file below the prefix: its name as passes call it, bytes, package, version."""
    for name, path in sorted(packages.files.items()):
        yield (name, path.lstat().st_size, *packages.owner(name))


def main() -> int:
    asked = json.load(sys.stdin)
    packages = Packages(PREFIX, (Path(f, name) for f, _, names in os.walk(PREFIX) for name in names))
    files = list(listing(packages))
    apply(packages, [of_json(each) for each in asked.get("passes", ())], TOOLS, compiled=True)
    answer = os.dup(1)  # the smoke's own output goes elsewhere
    runner = _beside("smoke.py")
    trace = Trace()
    untraced = ""
    try:
        command = asked.get("command")
        held = smoked(runner, trace) if command is None else served(runner, trace, command, asked.get("port"))
    except UntraceableError as error:
        held, untraced = False, str(error)
    used = with_sources(trace.result())
    own = {path: how for path, how in used.items() if path.startswith(f"{PREFIX}/")}
    told = {
        "held": held,
        "untraced": untraced,
        "files": files,
        "used": {packages.name(Path(path)): how for path, how in own.items()},
        "elsewhere": {path: [os.stat(path).st_size, how] for path, how in used.items() if path not in own},  # noqa: PTH116
    }
    with os.fdopen(answer, "w", encoding="utf-8") as result:
        print(f"\n{json.dumps(told)}", file=result)
    return 0


def smoked(runner: Any, trace: Trace) -> bool:
    """Run the smoke as a trial does; whether it held."""
    sys.argv[1:] = ["--as-nonroot"]
    trace.install()
    return bool(runner.main() == 0)


def served(runner: Any, trace: Trace, command: list[str], port: int | None) -> bool:
    """Run the service's own command to its end; ask a server, then end it. Whether it answers.

    A smoke calls its service in process: what a server alone imports is seen only so. How it ends counts for nothing.
    Raises UntraceableError.
    """
    runner.become_nonroot()
    run, folder, arguments = program(command)
    # Forked: a service may end itself at once when it is told to, and with it all that it knows.
    if not (service := os.fork()):
        os.dup2(2, 1)
        signal.signal(signal.SIGUSR1, lambda *_: trace.maps())
        sys.path[0] = str(folder)
        sys.argv = arguments
        trace.install()
        with contextlib.suppress(BaseException):
            run(arguments[0], run_name="__main__")
        trace.maps()
        os._exit(0)
    answered = _ask(port) if port else True
    for number, seconds in ((0, 0 if port else SECONDS), (signal.SIGUSR1, 1), (signal.SIGTERM, GRACE), (9, GRACE)):
        os.kill(service, number)  # one that has ended is there until it is waited for
        if _ended(service, seconds):
            break
    return answered


def program(command: Sequence[str]) -> tuple[Callable[..., Any], Path, list[str]]:
    """What of runpy runs a command in this process, the folder that it imports from first, and its arguments.

    `python -m MODULE`, `python FILE`, or the name of a script of Python, as packages install them. Raises
    UntraceableError.
    """
    first, *arguments = command
    if not _PYTHON.fullmatch(first):
        script = shutil.which(first)
        if not script:
            raise UntraceableError(f"{first} is not there")
        with Path(script).open("rb") as file:
            if not re.match(rb"#!.*/python[\d.]*\s", file.readline(200)):
                raise UntraceableError(f"{script} is no script of Python")
        arguments = [script, *arguments]
    while arguments and arguments[0] in _CHANGE_NOTHING:
        del arguments[0]
    if arguments[:1] == ["-m"] and len(arguments) > 1:
        return functools.partial(runpy.run_module, alter_sys=True), Path.cwd(), arguments[1:]
    if not arguments or not Path(arguments[0]).is_file():
        raise UntraceableError(f"{' '.join(command)} names neither a module nor a file that is there")
    return runpy.run_path, Path(arguments[0]).resolve().parent, arguments


def _ended(process: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True


def _ask(port: int) -> bool:
    """Ask a server on loopback, as soon as it listens, for its health and for what it has not: whether it answers."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            for path in ("/health", "/slimbake-asks-for-what-is-not-there"):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                    connection.sendall(asked.encode())
                    if not connection.recv(1 << 16).startswith(b"HTTP/1."):
                        return False
                    while connection.recv(1 << 16):
                        pass
            return True
        except OSError:
            time.sleep(0.1)
    return False


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("runner", Path(__file__).with_name(name))
    assert spec and spec.loader  # noqa: S101 - for the type checker
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    exit_code = main()
    sys.stderr.flush()
    os._exit(exit_code)  # as smoke.py does, and for the same reason
