"""A YAML file against its JSON Schema; jsonschema finds the faults, our own words tell them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimbake.config.document import KeyPath, read_yaml
from slimbake.config.files import unreadable, yaml_text
from slimbake.config.report import ProblemReport, did_you_mean
from slimbake.config.words import TRUTH, Word, unquoted
from slimbake.host.names import manifest_name

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
    wanted = _schema(schema)
    if not _fits(found.value, wanted):
        for error in _dialect()(wanted).iter_errors(found.value):
            for key_path in _report_error(error, found.value, report):
                sound = _without(sound, key_path) if key_path else {}
    return sound, report


@cache
def _schema(file: Path) -> dict[str, Any]:
    # Following a $ref takes jsonschema longer than checking what it names: half of the time for
    # large fleets.
    schema = json.loads(file.read_text("utf-8"))
    inlined: dict[str, Any] = _inlined(schema, schema["$defs"])
    return inlined


@cache
def _dialect() -> type[Draft202012Validator]:
    """JSON Schema for values that are words, of the manifest: importing it and making
    this takes 0.1 s.
    """
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
    made: Any = extend(Draft202012Validator, bounds, type_checker=types)  # type: ignore[no-untyped-call]
    descend = made.descend

    def quicker(validator: Any, instance: Any, schema: Any, **at: Any) -> Iterable[ValidationError]:
        return () if _fits(instance, schema) else descend(validator, instance, schema, **at)

    # One fault in a fleet of thousands: jsonschema looks at what is around it.
    made.descend = quicker
    dialect: type[Draft202012Validator] = made
    return dialect


# The keywords that `_fits` knows, or that say nothing of values.
_KNOWN = {
    *("description", "examples", "default", "patternErrorMessage", "title", "$schema"),
    *("type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("items", "minItems", "uniqueItems", "properties", "additionalProperties"),
    *("propertyNames", "required", "minProperties", "maxProperties"),
}


def _fits(value: Any, schema: Any) -> bool:
    """Whether a value is as the schema wants it; False too where jsonschema has to say that.

    It makes a validator for each value, which is most of the time for a large fleet.
    """
    if not schema.keys() <= _KNOWN:
        return False
    if type(value) is dict:
        return _may_be("object", schema) and _is_mapping(value, schema)
    if type(value) is list:
        return _may_be("array", schema) and _is_list(value, schema)
    if type(value) is int:
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        return "enum" not in schema and _may_be("integer", schema) and low <= value <= high
    if type(value) is str:
        return _may_be("string", schema) and _is_text(value, schema)
    return value in TRUTH and schema.get("type") == "boolean"


def _may_be(kind: str, schema: dict[str, Any]) -> bool:
    said = schema.get("type", kind)
    return kind == said or (type(said) is list and kind in said)


def _is_mapping(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    names = schema.get("propertyNames")
    low, high = schema.get("minProperties", 0), schema.get("maxProperties", len(value))
    return (
        low <= len(value) <= high
        and all(key in value for key in schema.get("required", ()))
        and all(
            (wanted := known.get(key, others)) and _fits(each, wanted)
            for key, each in value.items()
        )
        and (names is None or all(_fits(key, names) for key in value))
    )


def _is_list(value: list[Any], schema: dict[str, Any]) -> bool:
    items, unique = schema.get("items"), "uniqueItems" not in schema
    return (
        len(value) >= schema.get("minItems", 0)
        and all(items and _fits(each, items) for each in value)
        and (unique or (all(type(e) is str for e in value) and len({*value}) == len(value)))
    )


def _is_text(value: str, schema: dict[str, Any]) -> bool:
    return (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)
        and ("enum" not in schema or value in schema["enum"])
    )


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


def _report_error(error: ValidationError, root: Any, report: ProblemReport) -> Iterable[KeyPath]:
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
            report.key((*path, found), *bad_name(path, found, error.validator, schema))
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
        case "type" if path[:1] in (("bases",), ("services",)) and len(path) == 2:
            beside = _beside(root[path[0]], schema["properties"])
            if found is None and beside:
                message = f"nothing stands below it, and {', '.join(beside)} stand beside it"
                report.value(path, message, f"indent them further, below '{path[1]}'")
            elif path[1] not in beside:
                report.value(path, *bad_value(path, found, "type", schema))
        # one complaint for one value: its tag, its type, then the rest
        case _ if not report.has_value(path):
            report.value(path, *bad_value(path, found, str(error.validator), schema))
    return [path]


def _beside(entries: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """The keys of an entry that stand beside it, as they do where they are not indented."""
    if None not in entries.values():
        return []
    return [
        k
        for k, each in entries.items()
        if k in known and each is not None and type(each) is not dict
    ]


def _unknown(
    path: KeyPath, found: dict[str, Any], known: dict[str, Any], report: ProblemReport
) -> list[KeyPath]:
    unknown = [key for key in found if key not in known]
    for key in unknown:
        if not report.has_key((*path, key)):  # a key that is no text is reported as such
            report.key((*path, key), *unknown_key(path, key, found, known))
    return [(*path, key) for key in unknown]


def _missing(
    path: KeyPath, found: dict[str, Any], schema: dict[str, Any], report: ProblemReport
) -> None:
    known = schema["properties"]
    for key in schema["required"]:
        if key not in found and not is_misspelt(key, found, known):
            report.key(path, *missing_key(key, known[key]))


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


Wording = tuple[str, str]

_WANTED = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
}
_MEANT = {  # what other tools call it
    "ports": "port",
    "cmd": "command",
    "working_dir": "workdir",
    "stopsignal": "stop_signal",
    "path": "context",
    "folder": "context",
    "dependencies": "requirements",
    "packages": "requirements",
    "apt": "system",
    "volume": "volumes",
    "model": "weights",
    "models": "weights",
    "runtime": "inference",
    "backend": "inference",
    "engine": "inference",
    "dtype": "precision",
    "quantize": "precision",
    "quantise": "precision",
    "quantization": "precision",
    "platform": "platforms",
    "build_args": "args",
    "label": "labels",
    "name": "project",
    "from": "base",
    "parent": "extends",
}
_SECRET = (
    "a secret's value never stands in the manifest",
    "say where the machine that bakes has it: {env: INDEX_TOKEN} or {file: path}\n"
    "and replace the secret: it is known now",
)
_NAMED = {
    "bases": "base",
    "services": "service",
    "variants": "variant",
    "volumes": "volume",
    "secrets": "secret",
    "labels": "label",
    "packages": "package",
}


def unknown_key(path: KeyPath, key: str, mapping: dict[str, Any], known: dict[str, Any]) -> Wording:
    """A key that the schema does not have."""
    if path[2:3] == ("secrets",) and len(path) == 4:
        return _SECRET
    if _MEANT.get(key) in known and _MEANT[key] not in mapping:
        return f"unknown key '{key}'", f"here it is called '{_MEANT[key]}'"
    return f"unknown key '{key}'", did_you_mean(key, known) or f"known: {', '.join(known)}"


def is_misspelt(key: str, mapping: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether a missing key is there under a name that `unknown_key` corrects."""
    others = [each for each in mapping if each not in known]
    return any(unknown_key((), each, mapping, known)[1] in _corrections(key) for each in others)


