"""A YAML file against its JSON Schema; jsonschema finds the faults, our own words tell them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimbake.config import wording
from slimbake.config.document import KeyPath, read_yaml
from slimbake.config.report import ProblemReport
from slimbake.config.source import unreadable, yaml_text
from slimbake.config.words import TRUTH, Word

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError


def structure(path: Path, schema: Path, begins: str) -> tuple[dict[str, Any], ProblemReport]:
    """What of a file is sound, and the report of what is not, for rules to go on with.

    `schema`: its file; `begins`: what to tell who left the file empty. Raises
    ManifestError where the file cannot be read to its end.
    """
    found = read_yaml(yaml_text(path))
    report = ProblemReport(path.name, found.places)
    for fault in found.faults:
        first = f" (first: {report.where(fault.path)})" if fault.twin else ""
        report.place(fault.place, fault.path, fault.message + first, fault.hint)
    if not found.complete:
        report.stop()
    if found.value is None:
        raise unreadable(path, "the file is empty", begins)
    sound = found.value if isinstance(found.value, dict) else {}
    for error in _validator(schema).iter_errors(found.value):
        for key_path in _told(error, found.value, report):
            sound = _without(sound, key_path) if key_path else {}
    return sound, report


@cache
def _validator(file: Path) -> Draft202012Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "boolean": lambda _, value: value in TRUTH,
            "number": lambda _, value: _number(value) is not None,
        }
    )
    bounds = {
        key: _of_words(Draft202012Validator.VALIDATORS[key]) for key in ("minimum", "maximum")
    }
    schema = json.loads(file.read_text("utf-8"))
    # Following a $ref takes jsonschema longer than checking what it names: half of the time for
    # large fleets.
    made: type[Draft202012Validator] = extend(Draft202012Validator, bounds, type_checker=types)  # type: ignore[no-untyped-call]
    return made(_inlined(schema, schema["$defs"]))


def _number(value: Any) -> float | None:
    """The number that a value is, written with a fraction or without."""
    return (
        value.number if isinstance(value, Word) else value if type(value) in (int, float) else None
    )


def _of_words(
    keyword: Callable[..., Iterable[ValidationError] | None],
) -> Callable[..., Iterator[ValidationError]]:
    """A keyword of the schema that compares numbers, for those that are still words."""

    def checked(
        validator: Any, bound: Any, instance: Any, schema: Any
    ) -> Iterator[ValidationError]:
        number = _number(instance)
        yield from keyword(validator, bound, instance if number is None else number, schema) or ()

    return checked


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    own = {
        key: _inlined(each, definitions)
        for key, each in schema.items()
        if key not in ("$ref", "$defs", "$id")
    }
    if isinstance(pattern := own.get("pattern"), str):
        # Python's `$` lets a newline pass at the end, JSON Schema's does not.
        own["pattern"] = pattern.removesuffix("$") + r"\Z"
    if "$ref" not in schema:
        return own
    return {**_inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions), **own}


def _told(error: ValidationError, root: Any, report: ProblemReport) -> Iterable[KeyPath]:
    """Report one of jsonschema's errors; gives the key paths of what is not to be looked at any
    more.
    """
    path: KeyPath = tuple(error.absolute_path)
    found: Any = error.instance
    schema: Any = error.schema
    if "propertyNames" in error.absolute_schema_path:
        twin = (
            path in (("bases",), ("services",))
            and found != found.lower()
            and found.lower() in root[path[0]]
        )
        if not twin:  # the rules say so
            report.key((*path, found), *wording.bad_name(path, found, error.validator, schema))
        return ()
    match error.validator:
        case "additionalProperties":
            return _unknown(path, found, schema["properties"], report)
        case "required":
            _missing(path, found, schema, report)
            return ()
        case "uniqueItems":
            twins = (index for index, item in enumerate(found) if item in found[:index])
            for index in twins:
                report.value(
                    (*path, index), f"'{found[index]}' stands here twice", "remove one of the two"
                )
            return ()
        # one complaint for one value: its tag, its type, then the rest
        case _ if not report.has_value(path):
            report.value(path, *wording.bad_value(path, found, str(error.validator), schema))
    return [path]


def _unknown(
    path: KeyPath, found: dict[str, Any], known: dict[str, Any], report: ProblemReport
) -> list[KeyPath]:
    unknown = [key for key in found if key not in known]
    for key in unknown:
        if not report.has_key((*path, key)):  # a key that is no text is reported as such
            report.key((*path, key), *wording.unknown_key(path, key, found, known))
    return [(*path, key) for key in unknown]


def _missing(
    path: KeyPath, found: dict[str, Any], schema: dict[str, Any], report: ProblemReport
) -> None:
    known = schema["properties"]
    for key in schema["required"]:
        if key not in found and not wording.is_misspelt(key, found, known):
            report.key(path, *wording.missing_key(key, known[key]))


def _without(value: Any, path: KeyPath, level: int = 0) -> Any:
    """A copy of a container without the value at `path`; in a list None takes its place."""
    key: Any = path[level]
    if isinstance(value, dict) and key not in value:
        return value
    copy = value.copy()
    if level + 1 < len(path):
        copy[key] = _without(value[key], path, level + 1)
    elif isinstance(copy, list):
        copy[key] = None
    elif level == 1 and path[0] in ("bases", "services"):
        # others may name it: to call it unknown would be a second message for one fault
        copy[key] = {}
    else:
        del copy[key]
    return copy
