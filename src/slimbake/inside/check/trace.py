"""Runs an image's smoke, its verify or its service, and reports which files they use.

Python's audit events report what Python opens, lists, imports and runs (`audit`). Nothing reports
files that are only looked at (stat), or that a library opens itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cold.layout import TEXT
from ..rules import LayerFiles, module_of
from ..step import INSIDE, PREFIX
from . import surroundings
from .audit import LOG, READS
from .processes import descendants, listeners
from .turn import turn

GRACE = 10  # more seconds, in which it ends
LIMIT = 300  # seconds for a smoke or a verify
QUIET = 30  # seconds: what has used nothing new for so long is traced
IDLE = 10  # the same of what has no port: it may wait for ever, without a network
SERVES = 1  # the same once it listens at its port: a later call may find its modules cold
LOOKS = 0.2  # seconds between two looks at what processes have used
LAST_LINES = 12
BYTECODE = INSIDE / "bytecode"  # where Python keeps what it compiles
# The verify of a service that has none: a server is asked, another command runs to its end.
ASKS = """
import contextlib, http.client
def verify(service):
    if service.port is None:
        service.run()
        return
    for path in ("/health", "/slimbake-asks-for-what-is-not-there"):
        with contextlib.suppress(OSError, http.client.HTTPException):  # of another protocol
            service.get(path)
"""
# Of no image:
_NOT_FILES = ("/proc/", "/dev/", "/sys/", "/inside/", "/check.pyz", "/tmp/")  # noqa: S108


class Trace:
    """What this process and those that it starts use: those of Python, in this environment."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="slimbake-trace-"))
        self._folder.chmod(0o755)
        (self._folder / "sitecustomize.py").write_bytes(
            pkgutil.get_data(__package__, "audit.py") or b""
        )
        (self._folder / LOG).touch()
        (self._folder / LOG).chmod(0o666)  # they may run as another user
        self._distinct: set[str] = set()
        self._read = 0  # bytes of the log

    @property
    def environment(self) -> dict[str, str]:
        """The variables of this process, and what makes a Python report."""
        path = os.pathsep.join(filter(None, (str(self._folder), os.environ.get("PYTHONPATH"))))
        result = {**os.environ, "PYTHONPATH": path}
        if BYTECODE.is_dir():  # the image has none
            result.pop("PYTHONDONTWRITEBYTECODE", None)
            result["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
        return result

    def distinct(self) -> int:
        """How many files were reported until now, by whichever process."""
        with (self._folder / LOG).open("rb") as log:
            log.seek(self._read)
            whole, _, _ = log.read().rpartition(b"\0")
        self._read += len(whole) + bool(whole)
        self._distinct.update(path for _, path in _reported(whole))
        return len(self._distinct)

    def paths(self) -> Iterator[tuple[str, str]]:
        """How something was used, and its path, in the order of first uses; links as they are."""
        yield from _reported((self._folder / LOG).read_bytes())

    @property
    def seen(self) -> bool:
        """Whether any of it ran in a Python that reports what it uses."""
        return (self._folder / LOG).stat().st_size > 0


def _reported(log: bytes) -> Iterator[tuple[str, str]]:
    """The lines of a log that are about files of an image: how each was used, and its path."""
    for line in filter(None, log.split(b"\0")):
        how, _, path = os.fsdecode(line).partition("\t")
        if not path.startswith(_NOT_FILES):
            yield how, path


def _watch(
    process: subprocess.Popen[bytes],
    traced: Trace,
    seconds: float,
    quiet: float,
    port: int | None = None,
) -> None:
    """Wait until a process ends, for so many seconds, and until it has used nothing new for `quiet`
    seconds; once something listens at `port`, for SERVES seconds.
    """
    last, used = time.monotonic(), 0
    until = last + seconds
    while process.poll() is None and time.monotonic() < min(until, last + quiet):
        if (count := traced.distinct()) > used:
            used, last = count, time.monotonic()
        if port and port in listeners():
            port, quiet, last = None, SERVES, time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOKS)


