"""The manifest that `slimbake init` writes, as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from slimbake.adopt.model import Draft
from slimbake.adopt.sharing import SharedBase, Sharing
from slimbake.config.naming import SCHEMA
from slimbake.config.words import unquoted
from slimbake.render.quoting import comment as one_line
from slimbake.render.quoting import yaml

SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA}"
_HEAD = (
    "Written by `slimbake init`. Edit it: slimbake does not write it again.",
    "`slimbake validate` checks it; bake/services.schema.json has all keys, with examples.",
)
_WIDTH = 96
_PLAIN = re.compile(r"(?!-+$)[A-Za-z0-9_./-]+")  # `- -` is a list in a list
# In the order in which a reader asks: what it is, what it needs, how it runs, what holds.
_ORDER = (
    *(
        "base",
        "context",
        "dockerfile",
        "contexts",
        "args",
        "requirements",
        "system",
        "wheels",
        "build",
        "entrypoint",
        "command",
    ),
    *("workdir", "port", "publish", "expose", "env", "environment"),
    *("env_file", "volumes", "tmpfs", "user"),
    *("stop_signal", "healthcheck", "up", "depends_on", "start", "smoke"),
)


def manifest_text(
    project: str,
    python: str,
    drafts: Sequence[Draft],
    sharing: Sharing,
    *,
    registry: str = "",
    ci: str = "",
    layers: str = "",
) -> str:
    """The text of a manifest."""
    lines = [SCHEMA_LINE, *(f"# {line}" for line in _HEAD)]
    lines.append(f"project: {scalar(project)}")
    if registry:
        lines.append(f"registry: {scalar(registry)}")
    lines.append(f"python: {yaml(python)}")
    if ci:
        lines.append(f"ci: {{provider: {ci}}}")
    if layers:
        lines.append(f"layers: {layers}  # services need different versions of what they share")
    if sharing.bases:
        lines += ["", "bases:"]
        for base in sharing.bases:
            lines += _base(base)
    lines += ["", "services:" if drafts else "services: {}"]
    for number, draft in enumerate(drafts):
        lines += [""] if number else []
        lines += service_lines(draft)
    return "\n".join(lines) + "\n"


def _base(base: SharedBase) -> Iterator[str]:
    yield f"  {scalar(base.name)}:  # {', '.join(base.services)}"
    if base.extends:
        yield f"    extends: {scalar(base.extends)}"
    yield from _lines("requirements", list(base.requirements), 4)
    if base.system:
        yield from _lines("system", list(base.system), 4)
    if base.torch:
        why = "its own index; `pypi` has CUDA" if base.torch == "cpu" else ""
        yield _commented(f"    torch: {base.torch}", why)


def service_lines(draft: Draft) -> list[str]:
    """One service: its entry, and below it what did not come along."""
    origin = ", ".join(map(str, draft.origin))
    lines = [f"  {scalar(draft.name)}:  # {one_line(origin)}"]
    for key in sorted(draft.entry, key=lambda k: _ORDER.index(k) if k in _ORDER else 99):
        comment = one_line(draft.comments.get(key, ""))
        found = list(_lines(key, draft.entry[key], 4))
        if comment and len(found[0]) + len(comment) < _WIDTH:
            found[0] = _commented(found[0], comment)
        elif comment:
            lines.append(f"    # {comment}")
        lines += found
    if draft.notes:
        lines.append("    # Not carried over:")
        notes = (f"{note.place}: {' '.join(note.what.split())}" for note in draft.notes)
        lines += [f"    # {one_line(note)}" for note in notes]
    return lines


def _lines(key: str, value: Any, indent: int) -> Iterator[str]:
    margin = " " * indent
    flow = f"{margin}{key}: {flowing(value)}"
    if len(flow) <= _WIDTH or not isinstance(value, dict | list):
        yield flow
        return
    yield f"{margin}{key}:"
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _lines(scalar(name), each, indent + 2)
    else:
        for each in value:
            line = f"{margin}  - {flowing(each)}"
            if len(line) <= _WIDTH or not isinstance(each, dict):
                yield line
                continue
            first, *rest = (
                line for name, one in each.items() for line in _lines(scalar(name), one, indent + 4)
            )
            yield f"{margin}  - {first.lstrip()}"
            yield from rest


def flowing(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = ", ".join(f"{scalar(key)}: {flowing(each)}" for key, each in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flowing, value))}]"
    return str(value) if isinstance(value, int) else scalar(str(value))


def scalar(text: str) -> str:
    """A text, in quotes where YAML would take it for something else."""
    return text if _PLAIN.fullmatch(text) and unquoted(text) == text else yaml(text)


def _commented(line: str, comment: str) -> str:
    return f"{line}  # {comment}" if comment else line
