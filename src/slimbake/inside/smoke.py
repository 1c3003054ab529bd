"""Runs one service's smoke inside its final image: import, load, parity. Standard library only.

`SMOKE` names the file in the build context that defines any of `imports()`, `load()` and `parity(reference)`; each
raises when its subject is broken. `REFERENCE` names the JSON file that parity is compared with. `--record` calls
`reference()` instead and prints what it returns as JSON on stdout.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

CONTEXT = Path(os.environ.get("SMOKE_CONTEXT", "/inside/context"))
# Seconds for all levels together; a smoke that hangs shows where.
TIME_LIMIT = float(os.environ.get("SMOKE_TIME_LIMIT", "120"))


def main() -> int:
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    sys.path[0] = str(Path.cwd())  # the service's code, as `python -m` has it, not the folder of this program
    name = os.environ["SMOKE"]
    try:
        module = load(CONTEXT / name)
        if "--record" in sys.argv[1:]:
            json.dump(module.reference(), sys.stdout, indent=1, sort_keys=True)
            print()
            return 0
        return run(module, name)
    except Exception:
        traceback.print_exc()
        print(f"smoke: {name} could not be run", file=sys.stderr)
        return 1


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("smoke", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["smoke"] = module
    spec.loader.exec_module(module)
    return module


def run(module: ModuleType, name: str) -> int:
    """Run the levels that the smoke has, the cheapest first; the first that fails ends it."""
    steps: list[tuple[str, Any, tuple[Any, ...]]]
    steps = [("import", getattr(module, "imports", None), ()), ("load", getattr(module, "load", None), ())]
    if hasattr(module, "parity"):
        stored = CONTEXT / os.environ.get("REFERENCE", "reference.json")
        if not stored.is_file():
            print(f"smoke: parity has no {stored.name}: `slimbake smoke SERVICE --record` stores it", file=sys.stderr)
            return 1
        steps.append(("parity", module.parity, (json.loads(stored.read_text(encoding="utf-8")),)))
    steps = [step for step in steps if step[1] is not None]
    if not steps:
        print(f"smoke: {name} defines none of imports(), load(), parity(reference)", file=sys.stderr)
        return 1
    for level, check, arguments in steps:
        started = time.perf_counter()
        try:
            check(*arguments)
        except Exception:
            traceback.print_exc()
            print(f"smoke: {level} failed", file=sys.stderr)
            return 1
        print(f"smoke: {level} holds ({time.perf_counter() - started:.2f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