def _corrections(key: str) -> Wording:
    return f"did you mean '{key}'?", f"here it is called '{key}'"


def missing_key(key: str, schema: dict[str, Any]) -> Wording:
    """A key that the schema requires."""
    return f"the key '{key}' is missing", str(schema.get("description", ""))


def bad_name(path: KeyPath, name: str, validator: object, schema: dict[str, Any]) -> Wording:
    """A key of a mapping whose keys are names."""
    kind = _NAMED.get(str(path[-1]), "variable")
    article = "a" if kind[0] not in "aeiou" else "an"
    if validator == "maxLength":
        return f"a name of {len(name)} characters", f"{schema['maxLength']} at most"
    allowed = f"allowed: {schema.get('patternErrorMessage', 'one character or more')}"
    fixed = manifest_name(name)
    if (
        kind in ("base", "service")
        and fixed != name
        and re.fullmatch(schema.get("pattern", ""), fixed)
    ):
        allowed = f"did you mean '{fixed}'?\n{allowed}"
    return f"'{name}' cannot be the name of {article} {kind}", allowed


def bad_value(path: KeyPath, found: Any, validator: str, schema: dict[str, Any]) -> Wording:
    """A value that the schema refuses, by the schema keyword that does so."""
    if validator == "type":
        return _type(path, found, schema)
    if validator == "enum":
        return _choice(path, found, schema["enum"])
    if validator == "pattern":
        if path[2:3] == ("secrets",):  # it may be the secret
            return (
                "this is not the name of a variable",
                f"{_SECRET[1]}\nallowed: {schema['patternErrorMessage']}",
            )
        if words := re.fullmatch(r"\^\(([a-z|]+)\)\$", schema["pattern"]):
            return _choice(path, found, words[1].split("|"))
        return f"'{found}' is not allowed here", f"allowed: {schema['patternErrorMessage']}"
    if validator in ("minLength", "minItems", "minProperties"):
        return _empty(validator, schema)
    if validator == "maxProperties":
        return f"only one of {' and '.join(found)} can hold", "remove the others"
    if validator == "maxLength":
        return f"a text of {len(found)} characters", f"{schema['maxLength']} at most"
    low, high = schema.get("minimum"), schema.get("maximum")
    return (
        f"{getattr(found, 'text', found)} is out of range",
        f"allowed: {low} to {high}" if high else f"allowed: {low} or more",
    )


