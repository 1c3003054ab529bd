"""Runs one service's verify beside the running service, inside its final container. Standard library only.

It is given an object: `source`, the text of a file that defines `verify(service)`, and its `name`; `command`, what the
container runs, the first `fixed` words of it even where other arguments follow; `port`, or null for a command; `limit`
in seconds. The last line on stdout is what was found, as JSON; everything else that is said goes to stderr.
"""

from __future__ import annotations

import faulthandler
import json
import linecache
import os
import sys
import threading
import time
import traceback
from types import ModuleType
from typing import Any

from slimbake.inside.service import Service, VerifyError

LAST_LINES = 24
GRACE = 15.0  # seconds after the limit, for the service's end, and should this program itself be stuck


def main(given: dict[str, Any]) -> None:
    """Run it, say what was found, and end this process."""
    faulthandler.dump_traceback_later(given["limit"] + GRACE, exit=True)
    verdict = _Verdict(os.dup(1), given)
    os.dup2(2, 1)  # what the check prints is no part of the verdict
    # A thread, since a signal's handler would wait with the main thread for what hangs.
    watch = threading.Timer(given["limit"], verdict.late, (threading.get_ident(),))
    watch.daemon = True
    watch.start()
    error = ""
    try:
        _loaded(given["source"], given["name"]).verify(verdict.service)
        watch.cancel()  # what follows has a limit of its own
        verdict.service.settle()
    except (Exception, SystemExit) as caught:  # who exits here, even with 0, has not checked
        error = _told(caught, given["name"])
    verdict.end(error)


class _Verdict:
    """What is found, said once: by the check that ends, or when its time is up."""

    def __init__(self, result: int, given: dict[str, Any]) -> None:
        self.service = Service(given["command"], given["fixed"], given["port"])
        self._result, self._name, self._limit = result, given["name"], given["limit"]
        self._began = time.perf_counter()
        self._once = threading.Lock()

    def end(self, error: str) -> None:
        """Say what was found, and end the service and this process at once."""
        self._once.acquire()  # never released: who comes second waits for the end
        service = self.service
        if error:
            ended = service.ended()
            words = "\n".join(f"  {line}" for line in service.words) if ended or service.failed else ""
            error = "\n".join(
                filter(None, (error, "" if ended in error else ended, words and "its last words:", words))
            )
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
        """The time is up: say where the check is."""
        stack = traceback.extract_stack(sys._current_frames()[thread])
        self.service.failed = True  # what it has said last may tell more
        where = "".join(traceback.format_list(_from_check(stack, self._name))).rstrip()
        self.end(f"it has not ended within {self._limit:g} s, and hangs here:\n{where}")


def _loaded(source: str, name: str) -> ModuleType:
    module = ModuleType("verify")
    module.__file__ = name
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for tracebacks
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - the service's own check
    if not callable(getattr(module, "verify", None)):
        raise VerifyError(f"{name} does not define verify(service)")
    return module


def _told(error: BaseException, name: str) -> str:
    """What went wrong, and where in the check."""
    if isinstance(error, VerifyError):
        return str(error)
    told = traceback.TracebackException.from_exception(error)
    frames = "".join(traceback.format_list(_from_check(told.stack, name)))
    lines = [*frames.splitlines(), *"".join(told.format_exception_only()).splitlines()]
    return "\n".join(lines[-LAST_LINES:])


def _from_check(stack: traceback.StackSummary, name: str) -> list[traceback.FrameSummary]:
    """The frames from the check's first on; all where it has none."""
    first = next((place for place, frame in enumerate(stack) if frame.filename == name), 0)
    return list(stack)[first:]
