"""Runs an image's smoke, or its service, and reports which files it uses.

Python's audit events report what Python opens, imports, loads and starts (PEP 578); what the loader
or a library maps without Python is in /proc/self/maps. Nothing reports files that are only looked
at (stat), or that a library opens and closes itself. Passes may be applied before, as in a trial.
"""

from __future__ import annotations

import contextlib
import functools
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
from typing import IO, Any

from ..passes import LayerFiles, apply_passes, module_of, parse_pass
from ..step import INSIDE, PREFIX
from . import smoke

TOOLS = INSIDE / "tools"
SECONDS = 60  # in which a service answers
GRACE = 10  # more seconds, in which it ends
_PATHS = {
    "open": 0,
    "import": 1,
    "ctypes.dlopen": 0,
    "os.exec": 0,
    "os.posix_spawn": 0,
    "subprocess.Popen": 0,
}
"""Python's audit events, and which of their arguments is a file."""
_MAPPED = re.compile(r"\S+ \S+ \S+ \S+ [1-9]\d* +(/.+?)(?: \(deleted\))?\n?")
_PYTHON = re.compile(r"(?:.*/)?python[\d.]*")
_CHANGE_NOTHING = ("-u", "-B")  # the variables of images say so anyway
# Of no image:
_NOT_FILES = ("/proc/", "/dev/", "/sys/", "/inside/", "/check.pyz", "/tmp/")  # noqa: S108


class UntraceableError(Exception):
    """A command is no program of Python; the text says what it is."""


class Trace:
    """What this process and those that it forks use from now on."""

    def __init__(self) -> None:
        # A file that is appended to: a forked process shares no memory. What it executes is not
        # seen.
        self._log: IO[bytes] = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115
        self._seen: set[str] = set()
        self._busy = False

    def install(self) -> None:
        """Begin. There is no end: Python cannot remove an audit hook."""
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
        """Add the modules from before the hook, such as those that a .pth imports at a start."""
        for module in list(sys.modules.values()):
            spec = getattr(module, "__spec__", None)
            cached, origin = (getattr(spec, key, None) or "" for key in ("cached", "origin"))
            path = cached if os.path.isfile(cached) else origin  # noqa: PTH113 - also odd strings
            if path.startswith("/"):
                self._add(path, "import")

    def result(self) -> dict[str, str]:
        """The files that exist, links followed too: path -> how it was used first."""
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


def add_sources(used: Mapping[str, str]) -> dict[str, str]:
    """Add the module of each bytecode file, which Python looks at and does not open."""
    modules = {module_of(path) for path in used} - used.keys()
    return {path: "bytecode" for path in modules if Path(path).is_file()} | dict(used)


def list_files(layer: LayerFiles) -> Iterator[tuple[str, int, str, str]]:
    """Every file below the prefix: its name as passes have it, bytes, package, version."""
    for name, path in sorted(layer.files.items()):
        yield (name, path.lstat().st_size, *layer.owner(name))


def run_trace(_: Sequence[str]) -> None:
    """The program `trace`: an object on standard input; the last line of output is the answer.

    The object has the `passes` to apply; and a `command` with its `port`, to run in place of the
    smoke.
    """
    asked = json.load(sys.stdin)
    layer = LayerFiles.of_image(PREFIX)
    files = list(list_files(layer))
    passes = [parse_pass(each) for each in asked.get("passes", ())]
    apply_passes(layer, passes, TOOLS, compiled=True)
    answer = os.dup(1)  # the smoke's own output goes elsewhere
    traced = Trace()
    held, untraced = False, ""
    try:
        command = asked.get("command")
        held = (
            trace_smoke(traced)
            if command is None
            else trace_command(traced, command, asked.get("port"))
        )
    except UntraceableError as error:
        untraced = str(error)
    used = add_sources(traced.result())
    own = {path: how for path, how in used.items() if path.startswith(f"{PREFIX}/")}
    others = {path: how for path, how in used.items() if path not in own}
    found = {
        "held": held,
        "untraced": untraced,
        "files": files,
        "used": {layer.name(Path(path)): how for path, how in own.items()},
        "elsewhere": {path: [Path(path).stat().st_size, how] for path, how in others.items()},
    }
    with os.fdopen(answer, "w", encoding="utf-8") as result:
        print(f"\n{json.dumps(found)}", file=result)


def trace_smoke(traced: Trace) -> bool:
    """Run the smoke as a trial does; whether it held."""
    traced.install()
    return smoke.run_smoke(["--as-nonroot"]) == 0


def trace_command(traced: Trace, command: Sequence[str], port: int | None) -> bool:
    """Run the service's own command to its end, or ask a server and then end it.

    Returns whether the server answers; how it ends does not matter. A smoke calls its service in
    process: what only a server imports is seen here. Raises UntraceableError.
    """
    smoke.become_nonroot()
    run, folder, arguments = python_program(command)
    # Forked: a service may exit at once on SIGTERM, and with it the trace would be lost.
    if not (service := os.fork()):
        os.dup2(2, 1)
        signal.signal(signal.SIGUSR1, lambda *_: traced.maps())
        sys.path[0] = str(folder)
        sys.argv = arguments
        traced.install()
        with contextlib.suppress(BaseException):
            run(arguments[0], run_name="__main__")
        traced.maps()
        os._exit(0)
    answered = _ask(port) if port else True
    for number, seconds in (
        (0, 0 if port else SECONDS),
        (signal.SIGUSR1, 1),
        (signal.SIGTERM, GRACE),
        (signal.SIGKILL, GRACE),
    ):
        os.kill(service, number)  # a process that has ended exists until it is waited for
        if _ended(service, seconds):
            break
    return answered


def python_program(command: Sequence[str]) -> tuple[Callable[..., Any], Path, list[str]]:
    """How to run a command in this process.

    The function of runpy, the folder that it imports from first, and its arguments. A command is
    `python -m MODULE`, `python FILE`, or the name of a Python script, as packages install them.
    Raises UntraceableError.
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
        raise UntraceableError(
            f"{' '.join(command)} names neither a module nor a file that is there"
        )
    return runpy.run_path, Path(arguments[0]).resolve().parent, arguments


def _ended(process: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True


def _ask(port: int) -> bool:
    """Whether a server on loopback answers, once it listens, to its health page and to a 404."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            for path in ("/health", "/slimbake-asks-for-what-is-not-there"):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    connection.sendall(
                        f"GET {path} HTTP/1.1\r\n"
                        "Host: localhost\r\nConnection: close\r\n\r\n".encode()
                    )
                    if not connection.recv(1 << 16).startswith(b"HTTP/1."):
                        return False
                    while connection.recv(1 << 16):
                        pass
            return True
        except OSError:
            time.sleep(0.1)
    return False
