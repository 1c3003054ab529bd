"""Many calls to a registry at once, with an end however long it is silent or trickles."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeVar

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
    answers: list[Future[T]] = [Future() for _ in calls]
    jobs = list(zip(calls, answers, strict=True))[::-1]
    over = threading.Event()

    def work() -> None:
        with contextlib.suppress(IndexError):  # no job is left
            while not over.is_set():
                call, answer = jobs.pop()
                try:
                    answer.set_result(call())
                except Exception as error:
                    answer.set_exception(error)

    for _ in range(min(threads, len(calls))):
        threading.Thread(target=work, daemon=True, name="ask a registry").start()
    wait(answers, seconds)
    over.set()
    why = f"gives no answer within {seconds:g} s"
    late = RegistryError(f"the registry {why}", why=why)
    return [_given(answer) if answer.done() else late for answer in answers]


def _given(answer: Future[Any]) -> Any:
    try:
        return answer.result()
    except RegistryError as error:
        return error
