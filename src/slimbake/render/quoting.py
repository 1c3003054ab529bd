"""One quoting function per language: any text arrives as that text and nothing else."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterable

from slimbake.config.model import Secret

_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_HCL_ESCAPES = str.maketrans(
    {chr(code): f"\\u{code:04x}" for code in (*range(0x20), 0x7F)} | _ESCAPES
)
_YAML_ESCAPES = {**_ESCAPES, "\0": "\\0"}


def hcl(text: str) -> str:
    """A text as an HCL string literal: no template `${` or `%{` in it is ever evaluated."""
    if text.isprintable():  # half the time
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    else:
        escaped = text.translate(_HCL_ESCAPES)
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def hcl_list(texts: Iterable[str]) -> str:
    """Texts as an HCL list of string literals."""
    return "[" + ", ".join(hcl(text) for text in texts) + "]"


def exec_form(arguments: Iterable[str]) -> str:
    """Arguments as the JSON exec form of a Dockerfile: one line, no shell, no expansion of
    variables, and no `<<` that could begin a here-document.
    """
    return json.dumps(list(arguments), ensure_ascii=True).replace("<", "\\u003c")


def secret(value: Secret) -> str:
    """A secret as buildx reads it: fields of CSV."""
    key = "env" if value.source == "env" else "src"
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([f"id={value.id}", f"{key}={value.name}"])
    return line.getvalue()


def seen_from(path: str, folder: str) -> str:
    """A path relative to `folder`, both relative to the root: bake looks for a Dockerfile from its
    context.
    """
    names = path.split("/")
    folders = [] if folder == "." else folder.split("/")
    shared = len(posixpath.commonprefix((names, folders)))
    ups = [".."] * (len(folders) - shared)
    return "/".join((*ups, *names[shared:]))


def yaml(text: str) -> str:
    """A text as a double-quoted YAML scalar on one line: no key, comment or other type can come of
    it.
    """
    return '"' + "".join(map(_yaml_escape, text)) + '"'


def _yaml_escape(character: str) -> str:
    if character in _YAML_ESCAPES:
        return _YAML_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def workflow_text(text: str) -> str:
    """A text as a scalar of a GitHub Actions workflow, where `${{` begins an expression even in
    quotes.
    """
    return yaml(text.replace("${{", "${{ '${{' }}"))


def comment(text: str) -> str:
    """A text for the rest of a comment line: what could end the line is shown as `?`."""
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    return character if character.isprintable() else "?"
