"""Reads what bake files write in HCL: blocks of plain values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"(?P<skip>#[^\n]*|//[^\n]*|/\*.*?\*/|[ \t\r]+)"
    r"|(?P<text>\"(?:[^\"\\\n]|\\.)*\")|(?P<mark>[{}\[\]=,:\n])|(?P<word>[\w.-]+)|(?P<other>.)",
    re.S,
)
_VARIABLE = re.compile(r"\$\{([\w.-]+)\}")
_ROUNDS = 3  # of variables in variables


@dataclass(frozen=True, slots=True)
class Block:
    """A block such as `target "web" { ... }`. Values are texts, lists and mappings; a variable is
    `${NAME}`, and what is more than a plain value is `$`.
    """

    kind: str
    name: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)


def blocks(text: str) -> Iterator[Block]:
    """The named blocks of a text; what is no HCL has none."""
    tokens: _Tokens = []
    at, line = 0, 1
    for found in _TOKEN.finditer(text):
        if found.lastgroup != "skip":
            tokens.append((found.lastgroup, found[0], line))
        line += found[0].count("\n")
    while at + 2 < len(tokens):
        (kind, word, line), (named, name, _), (_, brace, _) = tokens[at : at + 3]
        if kind == "word" and named == "text" and brace == "{":
            values, at = _mapping(tokens, at + 3)
            yield Block(word, name[1:-1], line, values)
        else:
            at += 1


def filled(value: Any, known: Mapping[str, Any]) -> str:
    """A text with the variables that are known; "" for what is no text."""
    text = value if isinstance(value, str) else ""

    def of(path: str) -> str | None:
        found: Any = known
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, str) else None

    for _ in range(_ROUNDS):
        text = _VARIABLE.sub(lambda found: found[0] if (v := of(found[1])) is None else v, text)
    return text


_Tokens = list[tuple[str | None, str, int]]


def _mapping(tokens: _Tokens, at: int) -> tuple[dict[str, Any], int]:
    """The values up to the closing brace, and what comes after it."""
    values: dict[str, Any] = {}
    while at < len(tokens) and tokens[at][1] != "}":
        kind, key, _ = tokens[at]
        sign = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind in {"word", "text"} and sign in {"=", ":"}:
            values[key.strip('"')], at = _value(tokens, at + 2)
        elif key in {"{", "["} and kind == "mark":
            _, at = _value(tokens, at)  # a block within a block
        else:
            at += 1
    return values, at + 1


def _value(tokens: _Tokens, at: int) -> tuple[Any, int]:
    if at >= len(tokens):
        return "$", at
    kind, word, _ = tokens[at]
    found: Any = "$"
    if kind == "mark" and word == "{":
        found, at = _mapping(tokens, at + 1)
    elif kind == "mark" and word == "[":
        found, at = [], at + 1
        while at < len(tokens) and tokens[at][1] not in {"]", "}"}:
            if tokens[at][1] in {",", "\n"}:
                at += 1
            else:
                each, at = _value(tokens, at)
                found.append(each)
        at += 1
    elif kind == "text":
        found, at = re.sub(r"\\(.)", r"\1", word[1:-1]), at + 1
    elif kind == "word":
        plain = word in {"true", "false"} or word.isdigit()
        found, at = (word if plain else f"${{{word}}}"), at + 1
    rest = at
    while rest < len(tokens) and tokens[rest][1] not in {"\n", ",", "}", "]"}:
        rest += 1
    return (found if rest == at else "$"), max(rest, at)  # a sum, a condition, a call
