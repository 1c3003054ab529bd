"""The words that we do not use, and lines that are too long: in pages, help texts and messages.

`make lint` runs it. In code, comments and names it looks for a few of these words alone; generated
tables are left out.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDEST = 100
CELL = 120  # letters in a cell of a table
# word -> what to write
WORDS = {
    r"anew": "again",
    r"mend(s|ed|ing)?": "fix",
    r"(is|are|be|was|were) told": "slimbake reports ..., or: says",
    r"begets?": "gives",
    r"whatever": "name what it is",
    r"stands? on": "uses",
    r"belongs? into": "belongs in",
    r"what is faulty": "name it",
    r"hence|whence|therein|thereof|wherein": "so, in it",
    r"an engine that is there": "if Docker is installed",
    r"gives? back": "return",
    r"in step with": "equal to",
}
# In pages alone: messages of checks have it too.
IN_PAGES = {r"holds|held": "passes, contains, keeps"}
_BANNED = [(re.compile(rf"\b({word})\b", re.IGNORECASE), use) for word, use in WORDS.items()]
# In all Python that we write, names of functions and tests too.
_OLDEST = r"anew|mend(s|ed|ing)?|begets?"
_IN_CODE, _IN_PROGRAMS = (
    re.compile(rf"(?<![a-z])({words})(?![a-z])", re.IGNORECASE)
    # a change of the programs that build rebuilds every layer
    for words in (rf"{_OLDEST}|told|whatever", _OLDEST)
)
_NAMES_THEM = ("tools/docs/prose.py", "tests/unit/docs/test_pages.py")
_PAGES = ("*.md", "bench/*.md", "docs/**/*.md")


def main() -> int:
    """Print every fault with its place; the exit code is 1 if there is one."""
    faults = [fault for page in pages() for fault in of_page(page)]
    for file in sorted((ROOT / "src/slimbake").rglob("*.py")):
        if "inside" not in file.parts:  # a change there rebuilds every layer
            faults += of_source(file.relative_to(ROOT), file.read_text("utf-8"))
    for folder in ("src", "libs", "tests", "bench", "tools"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "/." in str(file.relative_to(ROOT)):  # as what tools/image unpacks
                continue
            name = file.relative_to(ROOT)
            if str(name) not in _NAMES_THEM:
                faults += of_code(name, file.read_text("utf-8"))
    print("\n".join(faults))
    return 1 if faults else 0


def pages() -> list[Path]:
    """README.md and those beside it, that of the benchmarks, and the documentation."""
    return sorted({file for glob in _PAGES for file in ROOT.glob(glob)})


def of_page(file: Path) -> Iterator[str]:
    """Words anywhere but in code; lines of pages that people write."""
    text = file.read_text("utf-8")
    generated = "enerated by" in "".join(text.splitlines()[:4])
    name = file.relative_to(ROOT)
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|"):
            wide = [cell for cell in re.split(r"(?<!\\)\|", line) if len(cell.strip()) > CELL]
            yield from (f"{name}:{number}: a cell over {CELL}: {cell[:30]}..." for cell in wide)
        elif len(line) > WIDEST and not generated:
            yield f"{name}:{number}: {len(line)} columns, at most {WIDEST}"
    for number, line in prose(text):
        yield from (f"{name}:{number}: {words}" for words in of_text(line))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a page that are no code, without code within them."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)


def of_text(text: str) -> Iterator[str]:
    """What is wrong with a text: the word, and what to write."""
    for word, use in _BANNED:
        for found in word.finditer(text):
            yield f"'{found[0]}': write {use}"


def of_source(name: Path, text: str) -> Iterator[str]:
    """The same of the texts in a module that people read: help, messages, hints."""
    tree = ast.parse(text)
    for node in said(tree):
        yield from (f"{name}:{node.lineno}: {words}" for words in of_text(str(node.value)))


def of_code(name: Path, text: str) -> Iterator[str]:
    """The oldest of these words anywhere in a module, also as a part of a name."""
    words = _IN_PROGRAMS if name.parts[:3] == ("src", "slimbake", "inside") else _IN_CODE
    for number, line in enumerate(text.splitlines(), 1):
        yield from (f"{name}:{number}: '{found[1]}'" for found in words.finditer(line))


def said(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts in code but docstrings; of commands, docstrings too: these are their help."""
    helps = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
        if node.name in ("command", "slimbake")
    }
    docs = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)} - helps
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield node


if __name__ == "__main__":
    sys.exit(main())
