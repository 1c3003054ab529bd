"""Finds errors in code of a check or its service that no level raises.

A thread or a task that fails ends without its level: Python prints a traceback, and the level goes
on. Errors inside of packages do not count: they may be what a package expects.
"""

from __future__ import annotations

import logging
import threading
import traceback
from pathlib import Path
from types import TracebackType


class Unnoticed:
    """Collects such errors from its creation on, by the hooks that Python has for them."""

    def __init__(self, check: str) -> None:
        """`check`: the name of the check's file, as tracebacks show it."""
        self._check = check
        self._code = f"{Path.cwd()}/"
        self._faults: list[str] = []
        self._print_thread_error = threading.excepthook
        threading.excepthook = self._thread_failed
        logging.getLogger("asyncio").addHandler(_TaskErrors(self))

    def fault(self) -> str:
        """One of the errors until now, in words; "" if there is none."""
        return self._faults[0] if self._faults else ""

    def note(self, where: str, error: BaseException, trace: TracebackType | None) -> None:
        """Note an error, if its traceback leads through code of the check or its service."""
        for frame, _ in traceback.walk_tb(trace):
            file = frame.f_code.co_filename
            in_service = file.startswith(self._code) and "/site-packages/" not in file
            if in_service or file == self._check:
                kind = type(error).__name__
                self._faults.append(f"{kind} in {where}, which it does not notice")
                return

    def _thread_failed(self, args: threading.ExceptHookArgs) -> None:
        self._print_thread_error(args)
        # A thread ends by SystemExit as it means to.
        if args.exc_value is not None and args.exc_type is not SystemExit:
            self.note("a thread", args.exc_value, args.exc_traceback)


class _TaskErrors(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints what event loops log, uvloop's too, and notes errors of tasks and callbacks."""

    def __init__(self, unnoticed: Unnoticed) -> None:
        super().__init__()
        self._unnoticed = unnoticed

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        error = record.exc_info and record.exc_info[1]
        if error:
            self._unnoticed.note("a task", error, error.__traceback__)
