"""Judges one service's smoke inside its final image: import, load, parity.

`SLIMBAKE_SMOKE` names the file in the build context that defines any of `imports()`, `load()` and
`parity(reference)`; each raises when its subject is broken. `SLIMBAKE_REFERENCE` names the JSON file
that parity is compared with. What else begins with `SLIMBAKE_` says how its container runs (`surroundings`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..records import recorded
from ..step import INSIDE, PREFIX, SITE
from .bytecode import advice, uncompiled
from .judge import LIMIT, judge
from .surroundings import as_nonroot, given_env, settle
from .turn import turn

CONTEXT = INSIDE / "context"
MODULES = (".py", ".so")
LITTLE = 0.01  # of the modules of the packages: a smoke that imports less is empty
EMPTY = "smoke: empty: "  # how the line begins that says so


@turn()
def run_smoke(arguments: Sequence[str]) -> int:
    """The program `smoke [--as-nonroot] [--reference] [--context FOLDER] [--limit SECONDS]`.

    `--reference`: call `reference()` instead, of the smoke that standard input has as a text of JSON,
    and print what it returns as JSON. `--as-nonroot`: read
    the files as root, since a checkout may keep them for its owner, and run them as the image runs.
    """
    parser = argparse.ArgumentParser(prog="smoke")
    parser.add_argument("--as-nonroot", action="store_true")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--context", type=Path, default=CONTEXT)
    parser.add_argument("--limit", type=float, default=LIMIT)
    options = parser.parse_args(arguments)
    variables = dict(os.environ)
    if options.as_nonroot:
        settle(variables)
        variables = as_nonroot(variables)
    clean = {key: value for key, value in variables.items() if not key.startswith("SLIMBAKE_")}
    judged = judge(
        _question(options.context, options.reference),
        options.limit,
        nonroot=options.as_nonroot,
        environment=clean | given_env(variables),
    )
    name = variables["SLIMBAKE_SMOKE"]
    if judged.failed:
        if judged.why:
            print(f"smoke: {name}: {judged.why}", file=sys.stderr)
        failed = f"{name} could not be run" if judged.failed == "run" else f"{judged.failed} failed"
        print(f"smoke: {failed}", file=sys.stderr)
        return 1
    if options.reference:
        print(json.dumps(judged.report, indent=1, sort_keys=True))
        return int(judged.report is None)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    for line in remarks(judged.report, PREFIX, name, spent.ru_utime + spent.ru_stime):
        print(line, file=sys.stderr)
    return 0


def _question(context: Path, of_reference: bool) -> dict[str, Any]:
    """What `judge` is asked. `of_reference`: the smoke is on standard input, beside a build, where
    nothing is mounted.
    """
    name, script = os.environ["SLIMBAKE_SMOKE"], os.environ.get("SLIMBAKE_SCRIPT", "")
    stored = context / os.environ.get("SLIMBAKE_REFERENCE", "reference.json")
    if of_reference:
        source = json.load(sys.stdin)
    else:
        source = (context / name).read_bytes().decode("latin-1")
    return {
        "kind": "reference" if of_reference else "smoke",
        "name": name,
        "installed": bool(script) and runs_installed(script, PREFIX, Path.cwd()),
        "source": source,
        "stored": stored.name,
        "reference": stored.read_text(encoding="utf-8") if stored.is_file() else None,
    }


def remarks(report: Any, prefix: Path, name: str, seconds: float) -> Iterator[str]:
    """What a person should know of a smoke that held.

    `report`: the files of the modules that it has imported; `name`: its own; `seconds`: the processor
    time that it took.
    """
    sites = list(prefix.glob(SITE))
    modules = set()
    for site in sites:
        for row in recorded(site):
            if row.name.endswith(MODULES):
                modules.add(f"{site}/{row.name}")
    imported = modules.intersection(report or ())
    if len(imported) < LITTLE * len(modules):
        counted = f"{len(imported):,} of {len(modules):,} modules"
        yield f"{EMPTY}{name} imports only {counted} of the packages of its image"
    for site in sites:
        yield from advice(uncompiled(imported, site), seconds)


def runs_installed(script: str, prefix: Path, code: Path) -> bool:
    """Whether a program of an installed package starts that package, of which the service's code has
    a copy: Python finds the folder of a program first, and not the working directory.
    """
    from importlib.metadata import distributions

    for distribution in distributions(path=[str(site) for site in prefix.glob(SITE)]):
        for point in distribution.entry_points:
            if point.name == script:
                top = point.module.partition(".")[0]
                if (code / top).is_dir() or (code / f"{top}.py").is_file():
                    return True
    return False
