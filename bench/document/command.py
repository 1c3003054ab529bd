"""Writes docs/results.md, or says whether it is what would be written."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from slimbake.errors import SlimbakeError, StaleFiles

from . import text
from .inputs import read

TARGET = "docs/results.md"
ROOT = Path(__file__).resolve().parents[2]
SHOWN = 20  # lines of a difference


def main(words: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 4 where `--check` finds another text."""
    parser = argparse.ArgumentParser(
        description="docs/results.md from bake/evidence/ and the other measurements."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 4 where the file is another"
    )
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the repository [default: this one]"
    )
    arguments = parser.parse_args(words)
    try:
        made = text(read(arguments.root))
    except SlimbakeError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    target = arguments.root / TARGET
    if arguments.check:
        return _compared(target, made)
    target.parent.mkdir(exist_ok=True)
    target.write_text(made, encoding="utf-8")
    return 0


def _compared(target: Path, made: str) -> int:
    there = target.read_text("utf-8") if target.is_file() else ""
    if there == made:
        return 0
    lines = list(
        difflib.unified_diff(
            there.splitlines(), made.splitlines(), TARGET, "made anew", lineterm="", n=0
        )
    )
    print("\n".join(line[:200] for line in lines[:SHOWN]), file=sys.stderr)
    print(f"{TARGET} is stale: run bench/results.py", file=sys.stderr)
    return StaleFiles.exit_code
