"""Limits of memory and time for what somebody else wrote and this process runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from slimbake.host.kernel import little_memory

MEMORY = 1 << 30  # bytes more than before
SECONDS = 60.0  # of processor time
AGAIN = 1.0


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Have what runs here end. It raises MemoryError and TimeoutError where it takes more. The time is
    limited in the main thread alone, which gets the signal.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(little_memory(MEMORY))
        if threading.current_thread() is threading.main_thread():
            stack.enter_context(_little_time())
        yield


@contextlib.contextmanager
def _little_time() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it takes more than {SECONDS:g} s")

    before = signal.signal(signal.SIGVTALRM, end)
    # Again and again: who catches every error, as compilers of templates do, catches this one, too.
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
