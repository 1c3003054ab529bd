"""Dataclasses from JSON, whose values are of the kinds that the fields say. Pure."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_hints = cache(typing.get_type_hints)

# What reading JSON raises, and making of it what it is not.
WRONG = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def json_value(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError for anything else, for numbers without an end, and for
    halves of characters, which no text that is written can hold; RecursionError.
    """
    value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    json.dumps(value, ensure_ascii=False).encode()
    return value


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
