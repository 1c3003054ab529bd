"""Checks a YAML file against its JSON Schema. jsonschema finds the faults; the messages are ours."""

from __future__ import annotations

import json
import re
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


def structure(
    path: Path, schema: Path, begins: str, text: str | None = None
) -> tuple[dict[str, Any], ProblemReport]:
    """What of a file is sound, and the report of what is not, for rules to go on with.

    `schema`: its file; `begins`: the hint for an empty file; `text`: what to read in place of the
    file's own text. Raises ManifestError where the text cannot be read to its end.
    """
    if text is None:
        text = yaml_text(path)
    yaml_document = read_yaml(text)
    report = ProblemReport(path.name, yaml_document.places)
    for fault in yaml_document.faults:
        first = f" (first: {report.where(fault.path)})" if fault.twin else ""
        report.place(fault.place, fault.path, fault.message + first, fault.hint)
    if not yaml_document.complete:
        report.stop()
    if yaml_document.value is None:
        raise unreadable(path, "the file is empty", begins)
    sound = yaml_document.value if isinstance(yaml_document.value, dict) else {}
    definition = _schema(schema)
    for error in _dialect()(definition).iter_errors(yaml_document.value):
        for key_path in _report_error(error, report):
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
    extended: Any = extend(Draft202012Validator, bounds, type_checker=types)  # type: ignore[no-untyped-call]
    dialect: type[Draft202012Validator] = extended
    return dialect


def _number(value: Any) -> float | None:
    """The number that a value is, written with a fraction or without."""
    if isinstance(value, Word):
        return value.number
    return value if type(value) in (int, float) else None


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
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inlined: dict[str, Any] = {}
    if "$ref" in schema:
        definition = definitions[schema["$ref"].removeprefix("#/$defs/")]
        inlined.update(_inlined(definition, definitions))
    for key, value in schema.items():
        if key not in ("$ref", "$defs", "$id"):
            inlined[key] = _inlined(value, definitions)
    if isinstance(schema.get("pattern"), str):
        # Python's `$` lets a newline pass at the end, JSON Schema's does not.
        inlined["pattern"] = schema["pattern"].removesuffix("$") + r"\Z"
    return inlined


def _report_error(error: ValidationError, report: ProblemReport) -> Iterable[KeyPath]:
    """Report one of jsonschema's errors; gives the key paths of what is not to be looked at any
    more.
    """
    path: KeyPath = tuple(error.absolute_path)
    instance: Any = error.instance
    schema: Any = error.schema
    if "propertyNames" in error.absolute_schema_path:
        report.key((*path, instance), *_bad_name(path, instance, error.validator, schema))
        return ()
    match error.validator:
        case "additionalProperties":
            return _unknown(path, instance, schema["properties"], report)
        case "required":
            _missing(path, instance, schema, report)
            return ()
        case "dependentRequired" | "not":
            if isinstance(instance, dict):  # else its type is reported
                _together(path, error, report)
            return ()
        case "uniqueItems":
            for index, item in enumerate(instance):
                if item in instance[:index]:
                    message = f"'{item}' stands here twice"
                    report.value((*path, index), message, "remove one of the two")
            return ()
        # one complaint for one value: its tag, its type, then the rest
        case _ if not report.has_value(path):
            report.value(path, *_bad_value(path, instance, str(error.validator), schema))
    return [path]


def _unknown(
    path: KeyPath, mapping: dict[str, Any], properties: dict[str, Any], report: ProblemReport
) -> list[KeyPath]:
    unknown = [key for key in mapping if key not in properties]
    for key in unknown:
        if path[2:3] == ("secrets",) and len(path) == 4:
            report.key((*path, key), *_SECRET)
        elif not report.has_key((*path, key)):  # a key that is no text is reported as such
            hint = did_you_mean(key, properties) or f"known: {', '.join(properties)}"
            report.key((*path, key), f"unknown key '{key}'", hint)
    return [(*path, key) for key in unknown]


def _missing(
    path: KeyPath, mapping: dict[str, Any], schema: dict[str, Any], report: ProblemReport
) -> None:
    properties = schema.get("properties", {})
    corrected = {did_you_mean(key, properties) for key in mapping if key not in properties}
    for key in schema["required"]:
        if key not in mapping and f"did you mean '{key}'?" not in corrected:
            hint = properties.get(key, schema).get("description", "")
            report.key(path, f"the key '{key}' is missing", hint)


