"""Many calls to a registry at once, with an end however long it is silent or trickles."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from slimbake.registry.errors import RegistryError

T = TypeVar("T")


def ask_together(
    calls: Sequence[Callable[[], T]], seconds: float, threads: int
) -> list[T | RegistryError]:
    """What each call gives, in order, or why it gives nothing.

    A call that has not ended after so many `seconds` counts as a RegistryError. Its thread is left
    behind: Python can end none, and none keeps the process from ending, which is why this is no
    ThreadPoolExecutor.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()
    over = threading.Event()
    for index in range(len(calls)):
        waiting.put(index)

    def work() -> None:
        while not over.is_set():
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((index, calls[index]()))
            except Exception as error:
                done.put((index, error))

    for _ in range(min(threads, len(calls))):
        threading.Thread(target=work, daemon=True, name="ask a registry").start()
    return _collected(done, len(calls), seconds, over)


def _collected(
    done: queue.SimpleQueue[tuple[int, T | Exception]],
    count: int,
    seconds: float,
    over: threading.Event,
) -> list[T | RegistryError]:
    why = f"gives no answer within {seconds:g} s"
    found: list[T | RegistryError] = [
        RegistryError(f"the registry {why}", why=why) for _ in range(count)
    ]
    deadline = time.monotonic() + seconds
    try:
        for _ in range(count):
            index, value = done.get(timeout=max(0.001, deadline - time.monotonic()))
            if isinstance(value, Exception) and not isinstance(value, RegistryError):
                raise value
            found[index] = value
    except queue.Empty:
        pass
    finally:
        over.set()
    return found
