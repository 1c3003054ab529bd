"""Dataclasses from JSON, whose values are of the kinds that the fields say. Pure."""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from slimbake.inside.budget import memory_of_json

T = TypeVar("T")
MEMORY = 192 << 20  # bytes that a JSON text may need once it is read
_PARTS = 32
_PART = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:(?>{_PART})){{{_PARTS}}}")
_hints = cache(typing.get_type_hints)

# What reading JSON raises, and making of it what it is not.
WRONG = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def json_value(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError for anything else, for one that needs more than MEMORY,
    for numbers without an end, and for halves of characters, which no text that is written can
    hold; RecursionError.
    """
    stored = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if memory_of_json(stored) > MEMORY:
        raise ValueError("it has too many values, or too long ones")
    value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def toml_value(text: str) -> dict[str, Any]:
    """What a TOML text says. Raises ValueError for anything else, and for a key of many parts: tomllib
    looks at all parts before it for each; RecursionError.
    """
    import tomllib

    if _LONG_KEY.search(text):
        raise ValueError(f"A key has more than {_PARTS} parts")
    return tomllib.loads(text)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} has no end")
    return value


def typed(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass with these values. Raises TypeError where one is of another kind, missing or
    unknown. What is in lists and mappings is not looked at.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    for name, value in values.items():
        if not _fits(value, hints.get(name, object)):
            raise TypeError(f"{name} is {type(value).__name__}")
    return kind(**values)


def _fits(value: object, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, kind) for kind in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return type(value) in (int, float)
    if hint is int:
        return type(value) is int
    plain = origin or hint
    return isinstance(value, list if plain is Sequence else plain)
