"""A value against a JSON Schema, with the keywords that slimbake's own schemas use.

jsonschema does more, and takes a seventh of the time of `slimbake generate` for its import alone. A
test shows that it refuses the same values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from slimbake.config.document import KeyPath
from slimbake.config.words import TRUTH, Word

Schema = dict[str, Any]


class Refusal(NamedTuple):
    """A value that a keyword of its schema refuses."""

    path: KeyPath
    value: Any
    keyword: str
    schema: Schema
    is_key: bool = False  # the value is a key of the mapping at `path`


@cache
def read_schema(file: Path) -> Schema:
    """A schema, with what it refers to in the place of each `$ref`."""
    whole = json.loads(file.read_text("utf-8"))
    inlined: Schema = _inlined(whole, whole["$defs"])
    return inlined


def _inlined(part: Any, definitions: Schema) -> Any:
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    own = {
        key: _inlined(each, definitions)
        for key, each in part.items()
        if key not in ("$ref", "$defs", "$id")
    }
    if "$ref" not in part:
        return own
    return {**_inlined(definitions[part["$ref"].removeprefix("#/$defs/")], definitions), **own}


def refusals(value: Any, schema: Schema, path: KeyPath = ()) -> Iterator[Refusal]:
    """Everything that the schema refuses, in the order of its keywords."""
    for keyword, wanted in schema.items():
        if keyword in _RULES:
            kind, holds = _RULES[keyword]
            if isinstance(value, kind) and not holds(value, wanted):
                yield Refusal(path, value, keyword, schema)
        elif keyword == "items" and isinstance(value, list):
            for index, each in enumerate(value):
                yield from refusals(each, wanted, (*path, index))
        elif keyword in _OF_KEYS and isinstance(value, dict):
            yield from _of_keys(keyword, value, schema, path)


def _of_keys(
    keyword: str, value: dict[str, Any], schema: Schema, path: KeyPath
) -> Iterator[Refusal]:
    wanted, known = schema[keyword], schema.get("properties", {})
    others = [key for key in value if key not in known]
    if keyword == "propertyNames":
        for key in value:
            yield from (found._replace(is_key=True) for found in refusals(key, wanted, path))
    elif keyword == "properties":
        for key in known:
            if key in value:
                yield from refusals(value[key], known[key], (*path, key))
    elif wanted:
        for key in others:
            yield from refusals(value[key], wanted, (*path, key))
    elif others:
        yield Refusal(path, value, keyword, schema)


def number(value: Any) -> float | None:
    """The number that a value is, written with a fraction or without."""
    if isinstance(value, Word):
        return value.number
    return value if type(value) in (int, float) else None


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: number(value) is not None,
    "boolean": lambda value: value in TRUTH,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _typed(value: Any, types: str | list[str]) -> bool:
    return any(_TYPES[each](value) for each in ([types] if isinstance(types, str) else types))


def _matches(value: str, pattern: str) -> bool:
    # Python's `$` lets a newline pass at the end, JSON Schema's does not.
    exact = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    return bool(re.search(exact, value))


def _at_least(value: Any, least: float) -> bool:
    return (found := number(value)) is None or found >= least


def _at_most(value: Any, most: float) -> bool:
    return (found := number(value)) is None or found <= most


_RULES: dict[str, tuple[type, Callable[[Any, Any], bool]]] = {
    "type": (object, _typed),
    "enum": (object, lambda value, known: value in known),
    "minimum": (object, _at_least),
    "maximum": (object, _at_most),
    "pattern": (str, _matches),
    "minLength": (str, lambda value, least: len(value) >= least),
    "maxLength": (str, lambda value, most: len(value) <= most),
    "minItems": (list, lambda value, least: len(value) >= least),
    "uniqueItems": (list, lambda value, _: all(value.index(v) == i for i, v in enumerate(value))),
    "required": (dict, lambda value, keys: all(key in value for key in keys)),
    "minProperties": (dict, lambda value, least: len(value) >= least),
    "maxProperties": (dict, lambda value, most: len(value) <= most),
}
_OF_KEYS = ("properties", "additionalProperties", "propertyNames")
