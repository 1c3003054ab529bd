"""Makes calls chosen from documentation, each in a fork of a warm process, and prints what came of each.

A line of a file is `NAME: STEP | STEP | EXPRESSION`. The outcome is the value of the expression, or
the exception.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from functools import partial

from .imports import canonical, in_child

WARM = {"web": ("fastapi", "uvicorn"), "stdlib": ()}
SECONDS = 60.0


def main() -> None:
    """The program `calls`: an object on standard input, file name -> its lines; the last line of
    output is JSON: name -> outcome.
    """
    asked = json.load(sys.stdin)
    answers = os.dup(1)
    os.dup2(2, 1)  # what a call prints is no answer
    found = {}
    for stem, text in asked.items():
        said = in_child(partial(_in_file, stem, text), SECONDS * 100)
        for name, outcome in json.loads(said).items():
            found[f"{stem}: {name}"] = outcome
    with os.fdopen(answers, "w") as out:
        out.write(json.dumps(found) + "\n")


def _in_file(stem: str, text: str) -> str:
    for name in WARM.get(stem, (stem,)):
        try:
            importlib.import_module(name)
        except ImportError:
            return "{}"
    calls = [line.partition(": ") for line in text.splitlines() if line]
    return json.dumps({name: in_child(partial(_outcome, code), SECONDS) for name, _, code in calls})


def _outcome(code: str) -> str:
    *steps, expression = code.split(" | ")
    names: dict[str, object] = {"__name__": "__call__"}
    for step in steps:
        exec(step, names)  # noqa: S102 - our own calls
    return canonical(f"value: {eval(expression, names)!r}")  # noqa: S307
