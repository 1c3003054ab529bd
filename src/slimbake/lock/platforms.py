"""Platforms as images, wheels and uv call them. Pure."""

from __future__ import annotations

from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags

GLIBC = 41  # 2.41, of the runtime's Debian, 13
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


def marker(platform: str) -> str:
    """The environment marker (PEP 508) that holds on `linux/amd64` and nowhere else."""
    return f'platform_machine == "{_MACHINES[platform]}"'


def uv_platform(platform: str) -> str:
    """uv's name for it; its newest is 2.40."""
    return f"{_MACHINES[platform]}-manylinux_2_40"


@cache
def tags(python: str, platform: str) -> frozenset[Tag]:
    """The tags of wheels that CPython `python` ("3.11") loads there."""
    major, minor = (int(part) for part in python.split("."))
    machine = _MACHINES[platform]
    platforms = [*(f"manylinux_2_{glibc}_{machine}" for glibc in range(5, GLIBC + 1)), f"linux_{machine}"]
    platforms += [f"manylinux{year}_{machine}" for year in ("1", "2010", "2014")]
    version = (major, minor)
    return frozenset((*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)))
