"""Which modules a service's own code imports, read from its text: nothing of it is run."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from slimbake.fingerprint.ignore import Ignore, Matched


def imports(
    root: Path, contexts: Iterable[tuple[str, tuple[str, ...]]]
) -> Mapping[str, tuple[str, ...]]:
    """Top-level module -> the files that import it, relative to `root`.

    `contexts`: folders and what of each is not sent to a build. What cannot be read as Python
    imports nothing.
    """
    found: dict[str, list[str]] = {}
    for context, ignored in contexts:
        for path in _sent(root / context, "", Ignore("\n".join(ignored)), ()):
            for module in sorted(set(_imported(root / context / path))):
                found.setdefault(module, []).append(path if context == "." else f"{context}/{path}")
    return {module: tuple(files) for module, files in found.items()}


def _sent(folder: Path, below: str, ignore: Ignore, above: Matched) -> Iterator[str]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        path = below + entry.name
        out, matched = ignore(path, above)
        if entry.is_dir(follow_symlinks=False):
            if not out or ignore.exceptions:
                yield from _sent(folder / entry.name, f"{path}/", ignore, matched)
        elif not out and entry.name.endswith(".py") and entry.is_file():
            yield path


def _imported(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
