"""What a base or service requires, from a list in the manifest, a requirements file or a
pyproject.toml.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from slimbake.config.document import KeyPath, Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import LocalPackage, Requirements
from slimbake.config.pyproject import PYPROJECT, UV_LOCK, Pyprojects, locked_requirements
from slimbake.config.report import ProblemReport, RefusedError
from slimbake.config.specs import is_path, lockable

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTION = re.compile(r"(-[a-zA-Z]|--[a-z][a-z-]*)(?:[\s=]\s*(.*)|(?<=-[a-zA-Z])(.+))?$", re.DOTALL)
_INCLUDE = ("-r", "--requirement")
_EDITABLE = ("-e", "--editable")
_INDEX = (
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links"),
    *("--trusted-host", "--no-index", "--pypi-url"),
)
_SETTINGS = "addresses of indexes are the machine's: set them in the environment, as for pip or uv"
_CONSTRAINT = ("is not supported", "give the version where the package is required")
# Options of pip that a file may not hold here: what is wrong, and a hint.
_REFUSED = {
    **dict.fromkeys(_INDEX, ("does not belong here", _SETTINGS)),
    "--hash": ("does not belong here", "the lock holds the hashes: remove it"),
    "-c": _CONSTRAINT,
    "--constraint": _CONSTRAINT,
}


@dataclass(slots=True)
class _Found:
    """Collects requirements in the order in which they are read, each once."""

    specs: dict[str, None] = field(default_factory=dict)
    packages: dict[LocalPackage, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)

    def add(self, other: Requirements) -> None:
        self.specs.update(dict.fromkeys(other.specs))
        self.packages.update(dict.fromkeys(other.packages))
        self.files.update(dict.fromkeys(other.files))

    def value(self) -> Requirements:
        return Requirements(tuple(self.specs), tuple(self.packages), tuple(self.files))


class RequirementsReader:
    """Reads each requirements file once, however many services name it."""

    def __init__(self, repository: ManifestFolder, report: ProblemReport) -> None:
        self._repository = repository
        self._report = report
        self._pyprojects = Pyprojects(repository, report)
        self._files: dict[str, Requirements | None] = {}  # None: being read

    def read(self, written: str | list[str | None], path: KeyPath, folder: str) -> Requirements:
        """What is `written` at the key `path`; a file is relative to `folder`, a list to the
        manifest.
        """
        if isinstance(written, list):
            return self._list(written, path)
        try:
            file = self._repository.file(written, folder)
        except RefusedError as error:
            self._report.value(path, f"requirements file {error.message}", error.hint)
            return Requirements()
        return self._file(file)

    def _list(self, items: list[str | None], path: KeyPath) -> Requirements:
        found = _Found()
        for index, item in enumerate(items):
            if item is None:  # reported by the schema
                continue
            try:
                self._take(item.strip(), "", found)
            except RefusedError as error:
                self._report.value((*path, index), error.message, error.hint)
        return found.value()

    def _file(self, file: str) -> Requirements:
        done = self._files.get(file)
        if done is not None:
            return done
        self._files[file] = None
        found = _Found(files={file: None})
        if posixpath.basename(file) == PYPROJECT:
            specs, packages = self._pyprojects.dependencies(file)
            found.add(Requirements(tuple(specs), tuple(packages)))
        elif posixpath.basename(file) == UV_LOCK:
            self._uv_lock(file, found)
        else:
            self._lines(file, found)
        self._files[file] = found.value()
        return found.value()

    def _uv_lock(self, file: str, found: _Found) -> None:
        data = self._pyprojects.table(file)
        if data is None:
            return
        try:
            specs, folders = locked_requirements(data)
            found.specs.update(dict.fromkeys(specs))
            for folder in folders:
                found.packages.update(
                    dict.fromkeys(self._package(f"./{folder}", posixpath.dirname(file)))
                )
        except RefusedError as error:
            self._report.elsewhere(file, None, error.message, error.hint)

    def _lines(self, file: str, found: _Found) -> None:
        folder = posixpath.dirname(file)
        try:
            text = self._repository.read(file)
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
            return
        for place, line in _logical_lines(text):
            try:
                if line.startswith("-"):
                    self._option(line, folder, found)
                else:
                    self._take(line, folder, found)
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)

    def _take(self, item: str, folder: str, found: _Found) -> None:
        if "\0" in item:
            raise RefusedError("a NUL character")
        if is_path(item):
            found.packages.update(dict.fromkeys(self._package(item, folder)))
        elif item.endswith((".txt", ".toml", ".lock")):
            hint = (
                f"in place of the list: `requirements: {item}`; in a requirements file: `-r {item}`"
            )
            raise RefusedError(f"'{item}' is the name of a file, and a package is wanted", hint)
        else:
            found.specs[lockable(" ".join(item.split()))] = None

    def _package(self, text: str, folder: str) -> list[LocalPackage]:
        if mend := re.fullmatch(r"([^\[;]*[^\[;\s])\s*(\[[^]]*\]|;.*)", text):
            raise RefusedError(
                f"'{text}': a folder takes neither extras nor markers", f"write '{mend[1]}'"
            )
        package = self._pyprojects.package(text, folder)
        return [package] if package else []

    def _option(self, line: str, folder: str, found: _Found) -> None:
        match = _OPTION.match(line)
        name = match[1] if match else line.split()[0]
        value = ((match[2] or match[3] or "") if match else "").strip()
        if name in _INCLUDE and value:
            file = self._repository.file(value, folder)
            if self._files.get(file, Requirements()) is None:
                raise RefusedError(f"'{value}' includes itself", "remove one of the '-r' lines")
            found.add(self._file(file))
        elif name in _EDITABLE and value:
            if not is_path(value):
                raise RefusedError(
                    f"'{value}' is no folder of the repository", "for example: -e ./libs/name"
                )
            found.packages.update(dict.fromkeys(self._package(value, folder)))
        elif name in _REFUSED:
            message, hint = _REFUSED[name]
            raise RefusedError(f"the option {name} {message}", hint)
        else:
            known = "-r and -e are the options that a requirements file may hold here"
            raise RefusedError(
                f"the option {name} is not supported" if not value or match else f"'{line}'", known
            )


def _logical_lines(text: str) -> Iterator[tuple[Position, str]]:
    """Lines without comments, a backslash at the end joining two; each with the place where it
    begins.
    """
    joined, start = "", Position(1, 1)
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw)
        if not joined:
            start = Position(number, len(line) - len(line.lstrip()) + 1)
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        line = (joined + line).strip()
        joined = ""
        if " --hash" in line:
            line = "--hash" + line.split(" --hash", 1)[1]
        if line:
            yield start, line
    if joined.strip():
        yield start, joined.strip()