@turn()
def trace_starts(arguments: Sequence[str]) -> None:
    """The program `starts FILE`: writes what a service's start and checks use of its packages.

    It runs as root in a step on the image, each check as the image runs. The variable TRACED holds
    an object: whether there is a `smoke`, as its variables name it; `verify`, a file of the
    context or ""; `command`, [] where it is not known, how many words of it are `fixed`, its `port`,
    and the `environment` of its start check.
    """
    (into,) = arguments
    if BYTECODE.is_dir():  # whoever is traced writes there; dockerd masks the mode of a mount
        Path(f"{BYTECODE}{PREFIX}").chmod(0o1777)
    report = _starts(json.loads(os.environ["TRACED"]))
    Path(into).write_text(json.dumps(report, indent=1, sort_keys=True), encoding="utf-8")


def _starts(service: Mapping[str, Any]) -> dict[str, Any]:
    os.environ["HOME"] = surroundings.home()
    fault, traced = "", Trace()
    if service["smoke"]:
        fault = _check(traced, ("smoke", "--as-nonroot"))
    if service["command"]:
        verify = service["verify"]
        source = (INSIDE / "context" / verify).read_text("utf-8") if verify else ASKS
        trace_service(traced, service, source, **surroundings.as_service())
    if not PREFIX.is_dir():  # its own Dockerfile has a base image without our prefix
        return {"modules": {}, "read": [], "seen": False, "fault": fault}
    return _of_packages(traced, LayerFiles.of_image(PREFIX)) | {"seen": traced.seen, "fault": fault}


def trace_service(traced: Trace, service: Mapping[str, Any], source: str, **user: Any) -> None:
    """Run the service and its verify, of this text; how they end does not matter.

    A smoke calls its service in process: what only a server imports is seen here. `service`: see
    `trace_starts`; `user`: as subprocess.Popen takes it.
    """
    question = {
        "source": source,
        "name": service["verify"] or "verify.py",
        "command": service["command"],
        "fixed": service["fixed"],
        "port": service["port"],
        "env": service["environment"],
        "limit": LIMIT,
    }
    # It calls each route more than once: a bake has no time for the last of them.
    port, given = service["port"], json.dumps(question)
    _check(traced, ("verify",), given, quiet=QUIET if port else IDLE, port=port, **user)


def _check(
    traced: Trace,
    arguments: Sequence[str],
    given: str = "",
    *,
    quiet: float = LIMIT,
    port: int | None = None,
    **user: Any,
) -> str:
    """Run a program of check.pyz; "" where it holds, else what it said last."""
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+") as question,
    ):
        question.write(given)
        question.seek(0)
        check = subprocess.Popen(
            # a judge is not traced, the child that it starts is
            [sys.executable, "-ISB", sys.argv[0], *arguments],
            stdin=question,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=traced.environment,
            start_new_session=True,
            **user,
        )
        _watch(check, traced, LIMIT + GRACE, quiet, port)
        for pid in (check.pid, *descendants(check.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code = check.wait()
        output.seek(0)
        last = output.read().splitlines()[-LAST_LINES:]
    return "\n".join((f"its {arguments[0]} failed", *last)) if code else ""


def _of_packages(traced: Trace, layer: LayerFiles) -> dict[str, Any]:
    """What was used of what RECORDs list, as the lines of warm lists name it, each with its package:
    modules that were imported, files that were opened and folders that were listed by their paths;
    and those of the modules whose sources were read. A module need not lie on disk: it may have come
    from a cold store.
    """
    packages = {name: owner for name, (owner, _) in layer.owners.items() if name.endswith(".py")}
    folders = {
        f"{name.rpartition('/')[0]}/": owner for name, owner in packages.items() if "/" in name
    }
    modules, read, listed = set(), set(), set()
    for how, path in traced.paths():
        name = layer.name(Path(path)) if path.startswith(f"{layer.site}/") else ""
        if how not in READS:
            modules.add(module_of(name))
        elif name.endswith(".py"):
            read.add(name)
        else:
            listed.add(f"{name}/")
    opened = {f"{name}{TEXT}": packages[name] for name in (read & packages.keys()) - modules}
    return {
        "modules": opened
        | {name: packages[name] for name in modules & packages.keys()}
        | {name: folders[name] for name in listed & folders.keys()},
        "read": sorted(read & modules & packages.keys()),
    }
