"""What the projects of a repository require: `[project]`, dependency groups, uv's sources, Poetry's
table, and the locks that lie beside them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from slimbake.config.document import Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import (
    Constraint,
    ForPython,
    IndexLine,
    LocalPackage,
    Requirements,
    joined,
)
from slimbake.config.pinned import (
    EXPORTS,
    POETRY_LOCK,
    PYLOCK,
    UV_LOCK,
    package_folder,
    packages_of,
    pins,
)
from slimbake.config.poetry import address, poetry_spec
from slimbake.config.report import ProblemReport, RefusedError, did_you_mean
from slimbake.config.specs import extra_names, is_address, lockable, name_of, normalised
from slimbake.host.files import LOCK, TEXT
from slimbake.host.pip import without_credentials
from slimbake.host.typed import toml_value

PYPROJECT = "pyproject.toml"
SETUP_CFG = "setup.cfg"
SETUP_PY = "setup.py"

_EXPORT = "uv pip compile pyproject.toml -o requirements.txt"
# As pip, PDM (`file:///${PROJECT_ROOT}/...`) and Hatch (`{root:uri}/...`) write it.
_FILE_URL = re.compile(
    r"(?:file:(?://)?(?:/?\$\{PROJECT_ROOT\}/|\{root:uri\}/)?|\{root:uri\}/)([^#]*)"
)
_OLD_NAME = re.compile(r"^[ \t]*name\s*=\s*['\"]?([\w.-]+)['\"]?\s*(?:,\s*)?$", re.M)
# A requirement: its name, its extras and its marker.
_PARTS = re.compile(
    r"\s*(?P<name>[\w.-]+)\s*(?P<brackets>\[(?P<extras>[^]]*)\])?[^;]*(?:;\s*(?P<marker>.*))?"
)

Table = dict[str, Any]
# A requirement, and the text by which it is found in its file.
Listed = list[tuple[str, str]]
# Reads a requirements file that a project takes its dependencies from.
Include = Callable[[str], Requirements]


class Pyprojects:
    """Reads each project's files once, and reports what is wrong in them once."""

    def __init__(self, repository: ManifestFolder, report: ProblemReport, include: Include) -> None:
        """`include`: reads a requirements file that a project takes its dependencies from."""
        self._repository = repository
        self._report = report
        self._include = include
        self._read: dict[str, Table | None] = {}
        self._owners: dict[str, str] = {}  # package -> its folder
        self._whole: dict[tuple[str, tuple[str, ...]], Requirements] = {}  # by folder and extras
        self._open: list[str] = []  # the folders of local packages that are being read

    # A package in a folder, with all that it needs of the repository.

    def package(self, text: str, within: str = "", extras: Sequence[str] = ()) -> Requirements:
        """The package in the folder `text` and those that it needs, each after what it needs itself.

        Nothing when its file is faulty. Raises RefusedError where it is no package, or needs itself.
        """
        folder = self._repository.folder(text, within)
        key = (folder, tuple(extras))
        if key in self._whole:
            return self._whole[key]
        package = self._described(folder, text)
        if package is None:
            return Requirements()
        owner = self._owners.setdefault(package.name, folder)
        if owner != folder:
            raise RefusedError(
                f"'{text}' is a package called '{package.name}', and so is '{owner}'",
                "rename one of them",
            )
        if folder in self._open:
            circle = " -> ".join((*self._open[self._open.index(folder) :], folder))
            raise RefusedError(
                f"'{text}' needs itself: {circle}",
                "each local package is built after those that it needs: move what both use into a"
                " third",
            )
        self._open.append(folder)
        try:
            needed = self._needed(folder, extras)
        finally:
            self._open.pop()
        own = Requirements(packages=(package,))
        if extras:
            own = replace(own, extras=((package.name, tuple(extras)),))
        self._whole[key] = joined([needed, own])
        return self._whole[key]

    def _described(self, folder: str, text: str) -> LocalPackage | None:
        """The package in a folder; None where its file is faulty."""
        file = _project_file(folder)
        old = []
        for name in (SETUP_CFG, SETUP_PY):
            if self._repository.exists(f"{folder}/{name}"):
                old.append(f"{folder}/{name}")
        data: Table | None = {}
        if self._repository.exists(file):
            data = self.table(file)
        elif not old:
            raise RefusedError(
                f"'{text}' is no Python package: it has no {PYPROJECT}",
                f"add '{file}' with a [project] name",
            )
        if data is None:
            return None
        package = _table(data, "project").get("name") or _table(data, "tool", "poetry").get("name")
        for path in old:
            match = _OLD_NAME.search(self._repository.read(self._repository.file(path)))
            if match and not package:
                package = match[1]
        if not isinstance(package, str) or not package:
            raise RefusedError(f"'{text}' is no Python package: '{file}' has no [project] name")
        return LocalPackage(normalised(package), folder, self._build(file, data))

    def _build(self, file: str, data: Table) -> tuple[str, ...]:
        """What builds the package in this file, by default what pip would take (PEP 518)."""
        listed = _table(data, "build-system").get("requires", ["setuptools>=40.8.0"])
        try:
            return tuple(map(lockable, _strings(listed)))
        except RefusedError as error:
            self._fault(file, "requires", f"[build-system] requires: {error.message}", error.hint)
            return ()

    def _needed(self, folder: str, extras: Sequence[str]) -> Requirements:
        """What a local package needs that no index has: its other dependencies are its metadata's."""
        file = _project_file(folder)
        data = self._existing(file)
        if not data:
            return Requirements()
        listed = self._main(file, data)
        project = _table(data, "project")
        described = bool(project or _table(data, "tool", "poetry"))
        # else setup.cfg or setup.py has the extras
        if described and "optional-dependencies" not in _strings(project.get("dynamic")):
            listed += self._of_extras(file, data, extras)
        requirements = self._placed(file, data, listed)
        addresses = tuple(filter(is_address, requirements.specs))
        return replace(requirements, specs=addresses, pythons=self._pythons(file, data))

    # What a project file says.

    def dependencies(self, file: str, extras: Sequence[str] = (), group: str = "") -> Requirements:
        """What a project depends on: with these extras, or of one of its groups alone.

        What a lock beside it pins are constraints.
        """
        data = self.table(file)
        if data is None:
            return Requirements()
        parts = []
        if group:
            listed = self._of_group(file, data, group)
        else:
            parts.append(self._dynamic(file, data))
            listed = [*self._main(file, data), *self._of_extras(file, data, extras)]
        parts.append(self._placed(file, data, listed))
        poetry = "dependencies" in _table(data, "tool", "poetry")
        if not group and not extras and not poetry and "project" not in data:
            self._report.elsewhere(
                file,
                None,
                "it lists no dependencies that slimbake reads",
                f"[project] has them; of others: {_EXPORT}",
            )
        parts += [self._settings(file, data), self._locked(file, data)]
        return joined(parts)

    def _settings(self, file: str, data: Table) -> Requirements:
        """What a project says beside its dependencies, for uv above all."""
        uv = _table(data, "tool", "uv")
        overrides = []
        for spec in _strings(uv.get("override-dependencies")):
            try:
                overrides.append(lockable(spec))
            except RefusedError as error:
                self._fault(file, "override-dependencies", error.message, error.hint)
        constraints = _strings(uv.get("constraint-dependencies"))
        return Requirements(
            overrides=tuple(overrides),
            pythons=self._pythons(file, data),
            indexes=self._indexes(file, data),
            constraints=tuple(Constraint(spec, file) for spec in constraints),
        )

    def table(self, file: str) -> Table | None:
        """The whole file as values; None when it is faulty, which is reported."""
        if file not in self._read:
            self._read[file] = self._parse(file)
        return self._read[file]

    def _existing(self, file: str) -> Table:
        """The same of a file that may be missing; {} where it is, or where it is faulty."""
        if not self._repository.exists(file):
            return {}
        return self.table(file) or {}

    def _parse(self, file: str) -> Table | None:
        largest = TEXT if posixpath.basename(file) == PYPROJECT else LOCK
        try:
            return toml_value(self._repository.read(file, largest))
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
        except (ValueError, RecursionError) as error:
            message = str(error)
            match = re.search(r" \(at line (\d+), column (\d+)\)$", message)
            place = Position(int(match[1]), int(match[2])) if match else None
            plain = re.sub(r" \(at [^()]*\)$", "", message)
            self._report.elsewhere(file, place, f"not TOML: {plain[:1].lower()}{plain[1:]}")
        return None

    def _main(self, file: str, data: Table) -> Listed:
        project = _table(data, "project")
        if "dependencies" in project:
            return self._texts(file, project["dependencies"], "[project] dependencies")
        table = _table(data, "tool", "poetry", "dependencies")
        return self._poetry(file, table, with_optional=False)

    def _texts(self, file: str, listed: Any, keys: str) -> Listed:
        if not isinstance(listed, list) or _strings(listed) != listed:
            self._fault(file, keys.rpartition(" ")[2], f"{keys} is no list of texts")
            return []
        return [(spec, spec) for spec in listed]

    def _of_extras(self, file: str, data: Table, names: Iterable[str]) -> Listed:
        """The requirements of these extras of a project. Where an extra names others of the project,
        as in `all = ["mine[db]; python_version < '3.12'"]`, theirs, too, under its marker.
        """
        project = _project_name(data)
        waiting = [(name, "") for name in names]
        done: set[tuple[str, str]] = set()
        listed: Listed = []
        while waiting:
            extra = waiting.pop(0)
            if extra in done:
                continue
            done.add(extra)
            name, marker = extra
            for requirement, text in self._of_extra(file, data, name):
                limited = _under(requirement, marker)
                if project and name_of(requirement) == project:
                    waiting += [(other, _marker(limited)) for other in _extras_of(requirement)]
                else:
                    listed.append((limited, text))
        return listed

    def _of_extra(self, file: str, data: Table, name: str) -> Listed:
        optional = _table(data, "project", "optional-dependencies")
        if optional:
            key = self._named(file, "extra", name, optional)
            return self._texts(file, optional[key], f"[project.optional-dependencies] {key}")
        extras = _table(data, "tool", "poetry", "extras")
        key = self._named(file, "extra", name, extras)
        dependencies = _table(data, "tool", "poetry", "dependencies")
        chosen = {}
        for dependency in _strings(extras[key]):
            if dependency in dependencies:
                chosen[dependency] = dependencies[dependency]
        return self._poetry(file, chosen, with_optional=True)

    def _of_group(self, file: str, data: Table, name: str) -> Listed:
        groups = _table(data, "dependency-groups")
        poetry = _table(data, "tool", "poetry", "group")
        key = self._named(file, "group", name, (*poetry, *groups))
        if key not in groups:
            return self._poetry(file, _table(poetry, key, "dependencies"), with_optional=True)
        from packaging.dependency_groups import resolve_dependency_groups

        try:
            return [(spec, spec) for spec in resolve_dependency_groups(groups, key)]
        except (ValueError, TypeError, LookupError, ExceptionGroup) as error:
            reasons = "; ".join(map(str, getattr(error, "exceptions", (error,))))
            self._fault(file, key, f"[dependency-groups] {key}: {reasons}")
            return []

    def _named(self, file: str, kind: str, name: str, keys: Iterable[str]) -> str:
        """The key that an extra or a group has in its file. Raises RefusedError."""
        by_name = {normalised(key): key for key in keys}
        if key := by_name.get(normalised(name)):
            return key
        raise RefusedError(
            f"'{file}' has no {kind} '{name}'",
            did_you_mean(name, by_name.values()) or "it has none",
        )

    def _poetry(self, file: str, table: Table, *, with_optional: bool) -> Listed:
        """Poetry's own table as PEP 508. `with_optional`: also those that only an extra asks for."""
        listed: Listed = []
        for name, constraints in table.items():
            if normalised(name) == "python":
                continue
            for constraint in constraints if isinstance(constraints, list) else [constraints]:
                optional = isinstance(constraint, dict) and constraint.get("optional")
                if optional and not with_optional:
                    continue
                try:
                    listed.append((poetry_spec(name, constraint), name))
                except RefusedError as error:
                    self._fault(file, name, error.message, error.hint)
        return listed

    def _dynamic(self, file: str, data: Table) -> Requirements:
        """The dependencies that setuptools reads from files; slimbake refuses other dynamic ones."""
        poetry = _table(data, "tool", "poetry", "dependencies")
        if "dependencies" not in _strings(_table(data, "project").get("dynamic")) or poetry:
            return Requirements()
        files = _table(data, "tool", "setuptools", "dynamic", "dependencies").get("file")
        if not files:
            self._fault(
                file,
                "dynamic",
                "its dependencies are dynamic, and only its build backend knows them",
                f"list them under [project] dependencies, or name a file that lists them: {_EXPORT}",
            )
        parts = []
        for name in [files] if isinstance(files, str) else _strings(files):
            try:
                found = self._repository.file(name, posixpath.dirname(file))
                parts.append(self._include(found))
            except RefusedError as error:
                self._fault(file, name, error.message, error.hint)
        return joined(parts)

    def _pythons(self, file: str, data: Table) -> tuple[ForPython, ...]:
        """The versions of Python that a project says it is for."""
        versions = _table(data, "project").get("requires-python")
        if not isinstance(versions, str):
            return ()
        place = self._near(file, "requires-python") or Position(0, 0)
        return (ForPython(versions, file, *place),)

    def _indexes(self, file: str, data: Table) -> tuple[IndexLine, ...]:
        """The indexes that a project names for all of its packages."""
        named = _tables(_table(data, "tool", "uv").get("index"))
        named += _tables(_table(data, "tool", "poetry").get("source"))
        lines = []
        for index in named:
            if index.get("explicit") or index.get("priority") == "explicit":
                continue
            words = f"the index '{index['name']}'" if index.get("name") else "the index"
            lines.append(self._index_line(file, str(index.get("url", "")), words, index))
        return tuple(lines)

    def _index_line(self, file: str, near: str, words: str, index: Table) -> IndexLine:
        place = self._near(file, near)
        where = f"{file}:{place.line}" if place else file
        return IndexLine(where, words, without_credentials(str(index.get("url", ""))))

    # Where dependencies come from.

    def _placed(self, file: str, data: Table, listed: Listed) -> Requirements:
        """Dependencies, each from where [tool.uv.sources] or Poetry's table say."""
        parts = []
        sources = self._sources(file, data)
        for spec, near in listed:
            try:
                if local := _local(spec):
                    folder = posixpath.dirname(file)
                    parts.append(self.package(local, folder, _extras_of(spec)))
                    continue
                checked = lockable(spec)
                source = sources.get(name_of(checked))
                if source:
                    parts.append(self._source(checked, *source))
                else:
                    parts.append(Requirements((checked,)))
            except RefusedError as error:
                self._fault(file, near, error.message, error.hint)
        return joined(parts)

    def _sources(self, file: str, data: Table) -> dict[str, tuple[str, list[Table]]]:
        """Package -> the file that says where it comes from, and the places that it names."""
        sources: dict[str, tuple[str, list[Table]]] = {}
        files = [file]
        if workspace := self._workspace(posixpath.dirname(file)):
            files.insert(0, workspace)  # a project's own sources count before those
        for project in files:
            table = _table(self.table(project) or {}, "tool", "uv", "sources")
            for key, value in table.items():
                sources[normalised(key)] = (project, _tables(value))
        if "dependencies" in _table(data, "project"):
            for key, value in _table(data, "tool", "poetry", "dependencies").items():
                if isinstance(value, dict) and {"path", "git", "url"} & value.keys():
                    sources[normalised(key)] = (file, [value])
        return sources

    def _source(self, spec: str, file: str, places: list[Table]) -> Requirements:
        """A dependency from where its source says. `file`: it names these places."""
        name, folder, extras = name_of(spec), posixpath.dirname(file), _extras_of(spec)
        of_indexes = ["index" in place for place in places]
        if places and all(of_indexes):
            # Markers choose between builds of one version: `torch:` of the manifest does so here.
            return Requirements((spec,), indexes=self._indexes_of(name, file, places))
        if len(places) > 1:
            raise RefusedError(
                f"'{name}' has several sources in [tool.uv.sources]",
                "name one of them: the same package is installed on every platform",
            )
        place = places[0] if places else {}
        if isinstance(place.get("path"), str):
            return self.package(place["path"], folder, extras)
        if place.get("workspace") is True:
            return self._member(name, folder, extras)
        if not place.get("git") and not place.get("url"):
            raise RefusedError(
                f"the source of '{name}' in [tool.uv.sources] is none that slimbake knows",
                "known: path, workspace, git, url, index",
            )
        parts = _PARTS.match(spec)
        head = parts["name"] + (parts["brackets"] or "") if parts else name
        located = f"{head} @ {address(place)}"
        if parts and parts["marker"]:
            located += f" ; {parts['marker'].strip()}"
        return Requirements((lockable(located),))

    def _indexes_of(self, name: str, file: str, places: list[Table]) -> tuple[IndexLine, ...]:
        """The indexes that a project names for one package."""
        by_name = {}
        for index in _tables(_table(self.table(file) or {}, "tool", "uv").get("index")):
            by_name[str(index.get("name"))] = index
        lines = []
        for place in places:
            index_name = str(place["index"])
            words = f"the index '{index_name}' of {name}"
            index = by_name.get(index_name, {})
            lines.append(self._index_line(file, f"{name} =", words, index))
        return tuple(lines)

    def _workspace(self, folder: str) -> str:
        """The file that declares the workspace of a folder; "" where it is in none."""
        while True:
            file = _project_file(folder)
            if _table(self._existing(file), "tool", "uv").get("workspace") is not None:
                return file
            if folder in ("", "."):
                return ""
            folder = posixpath.dirname(folder)

    def _member(self, name: str, folder: str, extras: Sequence[str]) -> Requirements:
        """The workspace member of that name; the workspace is declared in this folder or above it."""
        for member in self._members(self._workspace(folder)):
            data = self._existing(_project_file(member))
            if data and _project_name(data) == name:
                return self.package(member, "", extras)
        raise RefusedError(
            f"'{name}' is no member of the workspace",
            "add its folder to [tool.uv.workspace] members",
        )

    def _members(self, file: str) -> Iterator[str]:
        """The folders of the workspace that a file declares, first its own; "" = no workspace."""
        if not file:
            return
        root = posixpath.dirname(file)
        yield root or "."
        workspace = _table(self.table(file) or {}, "tool", "uv", "workspace")
        for pattern in _strings(workspace.get("members")):
            yield from self._repository.folders(posixpath.join(root, pattern))

    # Versions that a lock beside a project pins.

    def locked(self, folder: str) -> Requirements:
        """What the lock of the package in a folder pins: of its own lock, or its workspace's."""
        file = _project_file(folder)
        data = self._existing(file)
        return self._locked(file, data) if data else Requirements()

    def _locked(self, file: str, data: Table) -> Requirements:
        folder = posixpath.dirname(file)
        names = [UV_LOCK, POETRY_LOCK, PYLOCK, "pdm.lock"]
        if _table(data, "tool", "poetry"):
            names = [POETRY_LOCK, UV_LOCK, PYLOCK]
        for name in names:
            lock = posixpath.join(folder, name)
            if self._repository.exists(lock):
                return self._pins(lock, folder)
        workspace = self._workspace(folder)
        if not workspace:
            return Requirements()
        root = posixpath.dirname(workspace)
        lock = posixpath.join(root, UV_LOCK)
        member = posixpath.relpath(folder or ".", root or ".")
        for package in packages_of(self._existing(lock)):
            if package_folder(package) == member:
                return self._pins(lock, folder)
        return Requirements()

    def _pins(self, lock: str, project: str) -> Requirements:
        """What a lock pins for the project in this folder."""
        name, folder = posixpath.basename(lock), posixpath.dirname(lock)
        if export := EXPORTS.get(name):
            self._report.doubt(
                lock, None, "slimbake does not read it, so the newest versions are taken", export
            )
            return Requirements()
        data = self.table(self._repository.file(lock)) or {}
        member = posixpath.relpath(project or ".", folder or ".")
        constraints = []
        try:
            for spec in pins(lock, data, member):
                if "@" not in spec:
                    constraints.append(Constraint(spec, lock))
        except RefusedError as error:
            self._report.elsewhere(lock, error.place, error.message, error.hint)
        return Requirements(files=(lock,), constraints=tuple(constraints))

    def _fault(self, file: str, near: str, message: str, hint: str = "") -> None:
        """Report at the first place of `near`: tomllib keeps no positions."""
        self._report.elsewhere(file, self._near(file, near), message, hint)

    def _near(self, file: str, near: str) -> Position | None:
        text = self._repository.read(file)
        index = text.find(near)
        return Position.offset(text, index) if index >= 0 else None


