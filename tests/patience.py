"""Waiting without a limit that decides: a slow machine is no fault.

pytest's own limit (`timeout` in pyproject.toml) ends what hangs, and shows where.
"""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

LIMITS = (1.0, 5.0, 25.0, 125.0)
"""Seconds: an idle machine needs the first, a very busy one perhaps the last."""


def _always() -> bool:
    return True


def wait_for(holds: Callable[[], bool], what: str, alive: Callable[[], bool] = _always) -> None:
    """Wait until something holds, as long as what should bring it about is `alive`; name it where
    that ends first.
    """
    while not holds():
        assert alive() or holds(), f"{what} cannot come any more: what was waited for has ended"
        time.sleep(0.1)


def far_enough(
    run: Callable[[float], T], reached: Callable[[T], bool], limits: Iterable[float] = LIMITS
) -> T:
    """What `run` gives with the first of these limits that lets this machine get far enough.

    For what is to be ended by a limit, but not before it has begun.
    """
    for limit in limits:
        found = run(limit)
        if reached(found):
            break
    return found
