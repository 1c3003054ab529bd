"""What starts take: slimbake's images beside plain Dockerfiles'. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import mb, ratio, seconds, table
from .inputs import Inputs, Json

OURS = "slimbake"
COMPILED = "bytecode: all"
FAST, SLOW = "1", "0.2"  # processors
AT_MOST = 1.03  # of the processor time of a start with all bytecode
HEADINGS = ("service", "image", "MB", "CPU s", "ratio", "s, 1 CPU", "s, 0.2 CPU")


def figures(inputs: Inputs) -> str:
    """What starts take in each way to build, and with bytecode by the rule beside all of it."""
    return "\n\n".join(
        (
            "Until the port listens. *CPU s*: the processor time of all processes of the container, as the"
            " kernel counts it for its control group. *s, 1 CPU*: seconds with `docker run --cpus`. Containers have"
            " their turns one after the other, without health checks; *ratio* to slimbake's is the median of the ratios within a"
            " turn. Plain Dockerfiles have the same wheels, Python's own image and no clean-up"
            " (`bench/baseline/plain`).",
            *_measured("The example", inputs.starts, "bench/starts.py --record"),
            *_measured(
                "Bytecode", inputs.bytecode, "bench/starts.py --record --bytecode", _verdict
            ),
        )
    )


def _measured(
    name: str, found: Json, command: str, verdict: Callable[[Json], str] = lambda _: ""
) -> Iterator[str]:
    services = found.get("services", {})
    if not services:
        yield f"{name}: {UNMEASURED}: run `{command}`."
        return
    yield (
        f"{name} (`{command}`), {found['turns']} turns, {found['slow_turns']} with 0.2 processors."
        f"{verdict(services)} Measured on: {found['machine']}."
    )
    yield table(HEADINGS, rows(services))


def _verdict(services: Json) -> str:
    reached = "not reached" if faults(services) else "true"
    return (
        f" A start takes at most {AT_MOST:g} times the processor time of one with all bytecode:"
        f" **{reached}**."
    )


def rows(services: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A line for each service and side."""
    for service, sides in services.items():
        for side, of in sides.items():
            yield (
                service,
                f"`{side}`",
                mb(of["bytes"]),
                seconds(processor_seconds(of)),
                ratio(relative(sides, side, OURS), 1),
                seconds(_middle(of, FAST, "seconds")),
                seconds(_middle(of, SLOW, "seconds")),
            )


def faults(services: Mapping[str, Any]) -> list[str]:
    """The services whose starts take too much processor time, in words."""
    found = []
    for service, sides in services.items():
        times = relative(sides, OURS, COMPILED)
        if times is not None and times > AT_MOST:
            found.append(f"{service}: a start takes {times:.3f} of one with all bytecode")
    return found


def relative(sides: Mapping[str, Any], side: str, beside: str) -> float | None:
    """How many times the processor time of another side a side takes: the median of all turns."""
    if side not in sides or beside not in sides:
        return None
    ours, theirs = (sides[name]["runs"][FAST] for name in (side, beside))
    ratios = [one["cpu"] / other["cpu"] for one, other in zip(ours, theirs, strict=True)]
    return median(ratios) if ratios else None


def processor_seconds(of: Mapping[str, Any]) -> float:
    """The median of all starts of an image with one processor."""
    return float(median(run["cpu"] for run in of["runs"][FAST]))


def _middle(of: Mapping[str, Any], cpus: str, key: str) -> float | None:
    runs = of["runs"][cpus]
    return median(run[key] for run in runs) if runs else None
