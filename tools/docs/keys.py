"""The keys of the manifest in words: what each does, what it takes, an example. From the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

# The definitions that are entries of a mapping, and where these stand.
_ENTRIES = {
    "base": "bases.NAME",
    "base-variant": "bases.NAME.variants.NAME",
    "service": "services.NAME",
    "service-variant": "services.NAME.variants.NAME",
    "step": "services.NAME.build[N]",
    "secret": "services.NAME.secrets.NAME",
}
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True)
class KeyText:
    """What the schema says of one key."""

    entry: str  # where the mapping stands that has it; "": at the top
    name: str  # below that, with dots
    text: str

    @property
    def path(self) -> str:
        return f"{self.entry}.{self.name}" if self.entry else self.name


def key_texts(schema: Schema) -> Iterator[KeyText]:
    """Every key of services.yaml, in the order of the schema."""
    yield from _keys(schema, schema, "", "")
    for name, entry in _ENTRIES.items():
        yield from _keys(schema["$defs"][name], schema, entry, "")


def _keys(of: Schema, schema: Schema, entry: str, at: str) -> Iterator[KeyText]:
    for name, own in of.get("properties", {}).items():
        key = {**_target(own, schema), **own}
        yield KeyText(entry, f"{at}{name}", _sentences(key, schema, name in of.get("required", ())))
        if name != "variants" and not at:
            yield from _keys(key, schema, entry, f"{name}.")


def _target(key: Schema, schema: Schema) -> Schema:
    name = key.get("$ref", "").removeprefix("#/$defs/")
    return schema["$defs"].get(name, {})  # type: ignore[no-any-return]


def _sentences(key: Schema, schema: Schema, required: bool) -> str:
    said = [key["description"]]
    if required:
        said.append("Required.")
    words = key.get("enum") or _target(key.get("items", {}), schema).get("enum")
    words = words or key.get("items", {}).get("enum")
    if words:
        said.append(f"One of {', '.join(f'`{word}`' for word in words)}.")
    elif kinds := _kinds(key):
        said.append(f"Takes {kinds}.")
    if "default" in key:
        said.append(f"Default: `{json.dumps(key['default'])}`.")
    shown = [f"`{flow(value)}`" for value in key.get("examples", ())]
    if shown:
        said.append(f"Example: {', or '.join(shown)}.")
    return " ".join(said)


def _kinds(key: Schema) -> str:
    kinds = key.get("type", ())
    return " or ".join(_WORDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z./][\w./-]*", value)
    return value if plain and value not in ("true", "false", "none") else json.dumps(value)
