"""What a base or service requires, from a list in the manifest or from a file in one of the forms
that people have.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from slimbake.config.document import KeyPath, Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import Constraint, Hashed, IndexLine, Requirements, joined
from slimbake.config.pinned import (
    EXPORTS,
    PIPFILE_LOCK,
    POETRY_LOCK,
    PYLOCK,
    UV_LOCK,
    is_pylock,
    pins,
)
from slimbake.config.pyproject import PYPROJECT, Pyprojects
from slimbake.config.report import ProblemReport, RefusedError
from slimbake.config.specs import (
    FILE_ENDINGS,
    extra_names,
    is_address,
    is_path,
    lockable,
    name_of,
    takes,
)
from slimbake.host.files import LOCK, TEXT
from slimbake.host.pip import without_credentials
from slimbake.host.typed import json_value

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTION = re.compile(r"(-[a-zA-Z]|--[a-z][a-z-]*)(?:[\s=]\s*(.*)|(?<=-[a-zA-Z])(.+))?$", re.DOTALL)
_INCLUDE = ("-r", "--requirement")
_EDITABLE = ("-e", "--editable")
_CONSTRAINT = ("-c", "--constraint")
# The machine's business: where packages come from.
_INDEX = (
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links"),
    *("--trusted-host", "--no-index", "--pypi-url"),
)
# What holds of every lock of ours anyway.
_GRANTED = ("--require-hashes", "--prefer-binary", "--only-binary", "--use-feature")
_PROJECT = re.compile(
    r"(?P<file>(?:.*/)?pyproject\.toml)(?:\[(?P<extras>[^]]*)\])?(?::(?P<group>[\w.-]+))?"
)
_PINNED = re.compile(r"(?m)^[A-Za-z0-9][\w.-]*(?:\[[\w,. -]+\])? *(?:==|@ )")
_HASH = re.compile(r"--hash[=\s]\s*([a-z0-9]+):([0-9A-Fa-f]+)")
_BUILT = (".whl", ".tar.gz", ".zip")
_READ = (
    f"slimbake reads requirements files, {PYPROJECT}, {UV_LOCK}, {POETRY_LOCK}, {PIPFILE_LOCK} and"
    f" {PYLOCK}"
)


def _is_file(item: str) -> bool:
    """Whether an item is the name of a file that lists requirements, by its ending."""
    return bool(_PROJECT.fullmatch(item)) or (item.endswith(FILE_ENDINGS) and "://" not in item)


def _excluded(pin: str, specs: Iterable[str]) -> bool:
    """Whether one of these requirements takes another version than a lock pins."""
    name, _, version = pin.partition(" ; ")[0].partition("==")
    return any(name_of(spec) == name and not takes(spec, version) for spec in specs)


class RequirementsReader:
    """Reads each requirements file once, however many services name it."""

    def __init__(self, repository: ManifestFolder, report: ProblemReport) -> None:
        self._repository = repository
        self._report = report
        self._pyprojects = Pyprojects(repository, report, self._file)
        self._files: dict[str, Requirements] = {}
        self._open: set[str] = set()  # the files that are being read

    def read(self, written: str | list[str | None], path: KeyPath, folder: str) -> Requirements:
        """What is `written` at the key `path`; a file is relative to `folder`, a list to the
        manifest.
        """
        if isinstance(written, list):
            return self._list(written, path)
        try:
            return self._named(written, folder)
        except RefusedError as error:
            hint = error.hint
            if not hint and not _is_file(written):
                hint = f"write a list: [{', '.join(written.split())}]"
            self._report.value(path, f"requirements file {error.message}", hint)
            return Requirements()

    def _list(self, items: list[str | None], path: KeyPath) -> Requirements:
        parts: list[Requirements] = []
        locks: list[Requirements] = []  # of the packages of the repository
        for index, item in enumerate(items):
            if item is None:  # reported by the schema
                continue
            written = item.strip()
            try:
                if written.startswith("-c "):
                    parts.append(self._constraints(written[2:].strip(), ""))
                    continue
                if _is_file(written) or self._is_path_of_file(written):
                    listed = self._named(written, "")
                    parts.append(replace(listed, by_file=(listed.specs,)))
                    continue
                parts.append(self._item(written, ""))
                if is_path(written):
                    folder = self._repository.folder(written.partition("[")[0].strip())
                    locks.append(self._pyprojects.locked(folder))
            except RefusedError as error:
                hint = error.hint
                if not hint and (is_path(written) or _is_file(written)):
                    hint = "files and folders in a list are relative to the manifest"
                self._report.value((*path, index), error.message, hint)
        whole, lock = joined(parts), joined(locks)
        return joined([whole, replace(lock, constraints=tuple(_left_open(whole, lock)))])

    def _is_path_of_file(self, item: str) -> bool:
        """Whether an item is a path to a file, which lists requirements then: `./needed`."""
        is_below = item.startswith("./") and not item.endswith(_BUILT)
        return is_below and self._repository.is_file(item)

    def _named(self, written: str, folder: str) -> Requirements:
        """A file by its name; of a pyproject.toml, with extras or a group."""
        project = _PROJECT.fullmatch(written)
        if project and (project["extras"] or project["group"]):
            file = self._repository.file(project["file"], folder)
            extras, group = extra_names(project["extras"] or ""), project["group"] or ""
            with self._reading(file):
                asked = self._pyprojects.dependencies(file, extras, group)
            return joined([Requirements(files=(file,)), asked])
        file = self._repository.file(written, folder)
        member = posixpath.normpath(posixpath.join(folder, PYPROJECT))
        if posixpath.basename(file) == UV_LOCK and self._repository.exists(member):
            return self._file(member)
        return self._file(file)

    def _file(self, file: str) -> Requirements:
        """What a file requires. Raises RefusedError where it is being read already."""
        if file not in self._files:
            parts = [Requirements(files=(file,))]
            with self._reading(file):
                try:
                    parts.append(self._by_form(file))
                except RefusedError as error:
                    self._report.elsewhere(file, error.place, error.message, error.hint)
            self._files[file] = joined(parts)
        return self._files[file]

    @contextlib.contextmanager
    def _reading(self, file: str, option: str = "-r") -> Iterator[None]:
        """Have a file that includes itself refused. `option`: it names the file."""
        if file in self._open:
            raise RefusedError(f"'{file}' includes itself", f"remove one of the '{option}' lines")
        self._open.add(file)
        try:
            yield
        finally:
            self._open.discard(file)

    def _by_form(self, file: str) -> Requirements:
        name = posixpath.basename(file)
        if name == PYPROJECT:
            return self._pyprojects.dependencies(file)
        if name in (UV_LOCK, POETRY_LOCK):
            project = posixpath.join(posixpath.dirname(file), PYPROJECT)
            if self._repository.exists(project):
                return self._file(project)
            raise RefusedError(
                "it pins versions, and no pyproject.toml beside it says what is required",
                f"put '{project}' there",
            )
        if name == PIPFILE_LOCK:
            try:
                lock = json_value(self._repository.read(file, LOCK))
            except (ValueError, RecursionError) as error:
                raise RefusedError(f"not JSON: {error}", "pipenv lock") from None
            return Requirements(tuple(map(lockable, pins(file, lock))))
        if is_pylock(file):
            data = self._pyprojects.table(file) or {}
            return Requirements(tuple(map(lockable, pins(file, data))))
        # Rye and pip-compile write some locks as requirements files.
        lock = file.endswith(".lock") and not _PINNED.search(self._repository.read(file))
        if lock or name in EXPORTS or file.endswith((".toml", ".json", ".py", ".yml", ".yaml")):
            hint = EXPORTS.get(name, _READ)
            raise RefusedError("requirements are not read from this kind of file", hint)
        return self._lines(file)

    def _lines(self, file: str) -> Requirements:
        text = self._repository.read(file)
        if len(_HASH.sub("", text)) > TEXT:
            raise RefusedError(f"slimbake reads {TEXT:,} characters beside hashes at most")
        parts = []
        for place, line in _logical_lines(text):
            try:
                if line.startswith("-"):
                    parts.append(self._option(line, file, place))
                else:
                    parts.append(self._requirement(line, file, place))
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)
        return joined(parts)

    def _requirement(self, line: str, file: str, place: Position) -> Requirements:
        """A line that requires something, with the options of that line."""
        spec, *options = re.split(r"\s--(?=[a-z])", line)
        spec = spec.strip()
        for option in options:
            if not option.startswith("hash"):
                name = option.split()[0].partition("=")[0]
                raise RefusedError(
                    f"the option --{name} of a requirement is not supported",
                    "remove it: wheels are built as their sources say; an option of an index has"
                    " a line of its own",
                )
        requirements = self._item(spec, self._beside(spec, file))
        if not options:
            return requirements
        hashes = [digest.lower() for kind, digest in _HASH.findall(line) if kind == "sha256"]
        if not hashes or any(len(digest) != 64 for digest in hashes):
            raise RefusedError(
                f"the hashes of '{spec}' are no SHA-256",
                "write --hash=sha256: and 64 hexadecimal digits, or remove it: the lock holds"
                " hashes",
            )
        hashed = Hashed(name_of(lockable(spec)), f"{file}:{place.line}", tuple(hashes))
        return replace(requirements, hashes=(hashed,))

    def _beside(self, item: str, file: str) -> str:
        """The folder that a path in a requirements file is relative to: its own, else the nearest one
        above with such a path. pip takes the folder that it runs in.
        """
        folder = beside = posixpath.dirname(file)
        path = item.partition("[")[0].strip()
        while is_path(path):
            candidate = posixpath.normpath(posixpath.join(folder, path))
            if not candidate.startswith("..") and self._repository.exists(candidate):
                return folder
            if not folder:
                break
            folder = posixpath.dirname(folder)
        return beside

    def _item(self, item: str, folder: str) -> Requirements:
        """A package by its name, or one in a folder of the repository."""
        if "\0" in item:
            raise RefusedError("a NUL character")
        if is_path(item):
            return self._package(item, folder)
        if _is_file(item):
            raise RefusedError(
                f"'{item}' is the name of a file, and a package is wanted", f"write `-r {item}`"
            )
        return Requirements((lockable(" ".join(item.split())),))

    def _package(self, text: str, folder: str) -> Requirements:
        if fix := re.fullmatch(r"([^;]*[^;\s])\s*;.*", text):
            raise RefusedError(f"'{text}': a folder takes no markers", f"write '{fix[1]}'")
        if text.endswith(_BUILT):
            raise RefusedError(
                f"'{text}' is a built package in the repository",
                "require the folder of its sources, or its address on an index or a server",
            )
        extras = re.fullmatch(r"([^\[]*[^\[\s])\s*\[([^]]*)\]", text)
        if not extras:
            return self._pyprojects.package(text, folder)
        return self._pyprojects.package(extras[1], folder, extra_names(extras[2]))

    def _option(self, line: str, file: str, place: Position) -> Requirements:
        name, value = line.split()[0], ""
        match = _OPTION.match(line)
        if match:
            name = match[1]
            value = (match[2] or match[3] or "").strip()
        folder = posixpath.dirname(file)
        if name in _INCLUDE and value:
            return self._named(value, folder)
        if name in _CONSTRAINT and value:
            return self._constraints(value, folder)
        if name in _EDITABLE and value:
            value = re.sub(r"^file:(?!//)", "", value)  # as Rye writes folders
            if is_path(value):
                return self._package(value, self._beside(value, file))
            if "://" in value:
                return Requirements((lockable(value),))
            raise RefusedError(
                f"'{value}' is no folder of the repository", "for example: -e ./libs/name"
            )
        if name in _INDEX:
            address = without_credentials(value) if "://" in value else value
            return Requirements(indexes=(IndexLine(f"{file}:{place.line}", name, address),))
        if name == "--pre":
            return Requirements(prereleases=(file,))
        if name in _GRANTED:
            return Requirements()
        raise RefusedError(
            f"the option {name} is not supported",
            "known here: -r, -e, -c, --hash, --pre; `slimbake lock` reports lines of indexes",
        )

    def _constraints(self, value: str, folder: str) -> Requirements:
        """A file of constraints: what it names is not required, but has these versions."""
        file = self._repository.file(value, folder)
        parts = []
        with self._reading(file, "-c"):
            for place, line in _logical_lines(self._repository.read(file)):
                try:
                    if line.startswith("-"):
                        parts.append(self._option(line, file, place))
                    else:
                        parts.append(Requirements(constraints=(_constraint(line, file),)))
                except RefusedError as error:
                    self._report.elsewhere(file, place, error.message, error.hint)
        whole = joined(parts)
        # What a constraint file includes constrains, too.
        included = [Constraint(spec, file) for spec in whole.specs]
        return Requirements(
            files=(file, *whole.files),
            constraints=(*whole.constraints, *included),
            indexes=whole.indexes,
        )


def _constraint(line: str, file: str) -> Constraint:
    """A line of a file of constraints. Raises RefusedError."""
    spec = lockable(re.split(r"\s--hash", line)[0].strip())
    if is_address(spec):
        raise RefusedError(
            f"'{spec}' is an address, and a constraint is one of versions",
            "require it by this address",
        )
    return Constraint(spec, file)


def _left_open(whole: Requirements, locks: Requirements) -> Iterator[Constraint]:
    """The pins of libraries' locks for packages that nothing else constrains. If several locks pin a
    package, the first one counts.
    """
    first: dict[str, str] = {}  # package -> the file that pins it
    for constraint in whole.constraints:
        first.setdefault(name_of(constraint.spec), constraint.file)
    for pin in locks.constraints:
        file = first.setdefault(name_of(pin.spec), pin.file)
        if file == pin.file and not _excluded(pin.spec, whole.specs):
            yield replace(pin, library=True)


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
        if line:
            yield start, line
    if joined.strip():
        yield start, joined.strip()
