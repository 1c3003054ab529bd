"""What the schema's faults are called: a message, and a hint that mends them."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import did_you_mean
from slimbake.config.words import Word, unquoted

Told = tuple[str, str]

_WANTED = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
}
_MEANT = {  # what other tools call it
    "environment": "env",
    "ports": "port",
    "cmd": "command",
    "entrypoint": "command",
    "build": "context",
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
    "description": "about",
    "reason": "why",
    "files": "remove",
    "delete": "remove",
    "exclude": "keep",
    "except": "keep",
    "uninstall": "drop",
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
    "passes": "pass",
    "packages": "package",
}


def unknown_key(path: KeyPath, key: str, mapping: dict[str, Any], known: dict[str, Any]) -> Told:
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


def _corrections(key: str) -> Told:
    return f"did you mean '{key}'?", f"here it is called '{key}'"


def missing_key(key: str, schema: dict[str, Any]) -> Told:
    """A key that the schema requires."""
    return f"the key '{key}' is missing", str(schema.get("description", ""))


def bad_name(path: KeyPath, name: str, validator: object, schema: dict[str, Any]) -> Told:
    """A key of a mapping whose keys are names."""
    kind = _NAMED.get(str(path[-1]), "variable")
    article = "a" if kind[0] not in "aeiou" else "an"
    if validator == "maxLength":
        return f"a name of {len(name)} characters", f"{schema['maxLength']} at most"
    allowed = f"allowed: {schema.get('patternErrorMessage', 'one character or more')}"
    mended = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if (
        kind in ("base", "service")
        and mended != name
        and re.fullmatch(schema.get("pattern", ""), mended)
    ):
        allowed = f"did you mean '{mended}'?\n{allowed}"
    return f"'{name}' cannot be the name of {article} {kind}", allowed


def bad_value(path: KeyPath, found: Any, validator: str, schema: dict[str, Any]) -> Told:
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


def _type(path: KeyPath, found: Any, schema: dict[str, Any]) -> Told:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    wanted = " or ".join(_WANTED[each] for each in types)
    if path[2:3] == ("secrets",) and len(path) == 4 and found is not None:
        return _SECRET
    if found is None:
        mend = (
            "give it keys, or remove it"
            if types == ["object"]
            else "give it a value, or remove the key"
        )
        return f"nothing stands here, and {wanted} is wanted", mend
    if types == ["boolean"] and isinstance(found, str | Word | int):
        return (
            f"{getattr(found, 'text', found)!r} is neither true nor false",
            "write true or false, without quotes",
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
    if types == ["array"]:
        try:
            words = (
                shlex.split(found)
                if path[-1:] == ("command",)
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
    if examples := schema.get("examples"):
        return f"for example: {json.dumps(examples[0], ensure_ascii=False)}"
    if schema.get("properties"):
        return f"keys: {', '.join(schema['properties'])}"
    return str(schema.get("description", ""))


def _choice(path: KeyPath, found: str, allowed: list[str]) -> Told:
    if "platforms" in path:
        return f"unknown platform '{found}'", did_you_mean(found, allowed)
    if path == ("python",):
        return f"Python '{found}' is not supported", f"supported: {', '.join(allowed)}"
    return f"'{found}' is not allowed here", did_you_mean(found, allowed)


def _empty(validator: str, schema: dict[str, Any]) -> Told:
    if validator == "minLength":
        return "an empty text", "give it a value, or remove the key"
    if validator == "minItems":
        return "an empty list", "give it an item, or remove the key"
    keys = schema.get("properties")
    return (
        "an empty mapping",
        f"one of: {', '.join(keys)}" if keys else "give it an entry, or remove the key",
    )