def _project_file(folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, PYPROJECT))


def _project_name(data: Table) -> str:
    return normalised(str(_table(data, "project").get("name", "")))


def _local(spec: str) -> str:
    """The folder that `name @ file:../folder` names; "" for any other requirement."""
    written = spec.partition("@")[2].partition(";")[0].strip()
    match = _FILE_URL.match(written)
    if not match:
        return ""
    return unquote(match[1]).strip() or "."


def _marker(spec: str) -> str:
    """The marker of a requirement; "" where it has none."""
    return spec.partition(";")[2].strip()


def _under(spec: str, marker: str) -> str:
    """A requirement that holds only where a marker does, too; as it is where that is ""."""
    if not marker:
        return spec
    own = _marker(spec)
    if own:
        marker = f"({own}) and ({marker})"
    return f"{spec.partition(';')[0].rstrip()} ; {marker}"


def _extras_of(spec: str) -> list[str]:
    """The extras of a requirement."""
    parts = _PARTS.match(spec)
    return extra_names(parts["extras"] or "") if parts else []


def _table(data: Mapping[str, Any], *keys: str) -> Table:
    """The table under these keys; {} where there is none."""
    for key in keys:
        data = data.get(key, {})
        if not isinstance(data, dict):
            return {}
    return dict(data)


def _tables(value: Any) -> list[Table]:
    """The tables of a list, or one alone; of anything else, none."""
    listed = value if isinstance(value, list) else [value]
    return [item for item in listed if isinstance(item, dict)]


def _strings(value: Any) -> list[str]:
    """The texts of a list; of anything else, none."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    return []
