"""The start check of an image without Python: the engine runs its command, and is looked at from
outside.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from slimbake.docker.containers import Detached, detached
from slimbake.host.kernel import network_tables
from slimbake.inside.check.processes import cpu_seconds, listeners

EVERY = 0.2  # seconds between two looks
IDLE = 0.05  # of a processor, below which a command does nothing


def engine_start(
    name: str, arguments: Sequence[str], port: int | None, limit: float, alive: float
) -> str:
    """Why a command does not start in a container of this name, with its last lines, or "".

    `arguments`: options and image of `docker run`. With a port, it is to listen there; else to end
    with exit code 0, or to live for so many seconds, longer while it is busy. Where the engine runs
    elsewhere, its ports cannot be seen, and to live is enough. Raises SetupError.
    """
    with detached(name, arguments) as container:
        why = container.refused or _watch(container, port, limit, alive)
        return "\n".join((why, *container.last_lines())) if why else ""


def _watch(container: Detached, port: int | None, limit: float, alive: float) -> str:
    began, looks = time.monotonic(), [0.0]
    while True:
        lived = time.monotonic() - began
        code, pid = container.state()
        if code is not None:
            before = f" before it listened on port {port}" if port else ""
            return "" if code == 0 and not port else f"ended with exit code {code}{before}"
        ports = _listening(pid)
        if port and ports and port in ports:
            return ""
        looks.append(cpu_seconds(pid))
        idle = looks[-1] - looks[max(0, len(looks) - 10)] < IDLE * 10 * EVERY
        settled = lived >= alive and len(looks) > 10 and idle
        if port and ports is not None:
            if lived > limit or (settled and ports):
                others = " and ".join(map(str, sorted(ports)))
                return f"does not listen on port {port}{f' but on {others}' if others else ''}"
        elif settled or lived > limit:
            return ""
        time.sleep(EVERY)


def _listening(pid: int) -> set[int] | None:
    """The TCP ports on which a container listens, by its first process; None where this machine
    does not see it.
    """
    tables = network_tables(pid)
    return set(listeners(tables)) if tables else None
