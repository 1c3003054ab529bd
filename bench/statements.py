"""What the package's statements are spent on: each feature, what it takes, and what a user would lose
without it. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "slimbake"
FEATURES = Path(__file__).with_suffix(".toml")
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- bench/statements.py -->\n", "<!-- end -->\n"


@dataclass(frozen=True, slots=True)
class Feature:
    """What some modules of a package are for."""

    package: str
    name: str
    modules: tuple[str, ...]  # below the package; a folder, or `*` for the rest of the package
    lost: str  # what a user would lose without it


@cache
def features() -> tuple[Feature, ...]:
    """Those of bench/statements.toml, in its order."""
    listed = tomllib.loads(FEATURES.read_text("utf-8"))["features"]
    return tuple(
        Feature(each["package"], each["name"], tuple(each["modules"].split()), each["lost"])
        for each in listed
    )


def statements(path: Path) -> Counter[str]:
    """The statements of a module by kind: docstring, import, other."""
    tree = ast.parse(path.read_text("utf-8"))
    return Counter(map(_kind, (node for node in ast.walk(tree) if isinstance(node, ast.stmt))))


def _kind(node: ast.stmt) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import"
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return "docstring" if text else "other"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its path: `lock/wheelhouse/store`."""
    return {
        str(path.relative_to(SOURCE).with_suffix("")): path for path in sorted(SOURCE.rglob("*.py"))
    }


def owner(module: str) -> Feature:
    """The feature that names a module, or the nearest folder around it, else its package's `*`.

    Raises KeyError where there is none.
    """
    package, slash, name = module.partition("/")
    parts = name.split("/") if slash else [package]
    named = {
        each: feature
        for feature in features()
        if feature.package == (package if slash else "")
        for each in feature.modules
    }
    tries = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return named[next((each for each in tries if each in named), "*")]


def table() -> str:
    """A row for each feature, below its package, and the totals."""
    of = {module: owner(module) for module in modules()}
    counted = {module: statements(path) for module, path in modules().items()}
    lines = [
        "| package | feature | statements | without it you lose |",
        "| --- | --- | ---: | --- |",
    ]
    for package, found in groupby(features(), key=lambda each: each.package):
        rows = list(found)
        sums = {
            each: sum(counted[module].total() for module in of if of[module] == each)
            for each in rows
        }
        if len(rows) > 1:
            lines.append(f"| {package} | | **{sum(sums.values()):,}** | |")
        for each in rows:
            name = package if len(rows) == 1 else ""
            lines.append(f"| {name} | {each.name} | {sums[each]:,} | {each.lost} |")
    whole = sum(counted.values(), Counter())
    lines.append(
        f"| all | | **{whole.total():,}** | of these {whole['docstring']:,} docstrings and"
        f" {whole['import']:,} imports |"
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, or write it into docs/architecture.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write it into {PAGE.name}")
    if not parser.parse_args().write:
        print(table())
        return
    text = PAGE.read_text("utf-8")
    between = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    PAGE.write_text(between.sub(lambda _: BEGIN + table() + END, text), "utf-8")


if __name__ == "__main__":
    main()
