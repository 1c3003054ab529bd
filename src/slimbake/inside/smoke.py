"""Runs one service's smoke inside its final image: import, load, parity. Standard library only.

`SMOKE` names the file in the build context that defines any of `imports()`, `load()` and `parity(reference)`; each
raises when its subject is broken. `REFERENCE` names the JSON file that parity is compared with. `--record` calls
`reference()` instead and prints what it returns as JSON on stdout. `--as-nonroot` reads these files as root, since a
checkout may keep them for its owner, and runs them as the image runs.
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
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

CONTEXT = Path(os.environ.get("SMOKE_CONTEXT", "/inside/context"))
# Seconds for all levels together; a smoke that hangs shows where.
TIME_LIMIT = float(os.environ.get("SMOKE_TIME_LIMIT", "120"))
NONROOT = 65532


def main() -> int:
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    # A process of seconds: collecting takes a fifth of the time in which torch and transformers are imported.
    gc.disable()
    sys.path[0] = str(Path.cwd())  # the service's code, as `python -m` has it, not the folder of this program
    name = os.environ["SMOKE"]
    stored = CONTEXT / os.environ.get("REFERENCE", "reference.json")
    try:
        code = compile((CONTEXT / name).read_bytes(), str(CONTEXT / name), "exec")
        reference = stored.read_text(encoding="utf-8") if stored.is_file() else None
        if "--as-nonroot" in sys.argv[1:]:
            become_nonroot()
        result_file = os.dup(1)
        # What the service's code prints is no part of a reference; and of two streams a build's log has no order.
        os.dup2(2, 1)
        if "--record" in sys.argv[1:]:
            with os.fdopen(result_file, "w", encoding="utf-8") as result:
                json.dump(load(code).reference(), result, indent=1, sort_keys=True)
                print(file=result)
            return 0
        module = load(code)
        return run(module, name, stored.name, reference)
    except (Exception, SystemExit):  # who exits here, even with 0, has not checked
        traceback.print_exc()
        print(f"smoke: {name} could not be run", file=sys.stderr)
        return 1


def become_nonroot() -> None:
    """Give up root for good: with the user go the capabilities."""
    os.setgroups([])
    os.setgid(NONROOT)
    os.setuid(NONROOT)
    os.environ["HOME"] = pwd.getpwuid(NONROOT).pw_dir


def load(code: CodeType) -> ModuleType:
    module = ModuleType("smoke")
    module.__file__ = code.co_filename
    sys.modules["smoke"] = module
    exec(code, module.__dict__)  # noqa: S102 - the service's own check
    return module


def run(module: ModuleType, name: str, stored: str, reference: str | None) -> int:
    """Run the levels that the smoke has, the cheapest first; the first that fails ends it."""
    steps: list[tuple[str, Any, tuple[Any, ...]]]
    steps = [("import", getattr(module, "imports", None), ()), ("load", getattr(module, "load", None), ())]
    if hasattr(module, "parity"):
        if reference is None:
            print(f"smoke: parity has no {stored}: `slimbake smoke SERVICE --record` stores it", file=sys.stderr)
            return 1
        steps.append(("parity", module.parity, (json.loads(reference),)))
    steps = [step for step in steps if step[1] is not None]
    if not steps:
        print(f"smoke: {name} defines none of imports(), load(), parity(reference)", file=sys.stderr)
        return 1
    for level, check, arguments in steps:
        started = time.perf_counter()
        try:
            check(*arguments)
        except (Exception, SystemExit):  # who exits here, even with 0, has not checked
            traceback.print_exc()
            print(f"smoke: {level} failed", file=sys.stderr)
            return 1
        print(f"smoke: {level} holds ({time.perf_counter() - started:.2f} s)", flush=True)
    if report := os.environ.get("SMOKE_IMPORTED"):
        files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
        Path(report).write_text(json.dumps(sorted(filter(None, files))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is said: to take torch and transformers down in order would take half a second more
