"""What a base or service requires, from a list in the manifest or from a file in one of the forms
that people have.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from slimbake.config.collected import Collected
from slimbake.config.document import KeyPath, Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import Constraint, Hashed, IndexLine, Requirements
from slimbake.config.pinned import EXPORTS, POETRY_LOCK, PYLOCK, UV_LOCK, is_pylock, pins
from slimbake.config.pyproject import PYPROJECT, Pyprojects
from slimbake.config.report import ProblemReport, RefusedError
from slimbake.config.specs import is_path, lockable, name_of, takes
from slimbake.host.files import TEXT
from slimbake.host.pip import without_credentials

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
_FILES = (".txt", ".toml", ".lock", ".yml", ".yaml", ".in", ".cfg", "Pipfile")
_READ = f"slimbake reads requirements files, {PYPROJECT}, {UV_LOCK}, {POETRY_LOCK} and {PYLOCK}"


def _is_file(item: str) -> bool:
    """Whether an item is the name of a file that lists requirements."""
    return bool(_PROJECT.fullmatch(item)) or (item.endswith(_FILES) and "://" not in item)


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
        self._files: dict[str, Requirements | None] = {}  # None: being read

    def read(self, written: str | list[str | None], path: KeyPath, folder: str) -> Requirements:
        """What is `written` at the key `path`; a file is relative to `folder`, a list to the
        manifest.
        """
        if isinstance(written, list):
            return self._list(written, path)
        try:
            return self._named(written, folder)
        except RefusedError as error:
            self._report.value(
                path,
                f"requirements file {error.message}",
                error.hint
                or f"write a list: [{', '.join(written.split())}]" * (not _is_file(written)),
            )
            return Requirements()

    def _list(self, items: list[str | None], path: KeyPath) -> Requirements:
        collected, locks = Collected(), Collected()
        for index, item in enumerate(items):
            if item is None:  # reported by the schema
                continue
            written = item.strip()
            try:
                if written.startswith("-c "):
                    collected.add(self._constraints(written[2:].strip(), ""))
                    continue
                if _is_file(written):
                    listed = self._named(written, "")
                    collected.add(replace(listed, by_file=(listed.specs,)))
                    continue
                self._take(written, "", collected)
                if is_path(written):
                    folder = self._repository.folder(written.partition("[")[0].strip())
                    locks.add(self._pyprojects.locked(folder))
            except RefusedError as error:
                relative = "files and folders in a list are relative to the manifest"
                there = relative if is_path(written) or _is_file(written) else ""
                self._report.value((*path, index), error.message, error.hint or there)
        collected.add(replace(locks.value(), constraints=tuple(_left_open(collected, locks))))
        return collected.value()

    def _named(self, written: str, folder: str) -> Requirements:
        """A file by its name; of a pyproject.toml, with extras or a group."""
        if (project := _PROJECT.fullmatch(written)) and (project["extras"] or project["group"]):
            file = self._repository.file(project["file"], folder)
            extras = [extra.strip() for extra in (project["extras"] or "").split(",")]
            collected = Collected(file)
            collected.add(
                self._pyprojects.dependencies(file, [*filter(None, extras)], project["group"] or "")
            )
            return collected.value()
        file = self._repository.file(written, folder)
        member = posixpath.normpath(posixpath.join(folder, PYPROJECT))
        if posixpath.basename(file) == UV_LOCK and self._repository.exists(member):
            return self._file(member)
        return self._file(file)

    def _file(self, file: str) -> Requirements:
        done = self._files.get(file)
        if done is not None:
            return done
        self._files[file] = None
        collected = Collected(file)
        try:
            collected.add(self._by_form(file))
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
        self._files[file] = done = collected.value()
        return done

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
        collected = Collected()
        for place, line in _logical_lines(text):
            try:
                if line.startswith("-"):
                    self._option(line, file, place, collected)
                else:
                    self._required(line, file, place, collected)
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)
        return collected.value()

    def _required(self, line: str, file: str, place: Position, collected: Collected) -> None:
        """A line that requires something, with the options that hold of it alone."""
        hashes = _HASH.findall(line)
        spec, *options = re.split(r"\s--(?=[a-z])", line)
        if unknown := [option for option in options if not option.startswith("hash")]:
            raise RefusedError(
                f"the option --{unknown[0].split()[0].partition('=')[0]} of a requirement is not"
                " supported",
                "remove it: wheels are built as their sources say",
            )
        self._take(spec.strip(), self._beside(spec, file), collected)
        if options:
            allowed = tuple(digest.lower() for kind, digest in hashes if kind == "sha256")
            if not allowed or any(len(digest) != 64 for digest in allowed):
                raise RefusedError(
                    f"the hashes of '{spec.strip()}' are no SHA-256",
                    "write --hash=sha256: and 64 hexadecimal digits, or remove it: the lock holds"
                    " hashes",
                )
            collected.hashes[
                Hashed(name_of(lockable(spec.strip())), f"{file}:{place.line}", allowed)
            ] = None

    def _beside(self, item: str, file: str) -> str:
        """The folder that a path in a requirements file is relative to: its own, else the nearest one
        above with such a path. pip takes the folder that it runs in.
        """
        folder = beside = posixpath.dirname(file)
        path = item.strip().partition("[")[0].strip()
        while is_path(path):
            candidate = posixpath.normpath(posixpath.join(folder, path))
            if not candidate.startswith("..") and self._repository.exists(candidate):
                return folder
            if not folder:
                break
            folder = posixpath.dirname(folder)
        return beside

    def _take(self, item: str, folder: str, collected: Collected) -> None:
        if "\0" in item:
            raise RefusedError("a NUL character")
        if is_path(item):
            collected.add(self._package(item, folder))
        elif _is_file(item):
            raise RefusedError(
                f"'{item}' is the name of a file, and a package is wanted", f"write `-r {item}`"
            )
        else:
            collected.specs[lockable(" ".join(item.split()))] = None

    def _package(self, text: str, folder: str) -> Requirements:
        if fix := re.fullmatch(r"([^;]*[^;\s])\s*;.*", text):
            raise RefusedError(f"'{text}': a folder takes no markers", f"write '{fix[1]}'")
        if text.endswith((".whl", ".tar.gz", ".zip")):
            raise RefusedError(
                f"'{text}' is a built package in the repository",
                "require the folder of its sources, or its address on an index or a server",
            )
        extras = re.fullmatch(r"([^\[]*[^\[\s])\s*\[([^]]*)\]", text)
        if not extras:
            return self._pyprojects.package(text, folder)
        names = [extra.strip() for extra in extras[2].split(",") if extra.strip()]
        return self._pyprojects.package(extras[1], folder, names)

    def _option(self, line: str, file: str, place: Position, collected: Collected) -> None:
        match = _OPTION.match(line)
        name = match[1] if match else line.split()[0]
        value = ((match[2] or match[3] or "") if match else "").strip()
        folder = posixpath.dirname(file)
        if name in _INCLUDE and value:
            self._included(value, folder, collected)
        elif name in _CONSTRAINT and value:
            collected.add(self._constraints(value, folder))
        elif name in _EDITABLE and value:
            value = re.sub(r"^file:(?!//)", "", value)  # as Rye writes folders
            if is_path(value):
                collected.add(self._package(value, self._beside(value, file)))
            elif "://" in value:
                collected.specs[lockable(value)] = None
            else:
                raise RefusedError(
                    f"'{value}' is no folder of the repository", "for example: -e ./libs/name"
                )
        elif name in _INDEX:
            address = without_credentials(value) if "://" in value else value
            collected.indexes[IndexLine(f"{file}:{place.line}", name, address)] = None
        elif name == "--pre":
            collected.prereleases[file] = None
        elif name not in _GRANTED:
            raise RefusedError(
                f"the option {name} is not supported" if not value or match else f"'{line}'",
                "known here: -r, -e, -c, --hash, --pre; `slimbake lock` reports lines of indexes",
            )

    def _included(self, value: str, folder: str, collected: Collected) -> None:
        name = _PROJECT.fullmatch(value)
        file = self._repository.file(name["file"] if name else value, folder)
        if self._files.get(file, Requirements()) is None:
            raise RefusedError(f"'{value}' includes itself", "remove one of the '-r' lines")
        collected.add(self._named(value, folder))

    def _constraints(self, value: str, folder: str) -> Requirements:
        """A file of constraints: what it names is not required, but has these versions."""
        file = self._repository.file(value, folder)
        collected = Collected(file)
        for place, line in _logical_lines(self._repository.read(file)):
            try:
                if line.startswith("-"):
                    self._option(line, file, place, collected)
                    continue
                spec = lockable(re.split(r"\s--hash", line)[0].strip())
                if " @ " in spec:
                    raise RefusedError(
                        f"'{spec}' is an address, and a constraint is one of versions",
                        "require it by this address",
                    )
                collected.constraints[Constraint(spec, file)] = None
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)
        # What a constraint file includes constrains, too.
        constraints = tuple(Constraint(spec, file) for spec in collected.specs)
        return Requirements(
            files=tuple(collected.files),
            constraints=(*collected.constraints, *constraints),
            indexes=tuple(collected.indexes),
        )


def _left_open(collected: Collected, locks: Collected) -> Iterator[Constraint]:
    """What the locks of libraries pin that nothing else says, each package by the first of them."""
    first = {
        name_of(constraint.spec): constraint.file for constraint in reversed(collected.constraints)
    }
    for pin in locks.constraints:
        file = first.setdefault(name_of(pin.spec), pin.file)
        if file == pin.file and not _excluded(pin.spec, collected.specs):
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
