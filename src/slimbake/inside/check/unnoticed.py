"""Finds errors in code of a check or its service that no level raises.

A thread, a task or a process that fails ends without its level: Python prints a traceback, and the
level goes on. Errors inside of packages do not count: they may be what a package expects.
"""

from __future__ import annotations

import logging
import multiprocessing.process
import sys
import threading
import traceback
import unittest
import warnings
from collections.abc import Callable
from pathlib import Path
from types import CoroutineType, TracebackType
from typing import Any

Process = multiprocessing.process.BaseProcess
_exit_code: Callable[[Process], int | None] = Process.__dict__["exitcode"].fget


class Unnoticed:
    """Collects such errors from its creation on, by the hooks that Python has for them."""

    def __init__(self, check: str) -> None:
        """`check`: the name of the check's file, as tracebacks show it."""
        self._check, self._code = check, f"{Path.cwd()}/"
        self._faults: list[str] = []
        self._processes: list[Process] = []
        self._results: list[unittest.TestResult] = []
        self._loaders = [unittest.defaultTestLoader]
        self._hook_threads()
        self._hook_destructors()
        logging.getLogger("asyncio").addHandler(_TaskErrors(self))
        self._hook_processes()
        _call_first(unittest.TestResult, "__init__", self._results.append)
        _call_first(unittest.TestLoader, "__init__", self._loaders.append)

    def fault(self) -> str:
        """One of the errors until now, in words; "" if there is none."""
        for process in self._processes:
            if code := _exit_code(process):  # by a signal: negative
                return f"a process that ended with exit code {code}, which it does not notice"
        for result in self._results:
            if not result.wasSuccessful():
                return "tests that failed"
        for loader in self._loaders:
            if loader.errors:
                return "tests that cannot be loaded"
        return self._faults[0] if self._faults else ""

    def note(self, where: str, error: BaseException, way: TracebackType | None) -> None:
        """Note an error, if its traceback leads through code of the check or its service."""
        for frame, _ in traceback.walk_tb(way):
            if self._is_checked(frame.f_code.co_filename):
                kind = type(error).__name__
                self._faults.append(f"{kind} in {where}, which it does not notice")
                return

    def _is_checked(self, file: str) -> bool:
        in_service = file.startswith(self._code) and "/site-packages/" not in file
        return file == self._check or in_service

    def _hook_threads(self) -> None:
        default = threading.excepthook

        def hook(args: threading.ExceptHookArgs) -> None:
            default(args)
            # A thread ends by SystemExit as it means to.
            if args.exc_value is not None and args.exc_type is not SystemExit:
                self.note("a thread", args.exc_value, args.exc_traceback)

        threading.excepthook = hook

    def _hook_destructors(self) -> None:
        """What fails in a destructor; and a coroutine that nobody has awaited: as an error, the
        warning of its destructor comes here too.
        """
        default = sys.unraisablehook
        warnings.filterwarnings("error", "coroutine .* was never awaited", RuntimeWarning)
        sys.set_coroutine_origin_tracking_depth(1)

        def hook(args: sys.UnraisableHookArgs) -> None:
            default(args)
            if args.exc_value is not None:
                self.note("a destructor", args.exc_value, args.exc_traceback)
            if isinstance(args.object, CoroutineType) and args.object.cr_origin:
                maker, _, _ = args.object.cr_origin[0]
                if maker == self._check:
                    self._faults.append(f"{args.object.__qualname__}(), which nobody awaits")

        sys.unraisablehook = hook

    def _hook_processes(self) -> None:
        """Whoever asks a process for its exit code, or ends it, has noticed how it ended."""

        def started(process: Process) -> None:
            caller = sys._getframe(2)
            if self._is_checked(caller.f_code.co_filename):
                self._processes.append(process)

        def noticed(process: Process) -> None:
            self._processes[:] = [other for other in self._processes if other is not process]

        def exitcode(process: Process) -> int | None:
            noticed(process)
            return _exit_code(process)

        _call_first(Process, "start", started)
        _call_first(Process, "terminate", noticed)
        _call_first(Process, "kill", noticed)
        _call_first(Process, "close", noticed)
        Process.exitcode = property(exitcode)  # type: ignore[assignment]


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


def _call_first(owner: type, name: str, call: Callable[[Any], object]) -> None:
    """Have a method call a function with its object before it does its work."""
    method = getattr(owner, name)

    def with_call(this: Any, *arguments: Any, **options: Any) -> Any:
        call(this)
        return method(this, *arguments, **options)

    setattr(owner, name, with_call)
