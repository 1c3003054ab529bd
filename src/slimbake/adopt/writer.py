"""The manifest that `slimbake init` writes, as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from slimbake.adopt.model import Draft
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
    services = ["\n".join(service_lines(each)) for each in drafts]
    return "\n".join(lines) + "\n" + "\n\n".join(services) + "\n"


def service_lines(draft: Draft) -> list[str]:
    """One service: its entry, and why it is kept."""
    origin = ", ".join(map(str, draft.origin))
    lines = [f"  {scalar(draft.name)}:  # {one_line(origin)}"]
    for note in draft.why:
        lines.append(f"    # kept: {one_line(f'{note.place}: {note.what}')}")
    for key in sorted(draft.entry, key=_ORDER.index):
        lines += _lines(key, draft.entry[key], 4)
    return lines


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
    if isinstance(value, int):
        return str(value)
    return scalar(str(value))


def scalar(text: str) -> str:
    """A text, in quotes where YAML would take it for something else."""
    if _PLAIN.fullmatch(text) and unquoted(text) == text:
        return text
    return yaml(text)
