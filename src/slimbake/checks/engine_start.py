"""The start check of an image without Python: the engine runs its command, and is looked at from
outside.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from slimbake.checks.cure import Fault
from slimbake.docker.containers import Detached, detached
from slimbake.host.kernel import network_tables
from slimbake.inside.check.pace import Pace
from slimbake.inside.check.processes import listeners
from slimbake.inside.check.start import elsewhere

EVERY = 0.2  # seconds between two looks
_IDLE = 2.0  # seconds of doing nothing after which a command does not go on by itself


@dataclass(frozen=True, slots=True)
class NoStart:
    """Why a command does not start, and its last lines."""

    why: str
    fault: Fault
    words: list[str]


def engine_start(
    name: str, arguments: Sequence[str], port: int | None, limit: float, alive: float
) -> NoStart | None:
    """Why a command does not start in a container of this name; None where it does.

    `arguments`: options and image of `docker run`. With a port, it is to listen there; else to end
    with exit code 0, or to live for so many seconds, longer while it is busy. Where the engine runs
    elsewhere, its ports cannot be seen, and to live is enough. Raises SetupError.
    """
    with detached(name, arguments) as container:
        why, fault = container.refused, Fault()
        if not why:
            why, fault = _watch(container, port, limit, alive)
        return NoStart(why, fault, container.last_lines()) if why else None


def _watch(container: Detached, port: int | None, limit: float, alive: float) -> tuple[str, Fault]:
    """Why it does not start, "" where it does."""
    pace: Pace | None = None
    while True:
        code, pid = container.state()
        if code is not None:
            before = f" before it listened on port {port}" if port else ""
            ended = f"ended with exit code {code}{before}"
            return "" if code == 0 and not port else ended, Fault()
        ports = _listening(pid)
        if port and ports and port in ports:
            return "", Fault()
        pace = pace or Pace(pid)
        late = pace.seconds() > limit
        settled = pace.seconds() >= alive and pace.idle(_IDLE)
        if port and ports is not None:
            if late or (settled and ports):
                outcome = elsewhere(port, dict.fromkeys(ports, False))
                return outcome["error"], Fault(outcome.get("fault", ""))
        elif settled or late:
            return "", Fault()
        time.sleep(EVERY)


def _listening(pid: int) -> set[int] | None:
    """The TCP ports on which a container listens, by its first process; None where this machine
    does not see it.
    """
    tables = network_tables(pid)
    return set(listeners(tables)) if tables else None
