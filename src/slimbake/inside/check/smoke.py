"""Runs one service's smoke inside its final image: import, load, parity.

`SMOKE` names the file in the build context that defines any of `imports()`, `load()` and
`parity(reference)`; each raises when its subject is broken. `REFERENCE` names the JSON file that
parity is compared with.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import pwd
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..step import INSIDE, NONROOT

CONTEXT = Path(os.environ.get("SMOKE_CONTEXT", INSIDE / "context"))
# Seconds for all levels together; the stack of a smoke that hangs is printed.
TIME_LIMIT = float(os.environ.get("SMOKE_TIME_LIMIT", "120"))


def run_smoke(arguments: Sequence[str]) -> int:
    """The program `smoke [--as-nonroot] [--reference]`.

    `--reference`: call `reference()` instead, and print what it returns as JSON. `--as-nonroot`: read
    the files as root, since a checkout may keep them for its owner, and run them as the image runs.
    """
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    # Garbage collection takes a fifth of the time in which torch and transformers are imported.
    gc.disable()
    sys.path[0] = str(Path.cwd())  # the service's code, as `python -m` has it
    name = os.environ["SMOKE"]
    stored = CONTEXT / os.environ.get("REFERENCE", "reference.json")
    try:
        code = compile((CONTEXT / name).read_bytes(), str(CONTEXT / name), "exec")
        reference = stored.read_text(encoding="utf-8") if stored.is_file() else None
        if "--as-nonroot" in arguments:
            become_nonroot()
        result_file = os.dup(1)
        # What the service prints is no part of a reference; and a build's log mixes up two streams.
        os.dup2(2, 1)
        module = load_check(code, "smoke")
        if "--reference" not in arguments:
            return run_levels(module, name, stored.name, reference)
        with os.fdopen(result_file, "w", encoding="utf-8") as result:
            json.dump(module.reference(), result, indent=1, sort_keys=True)
            print(file=result)
        return 0
    except (Exception, SystemExit):  # a smoke that exits, even with 0, has not checked
        traceback.print_exc()
        print(f"smoke: {name} could not be run", file=sys.stderr)
        return 1


def become_nonroot() -> None:
    """Give up root for good: with the user go the capabilities."""
    os.setgroups([])
    os.setgid(NONROOT)
    os.setuid(NONROOT)
    os.environ["HOME"] = pwd.getpwuid(NONROOT).pw_dir


def load_check(code: CodeType, name: str) -> ModuleType:
    """Run the service's own check as a module of this name."""
    module = ModuleType(name)
    module.__file__ = code.co_filename
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - the service's own check
    return module


def run_levels(module: ModuleType, name: str, stored: str, reference: str | None) -> int:
    """Run the levels that the smoke defines, the cheapest first; stop at the first that fails."""
    levels: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "import": (getattr(module, "imports", None), ()),
        "load": (getattr(module, "load", None), ()),
    }
    if hasattr(module, "parity"):
        if reference is None:
            print(
                f"smoke: parity has no {stored}: `slimbake smoke SERVICE --reference` stores it",
                file=sys.stderr,
            )
            return 1
        levels["parity"] = (module.parity, (json.loads(reference),))
    levels = {level: step for level, step in levels.items() if step[0] is not None}
    if not levels:
        print(
            f"smoke: {name} defines none of imports(), load(), parity(reference)", file=sys.stderr
        )
        return 1
    for level, (check, arguments) in levels.items():
        started = time.perf_counter()
        try:
            check(*arguments)
        except (Exception, SystemExit):
            traceback.print_exc()
            print(f"smoke: {level} failed", file=sys.stderr)
            return 1
        print(f"smoke: {level} holds ({time.perf_counter() - started:.2f} s)", flush=True)
    if report := os.environ.get("SMOKE_IMPORTED"):
        files = {getattr(each, "__file__", None) or "" for each in list(sys.modules.values())}
        Path(report).write_text(json.dumps(sorted(filter(None, files))), encoding="utf-8")
    return 0
