"""Writes every generated page, picture and figure, or compares them."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from slimbake.errors import SlimbakeError, StaleFiles

from . import pages, pictures, reference
from .filled import PAGES, filled
from .inputs import read

PICTURES = "docs/pictures"
_PICTURES = {
    "layers": pictures.layers,
    "sizes": pictures.sizes,
    "sharing": pictures.sharing,
    "builds": pictures.builds,
}
ROOT = Path(__file__).resolve().parents[2]
SHOWN = 20  # lines of a difference


def main(words: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 4 where `--check` finds another text."""
    parser = argparse.ArgumentParser(
        description="docs/results/, docs/reference/, pictures, and generated parts of other pages."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 4 if a file differs"
    )
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the repository [default: this one]"
    )
    arguments = parser.parse_args(words)
    try:
        made = files(arguments.root)
    except SlimbakeError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    if arguments.check:
        return max([_compared(arguments.root, name, content) for name, content in made.items()])
    for name, content in made.items():
        target = arguments.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return 0


def files(root: Path) -> dict[str, str]:
    """Every file that is made of measurements, by its path in the repository."""
    inputs = read(root)
    made = {f"{PICTURES}/{name}.svg": drawn(inputs) for name, drawn in _PICTURES.items()}
    for name in PAGES:
        if (page := root / name).is_file():
            made[name] = filled(page.read_text("utf-8"), inputs)
    return {**pages(inputs), **reference.pages(root), **made}


def _compared(root: Path, name: str, made: str) -> int:
    target = root / name
    there = target.read_text("utf-8") if target.is_file() else ""
    if there == made:
        return 0
    lines = list(
        difflib.unified_diff(
            there.splitlines(), made.splitlines(), name, "generated now", lineterm="", n=0
        )
    )
    print("\n".join(line[:200] for line in lines[:SHOWN]), file=sys.stderr)
    print(f"{name} is stale: run tools/docs/results.py", file=sys.stderr)
    return StaleFiles.exit_code