def _together(path: KeyPath, error: ValidationError, report: ProblemReport) -> None:
    """Keys that need each other, or exclude each other."""
    instance: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "not":
        hint = f"{schema.get('description', 'there can be one of them')}: remove it"
        for clause in rule.get("anyOf", [rule]):
            *others, key = clause["required"]
            if key in instance:
                beside = f"`{others[0]}`" if others else "what is said here"
                report.key((*path, key), f"`{key}` cannot stand beside {beside}", hint)
        return
    for key in rule.keys() & instance.keys():
        if report.lacks(instance, rule[key][0], path):
            hint = f"add `{rule[key][0]}`, or remove this"
            report.key((*path, key), f"`{key}` needs `{rule[key][0]}`", hint)


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
    "contexts": "context",
}


def _bad_name(path: KeyPath, name: str, validator: object, schema: dict[str, Any]) -> Wording:
    """A key of a mapping whose keys are names."""
    kind = _NAMED.get(str(path[-1]), "variable")
    if validator == "maxLength":
        return f"a name of {len(name)} characters", f"{schema['maxLength']} at most"
    allowed = f"allowed: {schema.get('patternErrorMessage', 'one character or more')}"
    fixed = manifest_name(name)
    if kind in ("base", "service") and re.fullmatch(schema.get("pattern", ""), fixed):
        allowed = f"did you mean '{fixed}'?\n{allowed}"
    return f"'{name}' cannot be the name of a {kind}", allowed


def _bad_value(path: KeyPath, value: Any, validator: str, schema: dict[str, Any]) -> Wording:
    """A value that the schema refuses, by the schema keyword that does so."""
    if path[2:3] == ("secrets",) and len(path) > 3 and value is not None:  # it may be the secret
        return _SECRET
    match validator:
        case "type":
            return _type(path, value, schema)
        case "enum":
            hint = did_you_mean(value, schema["enum"])
            if schema["enum"][0][:1].isdigit():  # another version is no slip of the pen
                hint = f"allowed: {', '.join(schema['enum'])}"
            return f"'{value}' is not allowed here", hint
        case "pattern":
            return f"'{value}' is not allowed here", f"allowed: {schema['patternErrorMessage']}"
        case "minLength" | "minItems" | "minProperties":
            return "nothing stands here", "give it a value, or remove the key"
        case "maxProperties":
            return f"only one of {' and '.join(value)} can hold", "remove the others"
        case "maxLength":
            return f"a text of {len(value)} characters", f"{schema['maxLength']} at most"
    allowed = " to ".join(str(schema[key]) for key in ("minimum", "maximum") if key in schema)
    return f"{getattr(value, 'text', value)} is out of range", f"allowed: from {allowed}"


def _type(path: KeyPath, value: Any, schema: dict[str, Any]) -> Wording:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    wanted = f"and {' or '.join(_WANTED[kind] for kind in types)} is wanted"
    hint = _form(path, schema, value)
    if value is None:
        return f"nothing stands here, {wanted}", "give it a value, or remove the key"
    if isinstance(value, list):
        return f"a list, {wanted}", hint
    if isinstance(value, dict):
        return f"a mapping, {wanted}", hint
    text = getattr(value, "text", value)
    if isinstance(value, str) or types == ["boolean"]:
        if types in (["integer"], ["number"]) and isinstance(unquoted(text), int):
            hint = f"write it without quotes: {text}"
        return f"the text '{text}', {wanted}", hint
    if "string" in types:
        hint = f'write it in quotes: "{text}"'
    meaning = value.meaning if isinstance(value, Word) else f"the number {value}"
    return f"{text} is read as {meaning}, {wanted}", hint


def _form(path: KeyPath, schema: dict[str, Any], value: Any) -> str:
    """How a value of this schema is written, as far as it says so. `value`: what stands there."""
    if isinstance(value, str) and schema.get("items", {}).get("type") == "string":
        return f"write a list: {json.dumps(value.split(), ensure_ascii=False)}"
    if path[-1:] in (("env",), ("args",), ("labels",)):
        return 'write a mapping: {NAME: "value"}'
    if message := schema.get("patternErrorMessage"):
        return str(message)
    if examples := schema.get("examples"):
        return f"for example: {json.dumps(examples[0], ensure_ascii=False)}"
    if schema.get("properties"):
        return f"keys: {', '.join(schema['properties'])}"
    return str(schema.get("description", ""))
