"""Judges one service's verify beside the running service, inside its final container."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from .judge import judge
from .levels import Level, LevelError, described, from_check
from .service import PATIENCE, VerifiedService, VerifyError

LAST_LINES = 24
GRACE = 15.0  # seconds after the limit: for the service's end, and if the check itself is stuck


def verify_service(_: Sequence[str]) -> int:
    """The program `verify`: an object on standard input, the verdict on standard output.

    The object has `source`, the text of a file that defines `verify(service)`, and its `name`;
    `command`, what the container runs, with the number of words that stay where other arguments
    follow, `fixed`; `port`, or null for a command; `env`, variables that the image lacks; `stop`,
    the name of the signal that ends it, or ""; `limit` in seconds. The verdict is JSON, and says
    whether the check itself has `explained` what failed; all other output goes to standard error.
    """
    given = json.load(sys.stdin)
    question = {**given, "kind": "verify", "source": given["source"].encode().decode("latin-1")}
    judged = judge(question, given["limit"], grace=GRACE)
    report = judged.report if isinstance(judged.report, dict) else {}
    error = str(report.get("error") or "") if judged.failed else ""
    explained = bool(error) or not judged.failed
    if not explained:
        error = f"it is not believed: {judged.why}" if judged.why else "it failed"
    figures = {key: _figure(report.get(key)) for key in ("startup", "rss", "seconds")}
    verdict = {"holds": not judged.failed, "error": error, "explained": explained}
    print(json.dumps({**verdict, **figures}))
    return int(bool(judged.failed))


def _figure(said: Any) -> float | int | None:
    return said if type(said) in (int, float) else None


class Verification:
    """A verify and its service, in the process that runs it; its report is written once."""

    def __init__(self, question: Mapping[str, Any], report: int) -> None:
        self.service = VerifiedService(
            question["command"],
            question["fixed"],
            question["port"],
            question.get("stop"),
            max(PATIENCE, question["limit"] / 5),  # the limit is longer on a busy machine
        )
        self.service.env |= question.get("env", {})
        self._report, self._name = report, question["name"]
        self._until, self._limit = question["until"], question["limit"]
        self._began = time.perf_counter()
        self._once = threading.Lock()

    def levels(self, module: ModuleType) -> list[Level]:
        """The check, and then what slimbake itself checks. Raises VerifyError."""
        if not callable(getattr(module, "verify", None)):
            raise VerifyError(f"{self._name} does not define verify(service)")
        # A thread: a signal's handler would wait for the main thread, which hangs.
        watch = threading.Timer(
            self._until - time.monotonic(), self._late, (threading.get_ident(),)
        )
        watch.daemon = True
        watch.start()

        def finish() -> None:
            watch.cancel()  # what follows has a limit of its own
            self.service.finish()

        return [("verify", module.verify, (self.service,)), ("end", finish, ())]

    def end(self, error: str) -> None:
        """Write the report, and end the service."""
        self._once.acquire()  # never released: the second caller waits for the end
        service = self.service
        if error:
            ended = service.ended()
            last_lines = (
                "\n".join(f"  {line}" for line in service.words) if ended or service.failed else ""
            )
            parts = (
                error,
                "" if ended in error else ended,
                last_lines and "its last words:",
                last_lines,
            )
            error = "\n".join(filter(None, parts))
        service.kill()
        verdict = {
            "error": error,
            "startup": service.startup,
            "rss": service.peak,
            "seconds": time.perf_counter() - self._began,
        }
        os.write(self._report, json.dumps(verdict).encode())

    def fail(self, error: BaseException) -> None:
        """End with what went wrong, and where in the check."""
        known = isinstance(error, VerifyError | LevelError)
        text = str(error) if known else described(error, self._name)
        self.end("\n".join(text.splitlines()[-LAST_LINES:]))

    def _late(self, thread: int) -> None:
        """The time is up: say where the check hangs."""
        stack = traceback.extract_stack(sys._current_frames()[thread])
        self.service.failed = True  # so that the service's last words are printed
        where = "".join(traceback.format_list(from_check(stack, self._name))).rstrip()
        self.end(f"it has not ended within {self._limit:g} s, and hangs here:\n{where}")
        os._exit(1)