def _type(path: KeyPath, found: Any, schema: dict[str, Any]) -> Wording:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    wanted = " or ".join(_WANTED[each] for each in types)
    if path[2:3] == ("secrets",) and len(path) == 4 and found is not None:
        return _SECRET
    if found is None:
        fix = (
            "give it keys, or remove it"
            if types == ["object"]
            else "give it a value, or remove the key"
        )
        return f"nothing stands here, and {wanted} is wanted", fix
    if types == ["boolean"] and isinstance(found, str | Word | int):
        return (
            f"{getattr(found, 'text', found)!r} is neither true nor false",
            schema.get("patternErrorMessage", "write true or false, without quotes"),
        )
    if isinstance(found, Word | int):
        text = found.text if isinstance(found, Word) else str(found)
        meaning = found.meaning if isinstance(found, Word) else f"the number {found}"
        message = f"{text} is read as {meaning}, and {wanted} is wanted"
        if "string" in types:
            supported = f"\nsupported: {', '.join(schema['enum'])}" if "enum" in schema else ""
            return message, f'write it in quotes: "{text}"{supported}'
        return message, "write a plain number, such as 8000" if types == ["integer"] else _form(
            path, schema
        )
    if isinstance(found, str):
        return f"the text '{found}', and {wanted} is wanted", _unquoted(path, found, types, schema)
    return f"{'a list' if isinstance(found, list) else 'a mapping'}, and {wanted} is wanted", _form(
        path, schema
    )


def _unquoted(path: KeyPath, found: str, types: list[str], schema: dict[str, Any]) -> str:
    """How to write a text that should have been something else."""
    whole = types == ["integer"] and re.fullmatch(r"[1-9][0-9]*", found)
    if whole or (types == ["number"] and re.fullmatch(r"[0-9]+(\.[0-9]+)?", found)):
        return f"write it without quotes: {found}"
    if "array" in types:
        try:
            words = (
                shlex.split(found)
                if path[-1:] in (("command",), ("entrypoint",), ("healthcheck",), ("test",))
                else re.split(r"[\s,]+", found.strip())
            )
        except ValueError:  # an unclosed quote
            words = found.split()
        return f"write a list: [{', '.join(map(_flow, words))}]"
    return _form(path, schema)


def _flow(word: str) -> str:
    """A word as it may stand in a YAML list of one line."""
    bare = re.fullmatch(r"[A-Za-z./_-][A-Za-z0-9./_=-]*", word) and isinstance(unquoted(word), str)
    return word if bare and word != "-" else json.dumps(word, ensure_ascii=False)


def _form(path: KeyPath, schema: dict[str, Any]) -> str:
    """How a value of this schema is written, as far as it says so."""
    if path[-1:] in (("env",), ("args",), ("labels",)):
        return 'write a mapping: {NAME: "value"}'
    if message := schema.get("patternErrorMessage"):
        return str(message)
    if examples := schema.get("examples"):
        return f"for example: {json.dumps(examples[0], ensure_ascii=False)}"
    if schema.get("properties"):
        return f"keys: {', '.join(schema['properties'])}"
    return str(schema.get("description", ""))


def _choice(path: KeyPath, found: str, allowed: list[str]) -> Wording:
    if "platforms" in path:
        return f"unknown platform '{found}'", did_you_mean(found, allowed)
    if path == ("python",):
        return f"Python '{found}' is not supported", f"supported: {', '.join(allowed)}"
    return f"'{found}' is not allowed here", did_you_mean(found, allowed)


def _empty(validator: str, schema: dict[str, Any]) -> Wording:
    if validator == "minLength":
        return "an empty text", "give it a value, or remove the key"
    if validator == "minItems":
        return "an empty list", "give it an item, or remove the key"
    keys = schema.get("properties")
    return (
        "an empty mapping",
        f"one of: {', '.join(keys)}" if keys else "give it an entry, or remove the key",
    )
