"""What the projects of a repository require: `[project]`, dependency groups, uv's sources, Poetry's
table, and the locks that lie beside them.
"""

from __future__ import annotations

import posixpath
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from slimbake.config.collected import Collected
from slimbake.config.document import Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import Constraint, ForPython, IndexLine, LocalPackage, Requirements
from slimbake.config.pinned import (
    EXPORTS,
    POETRY_LOCK,
    PYLOCK,
    UV_LOCK,
    package_folder,
    packages_of,
    pins,
)
from slimbake.config.report import ProblemReport, RefusedError, did_you_mean
from slimbake.config.specs import lockable, name_of, normalised
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

Table = dict[str, Any]
# A requirement, and the text by which it is found in its file.
Listed = list[tuple[str, str]]


class Pyprojects:
    """Reads each project's files once, and reports what is wrong in them once."""

    def __init__(
        self,
        repository: ManifestFolder,
        report: ProblemReport,
        include: Callable[[str], Requirements],
    ) -> None:
        """`include`: reads a requirements file that a project takes its dependencies from."""
        self._repository = repository
        self._report = report
        # Weak: it is a method of what holds this reader, and no circle of them is to keep the text of
        # a large manifest.
        self._include = weakref.WeakMethod(include)
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
        collected = Collected()
        self._open.append(folder)
        try:
            collected.add(self._needed(folder, extras))
        finally:
            self._open.pop()
        package_extras = ((package.name, tuple(extras)),) if extras else ()
        collected.add(Requirements(packages=(package,), extras=package_extras))
        self._whole[key] = collected.value()
        return self._whole[key]

    def _described(self, folder: str, text: str) -> LocalPackage | None:
        """The package in a folder; None where its file is faulty."""
        file = _project_file(folder)
        names = [f"{folder}/{filename}" for filename in (SETUP_CFG, SETUP_PY)]
        old = [candidate for candidate in names if self._repository.exists(candidate)]
        if not self._repository.exists(file) and not old:
            raise RefusedError(
                f"'{text}' is no Python package: it has no {PYPROJECT}",
                f"add '{file}' with a [project] name",
            )
        data = self.table(file) if self._repository.exists(file) else {}
        if data is None:
            return None
        name = _table(data, "project").get("name") or _table(data, "tool", "poetry").get("name")
        for path in old:
            match = _OLD_NAME.search(self._repository.read(self._repository.file(path)))
            name = name or (match and match[1])
        if not isinstance(name, str) or not name:
            raise RefusedError(f"'{text}' is no Python package: '{file}' has no [project] name")
        return LocalPackage(normalised(name), folder, self._build(file, data))

    def _build(self, file: str, data: Table) -> tuple[str, ...]:
        """What builds the package in this file, by default what pip would take (PEP 518)."""
        listed = _table(data, "build-system").get("requires", ["setuptools>=40.8.0"])
        try:
            return tuple(lockable(spec) for spec in _strings(listed))
        except RefusedError as error:
            self._fault(file, "requires", f"[build-system] requires: {error.message}", error.hint)
            return ()

    def _needed(self, folder: str, extras: Sequence[str]) -> Requirements:
        """What a local package needs that no index has: its other dependencies are its metadata's."""
        file = _project_file(folder)
        data = self.table(file) if self._repository.exists(file) else None
        if not data:
            return Requirements()
        listed = self._main(file, data)
        project = _table(data, "project")
        described = bool(project or _table(data, "tool", "poetry"))
        # else setup.cfg or setup.py has the extras
        if described and "optional-dependencies" not in _strings(project.get("dynamic")):
            listed += self._of_extras(file, data, extras)
        requirements = self._placed(file, data, listed)
        elsewhere = tuple(spec for spec in requirements.specs if " @ " in spec)
        return Requirements(
            specs=elsewhere,
            packages=requirements.packages,
            extras=requirements.extras,
            indexes=requirements.indexes,
            pythons=self._for_python(file, data).pythons,
        )

    # What a project file says.

    def dependencies(self, file: str, extras: Sequence[str] = (), group: str = "") -> Requirements:
        """What a project depends on: with these extras, or of one of its groups alone.

        What a lock beside it pins are constraints.
        """
        data = self.table(file)
        if data is None:
            return Requirements()
        collected = Collected()
        uv = _table(data, "tool", "uv")
        if group:
            listed = self._of_group(file, data, group)
        else:
            collected.add(self._dynamic(file, data))
            listed = [*self._main(file, data), *self._of_extras(file, data, extras)]
        collected.add(self._placed(file, data, listed))
        poetry = "dependencies" in _table(data, "tool", "poetry")
        if not group and not extras and not poetry and "project" not in data:
            self._report.elsewhere(
                file,
                None,
                "it lists no dependencies that slimbake reads",
                f"[project] has them; of others: {_EXPORT}",
            )
        for spec in _strings(uv.get("override-dependencies")):
            try:
                collected.overrides[lockable(spec)] = None
            except RefusedError as error:
                self._fault(file, "override-dependencies", error.message, error.hint)
        collected.add(self._for_python(file, data))
        collected.add(self._indexes(file, data))
        specs = _strings(uv.get("constraint-dependencies"))
        collected.constrain(Constraint(spec, file) for spec in specs)
        collected.add(self._locked(file, data))
        return collected.value()

    def table(self, file: str) -> Table | None:
        """The whole file as values; None when it is faulty, which is reported."""
        if file not in self._read:
            self._read[file] = self._parse(file)
        return self._read[file]

    def _parse(self, file: str) -> Table | None:
        written = posixpath.basename(file) == PYPROJECT
        try:
            return toml_value(self._repository.read(file, TEXT if written else LOCK))
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
        project, poetry = _table(data, "project"), _table(data, "tool", "poetry")
        if "dependencies" in project:
            return self._texts(file, project["dependencies"], "[project] dependencies")
        return list(self._poetry(file, poetry.get("dependencies"), optional=False))

    def _texts(self, file: str, listed: Any, what: str) -> Listed:
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            self._fault(file, what.rpartition(" ")[2], f"{what} is no list of texts")
            return []
        return [(spec, spec) for spec in listed]

    def _of_extras(self, file: str, data: Table, names: Iterable[str]) -> Listed:
        listed: Listed = []
        optional, poetry = (
            _table(data, "project", "optional-dependencies"),
            _table(data, "tool", "poetry"),
        )
        extras = optional or _table(poetry, "extras")
        project = normalised(str(_table(data, "project").get("name", "")))
        names, seen = [*names], set[str]()
        for name in names:  # and a project's own extras: `all = ["mine[web,db]"]`
            if name in seen:
                continue
            seen.add(name)
            key = self._named(file, "extra", name, extras)
            if optional:
                entries = self._texts(file, optional[key], f"[project.optional-dependencies] {key}")
            else:
                table = _table(poetry, "dependencies")
                chosen = {dep: table[dep] for dep in _strings(extras[key]) if dep in table}
                entries = list(self._poetry(file, chosen, optional=True))
            for entry in entries:
                if project and name_of(entry[0]) == project:
                    names += _bracketed(entry[0])
                else:
                    listed.append(entry)
        return listed

    def _of_group(self, file: str, data: Table, name: str) -> Listed:
        groups = _table(data, "dependency-groups")
        poetry = _table(data, "tool", "poetry", "group")
        key = self._named(file, "group", name, (*poetry, *groups))
        if key not in groups:
            return list(self._poetry(file, poetry[key].get("dependencies"), optional=True))
        from packaging.dependency_groups import resolve_dependency_groups

        try:
            return [(group, group) for group in resolve_dependency_groups(groups, key)]
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

    def _poetry(self, file: str, listed: Any, optional: bool) -> Iterator[tuple[str, str]]:
        """Poetry's own table as PEP 508; `optional`: also those that only an extra asks for."""
        for name, constraints in listed.items() if isinstance(listed, dict) else ():
            if normalised(name) == "python":
                continue
            for constraint in constraints if isinstance(constraints, list) else [constraints]:
                if isinstance(constraint, dict) and constraint.get("optional") and not optional:
                    continue
                try:
                    yield _poetry_spec(name, constraint), name
                except RefusedError as error:
                    self._fault(file, name, error.message, error.hint)

    def _dynamic(self, file: str, data: Table) -> Requirements:
        """The dependencies that setuptools reads from files; others that are dynamic are refused."""
        poetry = _table(data, "tool", "poetry", "dependencies")
        if "dependencies" not in _strings(_table(data, "project").get("dynamic")) or poetry:
            return Requirements()
        collected, names = (
            Collected(),
            _table(data, "tool", "setuptools", "dynamic", "dependencies"),
        )
        files = names.get("file", ())
        for name in _strings([files] if isinstance(files, str) else files):
            try:
                include = self._include()
                assert include is not None  # noqa: S101 - for the type checker
                collected.add(include(self._repository.file(name, posixpath.dirname(file))))
            except RefusedError as error:
                self._fault(file, name, error.message, error.hint)
        if not files:
            self._fault(
                file,
                "dynamic",
                "its dependencies are dynamic, and only its build backend knows them",
                f"list them under [project] dependencies, or name a file that lists them: {_EXPORT}",
            )
        return collected.value()

    def _for_python(self, file: str, data: Table) -> Requirements:
        """The versions of Python that a project says it is for."""
        versions = _table(data, "project").get("requires-python")
        if not isinstance(versions, str):
            return Requirements()
        place = self._near(file, "requires-python") or Position(0, 0)
        return Requirements(pythons=(ForPython(versions, file, *place),))

    def _indexes(self, file: str, data: Table) -> Requirements:
        """The indexes that a project names for all of its packages."""
        lines = []
        for tool, key in (("uv", "index"), ("poetry", "source")):
            for index in _table(data, "tool", tool).get(key, ()):
                if not index.get("explicit") and index.get("priority") != "explicit":
                    name = f"the index '{index['name']}'" if index.get("name") else "the index"
                    lines.append(self._index_line(file, str(index.get("url", "")), name, index))
        return Requirements(indexes=tuple(lines))

    def _index_line(self, file: str, near: str, name: str, index: Mapping[str, Any]) -> IndexLine:
        place = self._near(file, near)
        where = f"{file}:{place.line}" if place else file
        return IndexLine(where, name, without_credentials(str(index.get("url", ""))))

    # Where dependencies come from.

    def _placed(self, file: str, data: Table, listed: Listed) -> Requirements:
        """Dependencies, each from where [tool.uv.sources] or Poetry's table say."""
        collected = Collected()
        sources = self._sources(file, data)
        for spec, near in listed:
            try:
                if local := _local(spec):
                    collected.add(self.package(local, posixpath.dirname(file), _bracketed(spec)))
                elif name_of(checked := lockable(spec)) in sources:
                    collected.add(self._source(checked, *sources[name_of(checked)]))
                else:
                    collected.add(Requirements((checked,)))
            except RefusedError as error:
                self._fault(file, near, error.message, error.hint)
        return collected.value()

    def _sources(self, file: str, data: Table) -> dict[str, tuple[str, Any]]:
        """Package -> the file that says where it comes from, and what it says."""
        sources: dict[str, tuple[str, Any]] = {}
        root = self._workspace(posixpath.dirname(file))
        for at in dict.fromkeys((*([root] if root else ()), file)):
            listed = _table(self.table(at) or {}, "tool", "uv", "sources")
            sources |= {normalised(key): (at, value) for key, value in listed.items()}
        if "dependencies" in _table(data, "project"):
            poetry = _table(data, "tool", "poetry", "dependencies").items()
            sources |= {
                normalised(key): (file, value)
                for key, value in poetry
                if isinstance(value, dict) and {"path", "git", "url"} & {*value}
            }
        return sources

    def _source(self, spec: str, file: str, source: Any) -> Requirements:
        """A dependency from where its source says; `file`: which says so."""
        listed = source if isinstance(source, list) else [source]
        several = [entry for entry in listed if isinstance(entry, dict)] or [{}]
        name, folder = name_of(spec), posixpath.dirname(file)
        if all("index" in entry for entry in several):
            # Markers choose between builds of one version: `torch:` of the manifest does so here.
            indexes = _table(self.table(file) or {}, "tool", "uv").get("index", [])
            index_of = {index.get("name"): index for index in indexes}
            lines = (
                self._index_line(
                    file, f"{name} =", f"the index '{key}' of {name}", index_of.get(key, {})
                )
                for key in (entry["index"] for entry in several)
            )
            return Requirements((spec,), indexes=tuple(lines))
        if len(several) > 1:
            raise RefusedError(
                f"'{name}' has several sources in [tool.uv.sources]",
                "name one of them: the same package is installed on every platform",
            )
        (only,) = several
        head, marker = _head(spec)
        if isinstance(only.get("path"), str):
            return self.package(only["path"], folder, _bracketed(spec))
        if only.get("workspace") is True:
            return self._member(name, folder, _bracketed(spec))
        if not only.get("git") and not only.get("url"):
            raise RefusedError(
                f"the source of '{name}' in [tool.uv.sources] is none that slimbake knows",
                "known: path, workspace, git, url, index",
            )
        spec = f"{head} @ {_address(only)}"
        return Requirements((lockable(f"{spec} ; {marker}" if marker else spec),))

    def _workspace(self, folder: str) -> str:
        """The file that declares the workspace of a folder; "" where it is in none."""
        while True:
            file = _project_file(folder)
            data = self.table(file) if self._repository.exists(file) else None
            if _table(data or {}, "tool", "uv").get("workspace") is not None:
                return file
            if folder in ("", "."):
                return ""
            folder = posixpath.dirname(folder)

    def _member(self, name: str, folder: str, extras: Sequence[str]) -> Requirements:
        """The workspace member of that name; the workspace is declared in this folder or above it."""
        file = self._workspace(folder)
        root = posixpath.dirname(file)
        workspace = _table(self.table(file) or {}, "tool", "uv", "workspace") if file else {}
        patterns = _strings(workspace.get("members"))
        folders = (self._repository.folders(posixpath.join(root, pattern)) for pattern in patterns)
        for member in (*([root or "."] if file else ()), *(m for ms in folders for m in ms)):
            if self._repository.exists(f"{member}/{PYPROJECT}"):
                data = self.table(_project_file(member)) or {}
                if normalised(str(_table(data, "project").get("name", ""))) == name:
                    return self.package(member, "", extras)
        raise RefusedError(
            f"'{name}' is no member of the workspace",
            "add its folder to [tool.uv.workspace] members",
        )

    # Versions that a lock beside a project pins.

    def locked(self, folder: str) -> Requirements:
        """What the lock of the package in a folder pins: of its own lock, or its workspace's."""
        file = _project_file(folder)
        data = self.table(file) if self._repository.exists(file) else None
        return self._locked(file, data) if data else Requirements()

    def _locked(self, file: str, data: Table) -> Requirements:
        folder = posixpath.dirname(file)
        names = [UV_LOCK, POETRY_LOCK, PYLOCK, "pdm.lock"]
        if _table(data, "tool", "poetry"):
            names = [POETRY_LOCK, UV_LOCK, PYLOCK]
        locks = [posixpath.join(folder, name) for name in names]
        if lock := next(filter(self._repository.exists, locks), ""):
            return self._pins(lock, folder)
        root = self._workspace(folder)
        lock = posixpath.join(posixpath.dirname(root), UV_LOCK)
        if root and self._repository.exists(lock):
            packages = packages_of(self.table(lock) or {})
            member = posixpath.relpath(folder or ".", posixpath.dirname(root) or ".")
            if any(package_folder(package) == member for package in packages):
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
        data: Mapping[str, Any] = self.table(self._repository.file(lock)) or {}
        member = posixpath.relpath(project or ".", folder or ".")
        try:
            specs = pins(lock, data, member)
            constraints = tuple(Constraint(spec, lock) for spec in specs if "@" not in spec)
        except RefusedError as error:
            self._report.elsewhere(lock, error.place, error.message, error.hint)
            constraints = ()
        return Requirements(files=(lock,), constraints=constraints)

    def _fault(self, file: str, near: str, message: str, hint: str = "") -> None:
        """Report at the first place of `near`: tomllib keeps no positions."""
        self._report.elsewhere(file, self._near(file, near), message, hint)

    def _near(self, file: str, near: str) -> Position | None:
        text = self._repository.read(file)
        index = text.find(near)
        return Position.offset(text, index) if index >= 0 else None


