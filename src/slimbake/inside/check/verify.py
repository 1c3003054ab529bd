"""Judges one service's verify beside the running service, inside its final container."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from .judge import judge
from .levels import Level, LevelError, described, load_check
from .service import PATIENCE, VerifiedService, VerifyError

LAST_LINES = 24


def verify_service(_: Sequence[str]) -> int:
    """The program `verify`: an object on standard input, the verdict on standard output.

    The object has `source`, the text of a file that defines `verify(service)`, and its `name`;
    `command`, what the container runs, with the number of words that stay where other arguments
    follow, `fixed`; `port`, or null for a command; `env`, variables that the image lacks; `stop`,
    the name of the signal that ends it, or ""; `limit` in seconds. The verdict is JSON, and says
    whether the check itself has `explained` what failed, and the last `words` of the service; all
    other output goes to standard error, with where a check hangs.
    """
    given = json.load(sys.stdin)
    limit = given["limit"]
    source = given["source"].encode().decode("latin-1")
    judged = judge({**given, "kind": "verify", "source": source}, limit)
    report = judged.report if isinstance(judged.report, dict) else {}
    error = str(report.get("error") or "")
    explained = bool(error) or not judged.failed
    if judged.failed == "time":
        error = f"it has not ended within {limit:g} s"
    elif not explained:
        error = judged.why or "it failed"
    startup = report.get("startup")
    verdict = {
        "holds": not judged.failed,
        "error": error,
        "explained": explained,
        "words": report.get("words", []),
        "startup": startup if type(startup) in (int, float) else None,
    }
    print(json.dumps(verdict))
    return int(bool(judged.failed))


class Verification:
    """A verify and its service, in the process that runs it: the levels of a check."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._question = question
        self._service = VerifiedService(
            question["command"],
            question["fixed"],
            question["port"],
            question.get("stop"),
            max(PATIENCE, question["limit"] / 5),  # the limit is longer on a busy machine
        )
        self._service.env |= question.get("env", {})

    def load(self) -> list[Level]:
        """`verify(service)`, and then what every service must do. Raises LevelError."""
        module = load_check(self._question, "verify")
        if not callable(getattr(module, "verify", None)):
            raise LevelError(f"{self._question['name']} does not define verify(service)")
        return [("verify", partial(module.verify, self._service)), ("end", self._service.finish)]

    def passed(self, level: str, seconds: float) -> None:
        """The verdict says it."""

    def end(self, error: str = "") -> dict[str, Any]:
        """End the service; what the verdict needs."""
        self._service.kill()
        words = [*self._service.last_lines()]
        return {"error": error, "startup": self._service.startup, "words": words}

    def fail(self, error: BaseException) -> dict[str, Any]:
        """End with what went wrong, where in the check, and what the service said last."""
        expected = isinstance(error, VerifyError | LevelError)
        text = str(error) if expected else described(error, self._question["name"])
        lines = text.splitlines()[-LAST_LINES:]
        ended = self._service.ended()
        if ended not in text:
            lines.append(ended)
        output = self._service.last_lines()
        if output:
            lines.append("its last words:")
            lines += [f"  {line}" for line in output]
        return self.end("\n".join(lines))
