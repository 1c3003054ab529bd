"""Starts a container, and measures it until its port listens."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from slimbake.docker.command import call
from slimbake.errors import CheckError, SetupError
from slimbake.inside.check.processes import listeners

LIMIT = 300.0  # seconds for a start
EVERY = 0.005  # seconds between two looks: what a start is sharp to
CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Start:
    """What a container took until its port listened."""

    cpu: float  # seconds of the processor, of all its processes: what `docker stats` counts
    seconds: float  # from when the engine had started it


def start(
    image: str, port: int, cpus: float, options: Sequence[str], command: Sequence[str]
) -> Start:
    """One start without a network. `cpus`: as `docker run` takes it; `options`: more of these;
    `command`: what runs, () for what the image says.

    Raises CheckError where the port does not listen, and SetupError where the engine runs on
    another machine, so that nothing can be read of it here.
    """
    name = f"slimbake-bench-start-{uuid.uuid4().hex[:8]}"
    # A health check starts another Python every second, which is no part of the service's start.
    words = (f"--name={name}", f"--cpus={cpus:g}", "--network=none", "--no-healthcheck", *options)
    call("create", *words, image, *command)
    try:
        call("start", name)
        state = json.loads(call("inspect", "--format={{json .State}}", name))
        return _measured(name, state["Pid"], port, _seconds_of(state["StartedAt"]))
    finally:
        with contextlib.suppress(SetupError):
            call("rm", "--force", "--volumes", name)


def _measured(name: str, pid: int, port: int, began: float) -> Start:
    process = PROC / str(pid)
    used = _processor(process)
    while port not in listeners(process / "net"):
        if not process.exists():
            raise CheckError(f"{name} ended before it listened\n{call('logs', '--tail=12', name)}")
        if time.time() > began + LIMIT:
            raise CheckError(f"{name} does not listen within {LIMIT:g} s")
        time.sleep(EVERY)
    seconds = time.time() - began
    return Start(_usage(used), seconds)


def _processor(process: Path) -> Path:
    """The file in which the kernel counts the processor time of a process's control group."""
    try:
        lines = (process / "cgroup").read_text().splitlines()
    except OSError:
        raise SetupError(
            "the processes of containers cannot be seen from here",
            "run this on the machine of the engine",
        ) from None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder = path.lstrip("/")
        if "cpuacct" in controllers.split(","):  # version 1
            return CGROUPS / controllers / folder / "cpuacct.usage"
    # version 2 has one line, without controllers
    return CGROUPS / folder / "cpu.stat"


def _usage(file: Path) -> float:
    """Seconds of the processor."""
    text = file.read_text()
    if file.name == "cpuacct.usage":
        return int(text) / 1e9
    fields = dict(line.split() for line in text.splitlines())
    return int(fields["usage_usec"]) / 1e6


def _seconds_of(moment: str) -> float:
    """A time of the engine, `2026-12-01T18:26:50.192887608Z`, as `time.time()` has it."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
