"""What a running container has resident, as the kernel of this machine counts it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from slimbake.docker.command import call

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of all processes of a container, summed; pages that two of them share count twice."""

    rss: int  # VmRSS: anonymous memory and mapped files
    anonymous: int  # of these, what no other replica can share
    peak: int  # VmHWM, each process at its own time
    # memory.current: with the page cache that the container was charged for; None: not readable
    cgroup: int | None

    def as_json(self) -> dict[str, int | None]:
        return asdict(self)


def memory(container: str) -> Memory | None:
    """None where its processes cannot be seen from here, as with an engine on another machine."""
    state = json.loads(call("inspect", container))[0]
    pid, command = state["State"]["Pid"], [state["Path"], *state["Args"]]
    if not pid or _command(pid) != command:
        return None
    found = [status for number in _tree(pid) if (status := _status(number)) is not None]
    rss, anonymous, peak = (
        sum(status[key] for status in found) for key in ("VmRSS", "RssAnon", "VmHWM")
    )
    return Memory(rss, anonymous, peak, _cgroup(pid))


def _command(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in (PROC / str(pid) / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _tree(int(child))


def _status(pid: int) -> dict[str, int] | None:
    """Bytes by the kernel's names; None for a process that has ended."""
    with contextlib.suppress(OSError, KeyError, ValueError):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return {key: int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "RssAnon", "VmHWM")}
    return None


def _cgroup(pid: int) -> int | None:
    """Of version 2, or of version 1 with the controller `memory`."""
    with contextlib.suppress(OSError, ValueError):
        for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                return int((CGROUPS / path.lstrip("/") / "memory.current").read_text())
            if "memory" in controllers.split(","):
                return int(
                    (CGROUPS / "memory" / path.lstrip("/") / "memory.usage_in_bytes").read_text()
                )
    return None
