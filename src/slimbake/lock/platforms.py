"""Platforms as images, wheels and uv call them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

GLIBC = 41  # 2.41, of the runtime's Debian, 13
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}  # as the kernel and wheels call them


def marker(platform: str) -> str:
    """The environment marker (PEP 508) that holds on `linux/amd64` and nowhere else."""
    return f'platform_machine == "{MACHINES[platform]}"'


def uv_platform(platform: str) -> str:
    """uv's name for it; its newest is 2.40."""
    return f"{MACHINES[platform]}-manylinux_2_40"


@cache
def tags(python: str, platform: str) -> Mapping[Tag, int]:
    """The tags of wheels that CPython `python` ("3.11") loads there; the lower its number, the
    better one fits.
    """
    major, minor = (int(part) for part in python.split("."))
    machine = MACHINES[platform]
    platforms = [*(f"manylinux_2_{glibc}_{machine}" for glibc in range(GLIBC, 4, -1))]
    platforms += [
        *(f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")),
        f"linux_{machine}",
    ]
    version = (major, minor)
    found = (
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, f"cp{major}{minor}", platforms),
    )
    return {tag: place for place, tag in reversed(tuple(enumerate(found)))}


def fit(file: str, python: str, platform: str) -> int | None:
    """How well a wheel fits there, by its name: the lower, the better; None where it does not."""
    known = tags(python, platform)
    try:
        return min(
            (known[tag] for tag in parse_wheel_filename(file)[3] if tag in known), default=None
        )
    except InvalidWheelFilename:
        return None