def _poetry_spec(name: str, constraint: Any) -> str:
    """One line of Poetry's dependencies as PEP 508. RefusedError where Poetry would not take it."""
    if isinstance(constraint, dict):
        extras = f"[{','.join(map(str, constraint['extras']))}]" if constraint.get("extras") else ""
        if constraint.get("git") or constraint.get("url"):
            return f"{name}{extras} @ {_address(constraint)}"
        if constraint.get("path"):
            return f"{name}{extras} @ file:{constraint['path']}"
        constraint = {
            key: constraint[key]
            for key in ("version", "python", "markers", "extras")
            if key in constraint
        }
    # 0.1 s to import, for whoever has such a file; Poetry's own reader knows what `^` means.
    from poetry.core.factory import Factory

    try:
        requirement = Factory.create_dependency(name, constraint).to_pep_508(with_extras=False)
    except Exception as error:  # of any kind: of a marker, those of a parser that it brings along
        first = str(error).partition("\n")[0]
        raise RefusedError(
            f"'{name} = {constraint!r}' is no dependency of Poetry: {first}"
        ) from None
    return lockable(re.sub(r"^([^ (]+) \(([^)]*)\)", r"\1\2", requirement))


def _address(source: Mapping[str, Any]) -> str:
    """A Git source, or one at an address, as PEP 508 has it."""
    fragment = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    if not source.get("git"):
        return f"{source['url']}{fragment}"
    revision = next((source[key] for key in ("rev", "tag", "branch") if source.get(key)), "")
    address = re.sub(r"^([\w.-]+@[\w.-]+):", r"ssh://\1/", str(source["git"]))  # as ssh writes it
    return f"git+{address.removeprefix('git+')}{f'@{revision}' if revision else ''}{fragment}"


def _project_file(folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, PYPROJECT))


def _local(spec: str) -> str:
    """The folder that `name @ file:../folder` names; "" for any other requirement."""
    _, at, address = spec.partition("@")
    match = _FILE_URL.match(address.partition(";")[0].strip()) if at else None
    return unquote(match[1]).strip() or "." if match else ""


def _bracketed(spec: str) -> list[str]:
    """The extras of a requirement."""
    match = re.match(r"\s*[\w.-]+\s*\[([^]]*)\]", spec)
    return [extra.strip() for extra in match[1].split(",") if extra.strip()] if match else []


def _head(spec: str) -> tuple[str, str]:
    """The name of a requirement with its extras, and its marker."""
    body, _, marker = spec.partition(";")
    match = re.match(r"\s*([\w.-]+(?:\s*\[[^]]*\])?)", body)
    return (match[1] if match else body.strip()), marker.strip()


def _table(data: Mapping[str, Any], *keys: str) -> Table:
    for key in keys:
        data = data.get(key, {})
        if not isinstance(data, dict):
            return {}
    return dict(data)


def _strings(value: Any) -> list[str]:
    """The texts of a list; of anything else, none."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
