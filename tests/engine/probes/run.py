"""Runs probes in an image, each in a fork of a warm process, and prints what came of each as JSON.

A line of a probe's file is `NAME: STEP | STEP | EXPRESSION`. The outcome is the value of the
expression, or the exception.
"""

import importlib
import json
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, "/check.pyz")
from slimbake.inside.check.imports import canonical, in_child

WARM = {"web": ("fastapi", "uvicorn"), "stdlib": ()}
SECONDS = 60.0


def outcome(code: str) -> str:
    *steps, expression = code.split(" | ")
    names: dict[str, object] = {"__name__": "__probe__"}
    for step in steps:
        exec(step, names)  # noqa: S102 - our own probes
    return canonical(f"value: {eval(expression, names)!r}")  # noqa: S307


def in_file(path: Path) -> str:
    for name in WARM.get(path.stem, (path.stem,)):
        try:
            importlib.import_module(name)
        except ImportError:
            return "{}"
    probes = [line.partition(": ") for line in path.read_text().splitlines() if line]
    assert len({name for name, *_ in probes}) == len(probes), path
    return json.dumps({name: in_child(partial(outcome, code), SECONDS) for name, _, code in probes})


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.txt")):
        reported = in_child(partial(in_file, path), SECONDS * 100)
        for name, said in json.loads(reported).items():
            found[f"{path.stem}: {name}"] = said
    with os.fdopen(answers, "w") as out:
        out.write(json.dumps(found) + "\n")
