"""Every regular expression of the package, as it is called, and long texts that make one go back and forth."""

from __future__ import annotations

import ast
import importlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

SOURCE = Path(__file__).parents[2] / "src"
METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "split")
# What patterns of ours are made of, and what they stop at.
PIECES = (
    *("a", "A", "0", "_", "-", ".", "/", " ", "\t", "\n", '"', "'", "\\", "$", "{", "}", "[", "]"),
    *("(", ")", "<", "@", ":", "=", "#", ";", ",", "*", "?", "~", "|", "&", "%", "\0", "é"),
    *("a/", "/a", "a.", "a-", "-a", "a_", "a=", "a ", " a", "a\n", "\na", "a:", "a@", "a,", "0."),
    *("a b", "${", "${a", "${a:-", "{a}", "://", "://a", "a://", "[a]", "<<", "\\\n", "--a"),
    *("--a=", "# ", "a==1\n"),
)


@dataclass(frozen=True)
class Use:
    """A pattern, and the method by which a text is given to it."""

    place: str
    pattern: re.Pattern[Any]
    method: str

    def __str__(self) -> str:
        return f"{self.place} {self.method}"

    def __call__(self, text: str) -> None:
        given = text if isinstance(self.pattern.pattern, str) else text.encode()
        arguments = (given[:0], given) if self.method == "sub" else (given,)
        found = getattr(self.pattern, self.method)(*arguments)
        if self.method == "finditer":
            deque(found, maxlen=0)


def uses() -> Iterator[Use]:
    """All of the package's: those of modules by the methods that any module calls, others where they
    stand.
    """
    modules = dict(_modules())
    called: dict[int, set[str]] = {}
    for module, tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                found = vars(module).get(ast.unparse(node.value))
                called.setdefault(id(found), set()).add(node.attr)
    for short, (module, tree) in modules.items():
        for key, value in vars(module).items():
            if isinstance(value, re.Pattern) and _defined(tree, key):
                for method in sorted(called.get(id(value), ())):  # none: a part of another
                    yield Use(f"{short}.{key}", value, method)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
                method, values = node.func.attr, vars(module)  # type: ignore[attr-defined]
                if method in METHODS and (made := _made(node.args[0], values)):
                    yield Use(f"{short}:{node.lineno}", made, method)


def _modules() -> Iterator[tuple[str, tuple[ModuleType, ast.Module]]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        if path.stem != "__main__":  # what is a program begins to run
            tree = ast.parse(path.read_text("utf-8"))
            yield name.removeprefix("slimbake."), (importlib.import_module(name), tree)


def texts(use: Use, length: int) -> Iterator[str]:
    """Long texts of one piece each, with an end that nothing expects."""
    for piece in dict.fromkeys((*PIECES, *_literals(use.pattern))):
        yield piece * (length // len(piece)) + "\1"
    match = _match(_parser.parse(use.pattern.pattern, use.pattern.flags & ~re.DEBUG))
    for at in range(1, len(match) + 1):
        for letter in dict.fromkeys((match[at - 1], *match[at : at + 1], *" a0\n/")):
            yield f"{match[:at]}{letter * length}\1{match[at:]}\1"


def _defined(tree: ast.Module, name: str) -> bool:
    targets = (
        target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
    )
    names = (each for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
    return name in {each.id for each in names}


def _made(node: ast.expr, values: dict[str, Any]) -> re.Pattern[Any] | None:
    """The pattern, where it is made of what the module has; names that a function has are a word."""
    local = {each.id: "word" for each in ast.walk(node) if isinstance(each, ast.Name)}
    try:
        return re.compile(eval(ast.unparse(node), {**local, **values}))  # noqa: S307 - our own code
    except (TypeError, AttributeError, re.error):
        return None


def _literals(pattern: re.Pattern[Any]) -> Iterator[str]:
    """The words that a pattern is made of, alone and with what may stand between them."""
    words = "".join(
        chr(value) if str(kind) == "LITERAL" else "\0"
        for kind, value in _flat(_parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
    ).split("\0")
    for word in filter(None, words):
        yield from (word, f"{word}a", f"{word} ", f"{word}/")


def _flat(parsed: Any) -> Iterator[tuple[Any, Any]]:
    for kind, value in parsed:
        yield kind, value
        if not isinstance(value, tuple | list):
            continue
        for each in value:
            for inner in each if isinstance(each, list) else [each]:
                if isinstance(inner, _parser.SubPattern):
                    yield from _flat(inner)
                    yield "END", None


def _match(parsed: Any) -> str:
    """A text that a pattern matches, or nearly."""
    made = ""
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            made += chr(value)
        elif name in ("ANY", "NOT_LITERAL"):
            made += "a"
        elif name == "IN":
            made += _letter(value)
        elif name == "BRANCH":
            made += _match(value[1][0])
        elif name == "SUBPATTERN":
            made += _match(value[-1])
        elif "REPEAT" in name:
            made += _match(value[2]) * min(max(value[0], 1), 8)
    return made


def _letter(members: Any) -> str:
    kinds = {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " "}
    kind, value = members[0]
    if str(kind) == "LITERAL":
        return chr(value)
    if str(kind) == "RANGE":
        return chr(value[0])
    return kinds.get(str(value), "a")
