"""The manifest that `slimbake init` writes, as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.adopt.model import Draft, Entry
from slimbake.config.naming import SCHEMA
from slimbake.config.words import unquoted
from slimbake.fleet.resolve import DEFAULT_PLATFORMS
from slimbake.host.wheels import MACHINES
from slimbake.render.quoting import comment as one_line
from slimbake.render.quoting import yaml

SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA}"
_HEAD = (
    "Written by `slimbake init`. Edit it: slimbake does not write it again.",
    "`slimbake check` validates it; bake/services.schema.json has all keys, with examples.",
)
_WIDTH = 96
_PLAIN = re.compile(r"(?!-+$)[A-Za-z0-9_./-]+")  # `- -` is a list in a list
_FEWEST = 4  # variables that are worth a name of their own
# In the order in which a reader asks: what it is, what it needs, how it runs, what holds.
_ORDER = [
    "python",
    "from",
    "context",
    "include",
    "dockerfile",
    "target",
    "contexts",
    "args",
    "requirements",
    "torch",
    "system",
    "wheels",
    "copy",
    "build",
    "shell",
    "entrypoint",
    "command",
    "workdir",
    "port",
    "publish",
    "expose",
    "env",
    "environment",
    "env_file",
    "volumes",
    "tmpfs",
    "user",
    "stop_signal",
    "healthcheck",
    "up",
    "depends_on",
    "start",
]


def manifest_text(project: str, python: str, drafts: Sequence[Draft], platform: str = "") -> str:
    """The text of a manifest. `platform`: the engine's, which is written where it is not the
    default: whoever builds from the manifest builds the same.
    """
    lines = [SCHEMA_LINE, *(f"# {line}" for line in _HEAD)]
    lines += [f"project: {scalar(project)}", f"python: {yaml(python)}"]
    if platform in MACHINES and platform not in DEFAULT_PLATFORMS:
        other = ", ".join(DEFAULT_PLATFORMS)
        lines.append(
            f"platforms: [{platform}]  # of this machine's engine; servers may need {other}"
        )
    lines += ["", "services:" if drafts else "services: {}"]
    shared = _shared([draft.entry for draft in drafts])
    named: set[str] = set()
    for number, service_draft in enumerate(drafts):
        lines += [""] if number else []
        lines += _service(service_draft, shared.get(number, ("", {})), named)
    return "\n".join(lines) + "\n"


def _shared(entries: Sequence[Entry]) -> dict[int, tuple[str, dict[str, str]]]:
    """The variables that entries have in common, by the number of the entry: a name, and they."""
    owners: dict[tuple[str, str], list[int]] = {}
    for number, entry in enumerate(entries):
        for pair in entry.get("environment", {}).items():
            owners.setdefault(pair, []).append(number)
    groups: dict[tuple[int, ...], dict[str, str]] = {}
    for (name, value), having in owners.items():
        if len(having) > 1:
            groups.setdefault(tuple(having), {})[name] = value
    shared: dict[int, tuple[str, dict[str, str]]] = {}
    for numbers, values in sorted(groups.items(), key=lambda g: -len(g[0]) * len(g[1])):
        free = [number for number in numbers if number not in shared]
        if len(values) >= _FEWEST and len(free) > 1:
            name = f"shared-{len({name for name, _ in shared.values()}) + 1}"
            shared |= dict.fromkeys(free, (name, values))
    return shared


def _service(draft: Draft, shared: tuple[str, Mapping[str, str]], named: set[str]) -> Iterator[str]:
    """One service: its entry, and why it is kept."""
    origin = ", ".join(map(str, draft.origin))
    yield f"  {scalar(draft.name)}:  # {one_line(origin)}"
    for note in draft.why:
        yield f"    # kept: {one_line(f'{note.place}: {note.what}')}"
    for key in sorted(draft.entry, key=_ORDER.index):
        value = draft.entry[key]
        name, common = shared
        if key != "environment" or not name:
            yield from _lines(key, value, 4)
            continue
        yield "    environment:"
        if name in named:
            yield f"      <<: *{name}"
        else:
            named.add(name)
            yield f"      <<: &{name}"
            for variable, text in common.items():
                yield from _lines(scalar(variable), text, 8)
        for variable, text in value.items():
            if variable not in common:
                yield from _lines(scalar(variable), text, 6)


def service_lines(draft: Draft) -> list[str]:
    """One service alone, as it would stand in a manifest."""
    return list(_service(draft, ("", {}), set()))


def _lines(key: str, value: Any, indent: int) -> Iterator[str]:
    margin = " " * indent
    flow = f"{margin}{key}: {flowing(value)}"
    if len(flow) <= _WIDTH or not isinstance(value, dict | list):
        yield flow
        return
    yield f"{margin}{key}:"
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _lines(scalar(name), item, indent + 2)
    else:
        yield from (f"{margin}  - {flowing(item)}" for item in value)


def flowing(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = ", ".join(f"{scalar(key)}: {flowing(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flowing, value))}]"
    return str(value) if isinstance(value, int) else scalar(str(value))


def scalar(text: str) -> str:
    """A text, in quotes where YAML would take it for something else."""
    return text if _PLAIN.fullmatch(text) and unquoted(text) == text else yaml(text)
