"""What a base or service requires, from a list in the manifest or from a file in one of the forms
that people have.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from slimbake.config.collected import Collected
from slimbake.config.document import KeyPath, Position, read_yaml
from slimbake.config.files import ManifestFolder
from slimbake.config.model import Constraint, Hashed, IndexLine, Requirements
from slimbake.config.pinned import (
    PDM_LOCK,
    PIPFILE_LOCK,
    POETRY_LOCK,
    UV_LOCK,
    is_pylock,
    pipfile_pins,
    pylock_pins,
)
from slimbake.config.pyproject import (
    PIPFILE,
    PYPROJECT,
    SETUP_CFG,
    SETUP_PY,
    Pyprojects,
)
from slimbake.config.report import ProblemReport, RefusedError
from slimbake.config.specs import is_path, lockable, name_of, takes
from slimbake.config.uvlock import locked_requirements
from slimbake.config.words import Word
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
# What a service's dependencies are listed in, where nobody says otherwise.
_USUAL = ("requirements.txt", PYPROJECT, PIPFILE, "environment.yml", SETUP_CFG)
_FILES = (".txt", ".toml", ".lock", ".yml", ".yaml", ".in", ".cfg", "Pipfile")
_READ = (
    "slimbake reads requirements files, pyproject.toml, setup.cfg, Pipfile, environment.yml, and the"
    " locks uv.lock, poetry.lock, pdm.lock, Pipfile.lock and pylock.toml"
)


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
        self.for_python("")
        self._files: dict[str, Requirements | None] = {}  # None: being read

    def for_python(self, python: str) -> None:
        """Read what is for this version of Python, the manifest's."""
        self.python = self._pyprojects.python = python

    def read(self, written: str | list[str | None], path: KeyPath, folder: str) -> Requirements:
        """What is `written` at the key `path`; a file is relative to `folder`, a list to the
        manifest.
        """
        if isinstance(written, list):
            return self._list(written, path, folder)
        try:
            return self._named(written, folder)
        except RefusedError as error:
            self._report.value(path, f"requirements file {error.message}", error.hint)
            return Requirements()

    def lying(self, folder: str) -> Iterator[tuple[str, Requirements]]:
        """The files that list dependencies in a folder, with what they ask for; those that hold no
        dependencies, such as the settings of tools, are left out. Reports nothing.
        """
        for name in _USUAL:
            file = posixpath.normpath(posixpath.join(folder, name))
            if not self._repository.exists(file):
                continue
            aside = ProblemReport(file, self._report.places)
            asked = RequirementsReader(self._repository, aside)._file(file)
            if asked.specs or asked.packages:
                yield file, asked

    def _list(self, items: list[str | None], path: KeyPath, context: str) -> Requirements:
        found, locks = Collected(), Collected()
        for index, item in enumerate(items):
            if item is None:  # reported by the schema
                continue
            written = item.strip()
            try:
                if _is_file(written):
                    found.add(self._named(written, ""))
                    continue
                self._take(written, "", found)
                if is_path(written):
                    folder = self._repository.folder(written.partition("[")[0].strip())
                    locks.add(self._pyprojects.locked(folder))
            except RefusedError as error:
                hint = self._from_the_manifest(written, context) or error.hint
                self._report.value((*path, index), error.message, hint)
        # The locks of libraries pin what the service itself leaves open.
        left = (each for each in locks.constraints if not _excluded(each.spec, found.specs))
        found.add(replace(locks.value(), constraints=tuple(left)))
        return found.value()

    def _from_the_manifest(self, item: str, context: str) -> str:
        """How to write a file or folder that is there as seen from the context alone; "" for others."""
        if not (is_path(item) or _is_file(item)):
            return ""
        below = posixpath.normpath(posixpath.join(context, item))
        there = below if _is_file(item) else f"./{below}"
        words = f"files and folders in a list are relative to the manifest: '{there}'"
        return words if self._repository.exists(below) else ""

    def _named(self, written: str, folder: str) -> Requirements:
        """A file by its name; of a pyproject.toml, with extras or a group."""
        if (project := _PROJECT.fullmatch(written)) and (project["extras"] or project["group"]):
            file = self._repository.file(project["file"], folder)
            extras = [each.strip() for each in (project["extras"] or "").split(",")]
            found = Collected(file)
            found.add(
                self._pyprojects.dependencies(file, [*filter(None, extras)], project["group"] or "")
            )
            return found.value()
        file = self._repository.file(written, folder)
        if posixpath.basename(file) == UV_LOCK:
            return self._uv_lock(file, folder)
        return self._file(file)

    def _file(self, file: str) -> Requirements:
        done = self._files.get(file)
        if done is not None:
            return done
        self._files[file] = None
        found = Collected(file)
        try:
            found.add(self._by_form(file))
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
        self._files[file] = done = found.value()
        return done

    def _by_form(self, file: str) -> Requirements:
        name = posixpath.basename(file)
        beside = posixpath.dirname(file)
        if name == PYPROJECT:
            return self._pyprojects.dependencies(file)
        if name == UV_LOCK:
            return self._uv_lock(file, beside)
        if name in (POETRY_LOCK, PDM_LOCK):
            project = posixpath.join(beside, PYPROJECT)
            if not self._repository.exists(project):
                raise RefusedError(
                    "it pins versions, and no pyproject.toml beside it says what is required",
                    f"put '{project}' there",
                )
            return self._file(project)
        if name == PIPFILE_LOCK:
            if self._repository.exists(posixpath.join(beside, PIPFILE)):
                return self._pyprojects.pipfile(posixpath.join(beside, PIPFILE))
            data = self._pyprojects.table(file) or {}
            return Requirements(tuple(map(lockable, pipfile_pins(data))))
        if name == PIPFILE:
            return self._pyprojects.pipfile(file)
        if is_pylock(file):
            data = self._pyprojects.table(file) or {}
            return Requirements(tuple(map(lockable, pylock_pins(data))))
        if name == SETUP_CFG:
            return self._pyprojects.setup_cfg(file)
        if name.endswith((".yml", ".yaml")):
            return self._conda(file)
        if self._of_another_form(file):
            hint = "uv pip compile setup.py -o requirements.txt" if name == SETUP_PY else _READ
            raise RefusedError("requirements are not read from this kind of file", hint)
        return self._lines(file)

    def _of_another_form(self, file: str) -> bool:
        """Whether a file is surely no requirements file. Those locks are some that Rye and pip-compile
        write.
        """
        if file.endswith(".lock"):
            return not _PINNED.search(self._repository.read(file))
        return file.endswith((".toml", ".json", ".py", ".lockb"))

    def _uv_lock(self, file: str, folder: str) -> Requirements:
        """The pins of a uv.lock: those of the member in `folder`, else of the project beside it."""
        found = Collected(file)
        data = self._pyprojects.table(file)
        if data is None:
            return found.value()
        beside = posixpath.dirname(file)
        try:
            member = posixpath.relpath(folder or ".", beside or ".")
            specs, folders = locked_requirements(data, member)
            found.add(Requirements(tuple(map(lockable, specs))))
            for each in folders:
                found.add(self._pyprojects.package(f"./{each}", beside))
            self._pyprojects.locked(folder)  # says where it is older than its project
        except RefusedError as error:
            self._report.elsewhere(file, None, error.message, error.hint)
        return found.value()

    def _lines(self, file: str) -> Requirements:
        found = Collected()
        for place, line in _logical_lines(self._repository.read(file)):
            try:
                if line.startswith("-"):
                    self._option(line, file, place, found)
                else:
                    self._required(line, file, place, found)
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)
        return found.value()

    def _required(self, line: str, file: str, place: Position, found: Collected) -> None:
        """A line that requires something, with the options that hold of it alone."""
        hashes = _HASH.findall(line)
        spec, *options = re.split(r"\s--(?=[a-z])", line)
        if unknown := [each for each in options if not each.startswith("hash")]:
            raise RefusedError(
                f"the option --{unknown[0].split()[0].partition('=')[0]} of a requirement is not"
                " supported",
                "remove it: wheels are built as their sources say",
            )
        self._take(spec.strip(), self._beside(spec, file), found)
        if options:
            allowed = tuple(digest.lower() for kind, digest in hashes if kind == "sha256")
            if not allowed or any(len(each) != 64 for each in allowed):
                raise RefusedError(
                    f"the hashes of '{spec.strip()}' are no SHA-256",
                    "write --hash=sha256: and 64 hexadecimal digits, or remove it: the lock holds"
                    " hashes",
                )
            found.hashes[
                Hashed(name_of(lockable(spec.strip())), f"{file}:{place.line}", allowed)
            ] = None

    def _beside(self, item: str, file: str) -> str:
        """The folder that a path in a requirements file is relative to: its own, else the nearest one
        above with such a path. pip takes the folder that it runs in.
        """
        folder = beside = posixpath.dirname(file)
        path = item.strip().partition("[")[0].strip()
        while is_path(path):
            found = posixpath.normpath(posixpath.join(folder, path))
            if not found.startswith("..") and self._repository.exists(found):
                return folder
            if not folder:
                break
            folder = posixpath.dirname(folder)
        return beside

    def _take(self, item: str, folder: str, found: Collected) -> None:
        if "\0" in item:
            raise RefusedError("a NUL character")
        if is_path(item):
            found.add(self._package(item, folder))
        elif _is_file(item):
            raise RefusedError(
                f"'{item}' is the name of a file, and a package is wanted", f"write `-r {item}`"
            )
        else:
            found.specs[lockable(" ".join(item.split()))] = None

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
        names = [each.strip() for each in extras[2].split(",") if each.strip()]
        return self._pyprojects.package(extras[1], folder, names)

    def _option(self, line: str, file: str, place: Position, found: Collected) -> None:
        match = _OPTION.match(line)
        name = match[1] if match else line.split()[0]
        value = ((match[2] or match[3] or "") if match else "").strip()
        folder = posixpath.dirname(file)
        if name in _INCLUDE and value:
            self._included(value, folder, found)
        elif name in _CONSTRAINT and value:
            found.add(self._constraints(value, folder))
        elif name in _EDITABLE and value:
            if re.match(r"file:(?!//)", value):  # as Rye writes folders
                value = value.removeprefix("file:")
            if is_path(value):
                found.add(self._package(value, self._beside(value, file)))
            elif "://" in value:
                found.specs[lockable(value)] = None
            else:
                raise RefusedError(
                    f"'{value}' is no folder of the repository", "for example: -e ./libs/name"
                )
        elif name in _INDEX:
            address = without_credentials(value) if "://" in value else value
            found.indexes[IndexLine(f"{file}:{place.line}", name, address)] = None
        elif name == "--pre":
            found.prereleases[file] = None
        elif name in _GRANTED:
            pass
        else:
            known = (
                "known here: -r, -e, -c, --hash, --pre; `slimbake lock` reports lines of indexes"
            )
            raise RefusedError(
                f"the option {name} is not supported" if not value or match else f"'{line}'", known
            )

    def _included(self, value: str, folder: str, found: Collected) -> None:
        name = _PROJECT.fullmatch(value)
        file = self._repository.file(name["file"] if name else value, folder)
        if self._files.get(file, Requirements()) is None:
            raise RefusedError(f"'{value}' includes itself", "remove one of the '-r' lines")
        found.add(self._named(value, folder))

    def _constraints(self, value: str, folder: str) -> Requirements:
        """A file of constraints: what it names is not required, but has these versions."""
        file = self._repository.file(value, folder)
        found = Collected(file)
        for place, line in _logical_lines(self._repository.read(file)):
            try:
                if line.startswith("-"):
                    self._option(line, file, place, found)
                    continue
                spec = lockable(re.split(r"\s--hash", line)[0].strip())
                if " @ " in spec:
                    raise RefusedError(
                        f"'{spec}' is an address, and a constraint is one of versions",
                        "require it by this address",
                    )
                found.constraints[Constraint(spec, file)] = None
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)
        # What a constraint file includes constrains, too.
        wanted = tuple(Constraint(spec, file) for spec in found.specs)
        return Requirements(
            files=tuple(found.files),
            constraints=(*found.constraints, *wanted),
            indexes=tuple(found.indexes),
        )

    def _conda(self, file: str) -> Requirements:
        """The pip part of a conda environment; its own packages are no wheels, and refused."""
        read = read_yaml(self._repository.read(file))
        for fault in read.faults:
            self._report.elsewhere(file, fault.place, fault.message, fault.hint)
        whole: Any = read.value
        listed = whole.get("dependencies") if isinstance(whole, dict) else None
        if not isinstance(listed, list):
            raise RefusedError(
                "it is no environment of conda: it has no list `dependencies`", _READ
            )
        found = Collected()
        for index, item in enumerate(listed):
            place = read.places.value(("dependencies", index))
            if isinstance(item, dict):
                for number, line in enumerate(item.get("pip") or ()):
                    at = read.places.value(("dependencies", index, "pip", number))
                    self._pip_line(str(getattr(line, "text", line)), file, at, found)
                continue
            try:
                self._conda_package(str(item.text if isinstance(item, Word) else item))
            except RefusedError as error:
                self._report.elsewhere(file, place, error.message, error.hint)
        return found.value()

    def _pip_line(self, line: str, file: str, place: Position, found: Collected) -> None:
        try:
            if line.startswith("-"):
                self._option(line, file, place, found)
            else:
                self._required(line, file, place, found)
        except RefusedError as error:
            self._report.elsewhere(file, place, error.message, error.hint)

    def _conda_package(self, text: str) -> None:
        """Refuse what conda alone installs, and a Python that is not the manifest's."""
        bare = text.rpartition("::")[2].strip()
        name, version = (*re.split(r"[\s=<>!~]+", bare, maxsplit=1), "")[:2]
        if name in ("pip", "setuptools", "wheel"):
            return
        if name == "python":
            wanted = re.match(r"\d+\.\d+", version)
            exact = re.search(r"(?<![<>!~])==?\s*\d", bare)
            if wanted and exact and self.python and wanted[0] != self.python:
                raise RefusedError(
                    f"it is for Python {wanted[0]}, and the manifest says {self.python}",
                    f'`python: "{wanted[0]}"` in the manifest, or another version here',
                )
            return
        found = re.match(r"(\d[\w.]*)", version)
        spec = f"{name}=={found[1]}" if found and "*" not in version else name
        raise RefusedError(
            f"'{text}' is a package of conda, and slimbake installs packages of PyPI",
            f"move it under `- pip:`, by the name that it has on PyPI: - {spec}\n"
            "a library that is no Python package: `system: [NAME]` in the manifest",
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
        if line:
            yield start, line
    if joined.strip():
        yield start, joined.strip()
