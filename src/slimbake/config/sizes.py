"""Sizes as people write them."""

from __future__ import annotations

import re

from slimbake.config.report import RefusedError

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_FORM = "such as 640MB or 1.2GB; units are B, kB, MB, GB (decimal) and KiB, MiB, GiB"
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)?")


def size(written: str | int) -> int:
    """Bytes; MB is 1e6, MiB is 2**20. RefusedError when it is no size."""
    if isinstance(written, int):
        return written
    match = _SIZE.fullmatch(written.strip())
    unit = _UNITS.get((match[2] or "B").upper()) if match else None
    if match is None or unit is None:
        raise RefusedError(f"'{written}' is no size", _FORM)
    whole, _, fraction = match[1].partition(".")
    result: int = int(whole) * unit + int(fraction or 0) * unit // int("1" + "0" * len(fraction))
    if result < 1:
        raise RefusedError(
            f"'{written}' is less than one byte",
            _FORM,
        )
    return result
