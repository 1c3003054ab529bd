"""The machine that something was measured on: no figure means anything without it."""

from __future__ import annotations

import os
import platform


def hardware() -> str:
    """The machine in a line."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {memory() / 2**30:.0f} GiB, Linux"
        f" {platform.release()}"
    )


def memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
