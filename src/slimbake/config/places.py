"""Where packages are asked for: in the manifest, or in a file that it names.

A manifest as values does not say it. Only errors of locks want to know, so the files are read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from slimbake.config.document import KeyPath, Position
from slimbake.config.report import ProblemReport, dotted_path
from slimbake.config.specs import name_of
from slimbake.errors import Problem
from slimbake.host.files import content


class RequirementPlaces:
    """The places of requirements of one manifest: its folder, its plain values, and where they are."""

    def __init__(self, root: Path, raw: dict[str, Any], report: ProblemReport) -> None:
        self._root, self._raw, self._report = root, raw, report

    def of(
        self, entry: tuple[str, str], variant: str, package: str, files: Iterable[str]
    ) -> Problem:
        """Where a base or service asks for a package, as a problem without a message: the item of a
        list in the manifest, else the first line of `files` that names the package, else the entry.
        """
        for path, item in self._items(entry, variant):
            if name_of(item.strip()) == package:
                place = self._report.places.value(path)
                return Problem(self._report.file, *place, dotted_path(path), "")
        # A lock names a package too, and does not ask for it.
        for file in sorted(files, key=lambda file: file.endswith(".lock")):
            if line := self._named(file, package):
                return Problem(file, *line, "", "")
        return Problem(self._report.file, *self._report.places.key(entry), dotted_path(entry), "")

    def _items(self, entry: tuple[str, str], variant: str) -> Iterator[tuple[KeyPath, str]]:
        """The requirements that the manifest itself lists for an entry and one variant of it."""
        kind, name = entry
        raw = self._raw[kind][name]
        speakers: list[tuple[KeyPath, Any]] = [(entry, raw)]
        if variant in raw.get("variants", {}):
            speakers.append(((*entry, "variants", variant), raw["variants"][variant]))
        for path, speaker in speakers:
            written = speaker.get("requirements")
            for index, item in enumerate(written if isinstance(written, list) else ()):
                yield (*path, "requirements", index), item

    def _named(self, file: str, package: str) -> Position | None:
        """The first place in a file that names a package, outside of comments."""
        try:
            text = content(self._root, file).decode("utf-8", "replace")
        except OSError:  # a project has only some of the files that may ask for something
            return None
        name = re.escape(package).replace(r"\-", "[-_.]+")
        match = re.search(rf"(?im)^[^#\n]*?(?<![\w.-])({name})(?![\w.-])", text)
        if match:
            return Position.offset(text, match.start(1))
        return None
