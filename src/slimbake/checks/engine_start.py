"""The start check of an image without Python: the engine runs its command, and is looked at from
outside.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slimbake.checks.cure import Fault
from slimbake.docker.containers import Detached, detached
from slimbake.host.kernel import network_tables
from slimbake.inside.check.pace import Pace
from slimbake.inside.check.processes import listeners
from slimbake.inside.check.start import elsewhere

EVERY = 0.2  # seconds between two looks
_UNSEEN = Fault()
_IDLE = 2.0  # seconds of doing nothing after which a command does not go on by itself


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of starting a command."""

    why: str = ""  # it does not start, as in "its command ..."; "" where it does
    fault: Fault = _UNSEEN
    words: Sequence[str] = ()  # its last lines
    # Its stop signal does not end it: whether it would end a process that it has started.
    deaf: bool | None = None


def engine_start(
    name: str, arguments: Sequence[str], port: int | None, limit: float, alive: float
) -> Outcome:
    """Whether a command starts in a container of this name.

    `arguments`: options and image of `docker run`. With a port, it is to listen there; else to end
    with exit code 0, or to live for so many seconds, longer while it is busy. Where the engine runs
    elsewhere, its ports cannot be seen, and to live is enough. Raises SetupError.
    """
    with detached(name, arguments) as container:
        outcome = Outcome(container.refused)
        if not outcome.why:
            outcome = _watch(container, port, limit, alive)
        if outcome.why:
            outcome = replace(outcome, words=container.last_lines())
        return outcome


def _watch(container: Detached, port: int | None, limit: float, alive: float) -> Outcome:
    pace: Pace | None = None
    while True:
        code, pid = container.state()
        if code is not None:
            ended = f"ended with exit code {code}"
            if port:
                return Outcome(f"{ended} before it listened on port {port}")
            return Outcome(ended if code else "")
        pace = pace or Pace(pid)
        late = pace.seconds() > limit
        settled = pace.seconds() >= alive and pace.idle(_IDLE)
        ports = _listening(pid) if port else None
        if port and ports is not None:
            if port in ports:
                return Outcome()
            if late or (settled and ports):
                found = elsewhere(port, dict.fromkeys(ports, False))
                return Outcome(found["error"], Fault(found.get("fault", "")))
        elif settled or late:
            return Outcome()
        time.sleep(EVERY)


def _listening(pid: int) -> set[int] | None:
    """The TCP ports on which a container listens, by its first process; None where this machine
    does not see it.
    """
    tables = network_tables(pid)
    return set(listeners(tables)) if tables else None
