"""The text of a lock file: requirements that uv and pip install from, with what else is known as
comments. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from slimbake.host.sources import Source, parse_source
from slimbake.host.wheels import Wheel
from slimbake.inside.lines import lines_of
from slimbake.inside.locked import ASKED, BUILT, HEADER, SOURCE, Fault, lock_entries, source_line
from slimbake.lock.model import Pin

EXACT = (SOURCE, BUILT)  # comments that say what an image holds


def lock_text(pins: Iterable[Pin], source: Source | None = None) -> str:
    """The lock file of one scope: only what is pinned, so that its digest changes with that and
    with nothing else. `source`: what the scope builds a wheel from.
    """
    first = f"{SOURCE}{source.text()}\n" if source else ""
    return HEADER + first + "".join(_text(pin) for pin in sorted(pins, key=_order))


def source_of(text: str) -> Source | None:
    """What a lock says that a wheel is built from; None where it says nothing of the kind."""
    try:
        return parse_source(source_line(text))
    except Fault:
        return None


def _order(pin: Pin) -> tuple[object, ...]:
    wheels = [
        (wheel.file, -1 if wheel.bytes is None else wheel.bytes, wheel.sha256)
        for wheel in pin.wheels
    ]
    return pin.name, pin.version, wheels, pin.via, pin.marker


def _text(pin: Pin) -> str:
    lines = []
    if pin.via:
        reasons = [ASKED] if "" in pin.via else []
        names = ", ".join(name for name in pin.via if name)
        if names:
            reasons.append(f"via {names}")
        lines.append(f"# {', '.join(reasons)}")
    if pin.built:
        # A comment: no index has the wheel, and the scope's build gets it from a stage of its own.
        marked = f" ; {pin.marker}" if pin.marker else ""
        lines.append(f"{BUILT}{pin.built}: {pin.name}=={pin.version}{marked}")
        return "".join(f"{line}\n" for line in lines)
    for wheel in pin.wheels:
        size = "-" if wheel.bytes is None else str(wheel.bytes)
        lines.append(f"# {wheel.file} {size}")
    lines += requirement_lines(pin)
    return "".join(f"{line}\n" for line in lines)


def requirement_lines(pin: Pin) -> list[str]:
    """A package as uv and pip install it: the exact version with the hashes of its wheels. None of
    one whose wheel is built here.
    """
    if pin.built:
        return []
    marked = f" ; {pin.marker}" if pin.marker else ""
    lines = [f"{pin.name}=={pin.version}{marked}", *(f"    --hash={value}" for value in pin.hashes)]
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


def lock_digest(texts: Iterable[str]) -> str:
    """The SHA-256 of locks one after the other, without their comments."""
    return "sha256:" + hashlib.sha256("".join(map(without_comments, texts)).encode()).hexdigest()


@lru_cache(64)  # each service asks for those of its bases
def without_comments(text: str) -> str:
    """A lock less the comments that say nothing of what an image holds."""
    lines = [line for line in lines_of(text) if not line.startswith("#") or line.startswith(EXACT)]
    return "\n".join([*lines, ""])


def parse_pins(text: str) -> tuple[Pin, ...]:
    """Read a lock file as `lock_text` writes it; none of "". Raises Fault for anything else, with its
    line.
    """
    pins = []
    for package in lock_entries(text):
        wheels = tuple(
            Wheel(file, None if size == "-" else int(size), sha256)
            for (file, size), sha256 in zip(package.files, package.hashes, strict=True)
        )
        pins.append(
            Pin(package.name, package.version, wheels, package.via, package.marker, package.origin)
        )
    return tuple(sorted(pins, key=_order))
