"""Runs one service's verify beside the running service, inside its final container."""

from __future__ import annotations

import faulthandler
import json
import linecache
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from .service import VerifiedService, VerifyError

LAST_LINES = 24
GRACE = 15.0  # seconds after the limit: for the service's end, and if this program itself is stuck


def verify_service(_: Sequence[str]) -> None:
    """The program `verify`: an object on standard input, the verdict on standard output.

    The object has `source`, the text of a file that defines `verify(service)`, and its `name`;
    `command`, what the container runs, with the number of words that stay where other arguments
    follow, `fixed`; `port`, or null for a command; `limit` in seconds. The last line on standard
    output is the verdict, as JSON; all other output goes to standard error.
    """
    given = json.load(sys.stdin)
    faulthandler.dump_traceback_later(given["limit"] + GRACE, exit=True)
    verdict = _Verdict(os.dup(1), given)
    os.dup2(2, 1)  # what the check prints is no part of the verdict
    # A thread: a signal's handler would wait for the main thread, which hangs.
    watch = threading.Timer(given["limit"], verdict.late, (threading.get_ident(),))
    watch.daemon = True
    watch.start()
    error = ""
    try:
        _load(given["source"], given["name"]).verify(verdict.service)
        watch.cancel()  # what follows has a limit of its own
        verdict.service.finish()
    except (Exception, SystemExit) as caught:  # a check that exits, even with 0, has not checked
        error = _describe(caught, given["name"])
    verdict.end(error)


class _Verdict:
    """The verdict, printed once: by the check that ends, or when its time is up."""

    def __init__(self, result: int, given: dict[str, Any]) -> None:
        self.service = VerifiedService(given["command"], given["fixed"], given["port"])
        self._result, self._name, self._limit = result, given["name"], given["limit"]
        self._began = time.perf_counter()
        self._once = threading.Lock()

    def end(self, error: str) -> None:
        """Print the verdict, and end the service and this process at once."""
        self._once.acquire()  # never released: the second caller waits for the end
        service = self.service
        if error:
            ended = service.ended()
            words = (
                "\n".join(f"  {line}" for line in service.words) if ended or service.failed else ""
            )
            parts = (error, "" if ended in error else ended, words and "its last words:", words)
            error = "\n".join(filter(None, parts))
        service.kill()
        found = {
            "holds": not error,
            "error": error,
            "startup": service.startup,
            "rss": service.peak,
            "seconds": time.perf_counter() - self._began,
        }
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(self._result, f"{json.dumps(found)}\n".encode())
        os._exit(1 if error else 0)

    def late(self, thread: int) -> None:
        """The time is up: say where the check hangs."""
        stack = traceback.extract_stack(sys._current_frames()[thread])
        self.service.failed = True  # so that the service's last words are printed
        where = "".join(traceback.format_list(_from_check(stack, self._name))).rstrip()
        self.end(f"it has not ended within {self._limit:g} s, and hangs here:\n{where}")


def _load(source: str, name: str) -> ModuleType:
    module = ModuleType("verify")
    module.__file__ = name
    # For tracebacks:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - the service's own check
    if not callable(getattr(module, "verify", None)):
        raise VerifyError(f"{name} does not define verify(service)")
    return module


def _describe(error: BaseException, name: str) -> str:
    """What went wrong, and where in the check."""
    if isinstance(error, VerifyError):
        return str(error)
    told = traceback.TracebackException.from_exception(error)
    frames = "".join(traceback.format_list(_from_check(told.stack, name)))
    lines = [*frames.splitlines(), *"".join(told.format_exception_only()).splitlines()]
    return "\n".join(lines[-LAST_LINES:])


def _from_check(stack: traceback.StackSummary, name: str) -> list[traceback.FrameSummary]:
    """The frames from the check's first one on; all if it has none."""
    first = next((place for place, frame in enumerate(stack) if frame.filename == name), 0)
    return list(stack)[first:]
