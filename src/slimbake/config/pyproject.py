"""What the projects of a repository require: pyproject.toml in each of its forms, setup.cfg, and
what lies beside them.
"""

from __future__ import annotations

import ast
import posixpath
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from slimbake.config.collected import Collected
from slimbake.config.document import Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import Constraint, IndexLine, LocalPackage, Requirements
from slimbake.config.pinned import (
    PDM_LOCK,
    PINS,
    PIPFILE_LOCK,
    POETRY_LOCK,
    REFRESH,
    UV_LOCK,
    is_pylock,
    json_table,
    pylock_pins,
    unmarked,
)
from slimbake.config.report import ProblemReport, RefusedError, did_you_mean
from slimbake.config.specs import are_versions, lockable, name_of, normalised, within
from slimbake.config.uvlock import of_member, package_folder
from slimbake.host.pip import without_credentials

PYPROJECT = "pyproject.toml"
SETUP_CFG = "setup.cfg"
SETUP_PY = "setup.py"
PIPFILE = "Pipfile"

_FORMS = (
    "slimbake reads [project], [dependency-groups], [tool.poetry] and setuptools' dynamic"
    " dependencies; of others: uv pip compile pyproject.toml -o requirements.txt"
)
# As pip, PDM (`file:///${PROJECT_ROOT}/...`) and Hatch (`{root:uri}/...`) write it.
_FILE_URL = re.compile(
    r"(?:file:(?://)?(?:/?\$\{PROJECT_ROOT\}/|\{root:uri\}/)?|\{root:uri\}/)([^#]*)"
)

Table = dict[str, Any]


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
        self.python = ""  # the manifest's
        self._open: list[str] = []  # the folders of local packages that are being read

    # A package in a folder, with all that it needs of the repository.

    def package(self, text: str, within: str = "", extras: Sequence[str] = ()) -> Requirements:
        """The package in the folder `text` and those that it needs, each after what it needs itself.

        Nothing when its file is faulty. Raises RefusedError where it is no package, or needs itself.
        """
        folder = self._repository.folder(text, within)
        asked = (folder, tuple(extras))
        if asked in self._whole:
            return self._whole[asked]
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
        found = Collected()
        self._open.append(folder)
        try:
            found.add(self._below(folder, extras))
        finally:
            self._open.pop()
        own = ((package.name, tuple(extras)),) if extras else ()
        found.add(Requirements(packages=(package,), extras=own))
        self._whole[asked] = found.value()
        return self._whole[asked]

    def _described(self, folder: str, text: str) -> LocalPackage | None:
        """The package in a folder; None where its file is faulty."""
        file = _project_file(folder)
        old = [
            name for name in (SETUP_CFG, SETUP_PY) if self._repository.exists(f"{folder}/{name}")
        ]
        if not self._repository.exists(file) and not old:
            raise RefusedError(
                f"'{text}' is no Python package: it has no {PYPROJECT}",
                f"add '{file}' with a [project] name",
            )
        data = self.table(file) if self._repository.exists(file) else {}
        if data is None:
            return None
        name = _table(data, "project").get("name") or _table(data, "tool", "poetry").get("name")
        for other in old if not name else ():
            name = name or self._old_name(f"{folder}/{other}")
        if not isinstance(name, str) or not name:
            raise RefusedError(f"'{text}' is no Python package: '{file}' has no [project] name")
        return LocalPackage(normalised(name), folder, self._build(file, data))

    def _old_name(self, file: str) -> str:
        """The name that a setup.cfg or a setup.py says without being run; "" where it says none."""
        text = self._repository.read(self._repository.file(file))
        if file.endswith(SETUP_CFG):
            return _ini(text).get("metadata", {}).get("name", "")
        try:
            calls = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call)]
        except SyntaxError:
            return ""
        named = (word for call in calls for word in call.keywords if word.arg == "name")
        values = (each.value.value for each in named if isinstance(each.value, ast.Constant))
        return next((value for value in values if isinstance(value, str)), "")

    def _build(self, file: str, data: Table) -> tuple[str, ...]:
        """What builds the package in this file, by default what pip would take (PEP 518)."""
        listed = _table(data, "build-system").get("requires", ["setuptools>=40.8.0"])
        try:
            return tuple(lockable(spec) for spec in _strings(listed))
        except RefusedError as error:
            self._fault(file, "requires", f"[build-system] requires: {error.message}", error.hint)
            return ()

    def _below(self, folder: str, extras: Sequence[str]) -> Requirements:
        """What a local package needs that no index has: its other dependencies are its metadata's."""
        file = _project_file(folder)
        if not self._repository.exists(file):
            return Requirements()
        data = self.table(file) or {}
        listed = self._main(file, data)
        project = _table(data, "project")
        described = bool(project or _table(data, "tool", "poetry"))
        # else setup.cfg or setup.py has the extras
        if described and "optional-dependencies" not in _strings(project.get("dynamic")):
            listed += self._of_extras(file, data, extras)
        found = self._taken(file, data, listed)
        elsewhere = tuple(spec for spec in found.specs if " @ " in spec)
        return Requirements(
            specs=elsewhere, packages=found.packages, extras=found.extras, indexes=found.indexes
        )

    # What a project file says.

    def dependencies(self, file: str, extras: Sequence[str] = (), group: str = "") -> Requirements:
        """What a project depends on: with these extras, or of one of its groups alone.

        What a lock beside it pins are constraints.
        """
        data = self.table(file)
        if data is None:
            return Requirements()
        found = Collected()
        if group:
            listed = self._of_group(file, data, group)
        else:
            found.add(self._dynamic(file, data))
            listed = [*self._main(file, data), *self._of_extras(file, data, extras)]
        found.add(self._taken(file, data, listed))
        if not group and not listed and not found.specs:
            self._refuse_silence(file, data)
        overrides = _strings(_table(data, "tool", "uv").get("override-dependencies"))
        if overrides:
            self._fault(
                file,
                "override-dependencies",
                f"[tool.uv] overrides what packages require: {', '.join(overrides)}",
                "slimbake resolves what packages say: remove it, and require versions that fit",
            )
        self._refuse_python(file, data)
        found.add(self._indexes(file, data))
        said = _strings(_table(data, "tool", "uv").get("constraint-dependencies"))
        found.constrain(Constraint(spec, file) for spec in said)
        found.add(self._locked(file, data))
        return found.value()

    def setup_cfg(self, file: str) -> Requirements:
        """What the `install_requires` of a setup.cfg list."""
        text = self._repository.read(file)
        listed = _ini(text).get("options", {}).get("install_requires", "")
        if listed.strip().startswith("file:"):
            return self._files(file, [listed.strip().removeprefix("file:").strip()])
        lines = [line.strip() for line in listed.splitlines() if line.strip()]
        if not lines:
            raise RefusedError(
                "it lists no install_requires", "name a file that lists requirements"
            )
        return self._taken(file, {}, [(line, line) for line in lines])

    def pipfile(self, file: str) -> Requirements:
        """What the [packages] of a Pipfile list, at the versions that its lock pins."""
        data = self.table(file)
        found = Collected()
        for name, said in _table(data or {}, "packages").items():
            try:
                found.add(self._piped(file, name, said))
            except RefusedError as error:
                self._fault(file, name, error.message, error.hint)
        folder = posixpath.dirname(file)
        found.add(self._beside(folder, (PIPFILE_LOCK,), folder))
        found.add(self._indexes(file, data or {}))
        return found.value()

    def _piped(self, file: str, name: str, said: Any) -> Requirements:
        entry: Table = said if isinstance(said, dict) else {"version": said}
        version = str(entry.get("version", "*")).strip()
        extras = f"[{','.join(map(str, entry['extras']))}]" if entry.get("extras") else ""
        # Pipenv has a key for each variable of PEP 508, and one for whole markers.
        marks = [f"{key} {entry[key]}" for key in _VARIABLES if key in entry]
        marks += [str(entry["markers"])] if entry.get("markers") else []
        if isinstance(entry.get("path"), str):
            folder = posixpath.dirname(file)
            return self.package(entry["path"], folder, [*map(str, entry.get("extras", ()))])
        if entry.get("git"):
            spec = f"{name}{extras} @ {_git(entry)}"
        elif entry.get("file"):
            spec = f"{name}{extras} @ {entry['file']}"
        else:
            spec = f"{name}{extras}" + ("" if version == "*" else version)
        if marks:
            spec += " ; " + " and ".join(f"({each})" for each in marks)
        return Requirements((lockable(spec),))

    def table(self, file: str) -> Table | None:
        """The whole file as values; None when it is faulty, which is reported."""
        if file not in self._read:
            self._read[file] = self._parse(file)
        return self._read[file]

    def _parse(self, file: str) -> Table | None:
        import tomllib

        try:
            text = self._repository.read(file)
            if posixpath.basename(file) == PIPFILE_LOCK:
                return json_table(text)
            return tomllib.loads(text)
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
            place = Position(int(found[1]), int(found[2])) if found else None
            plain = re.sub(r" \(at [^()]*\)$", "", message)
            self._report.elsewhere(file, place, f"not TOML: {plain[:1].lower()}{plain[1:]}")
        return None

    # Lists of dependencies, each entry with the text that is found in the file: (PEP 508, near).

    def _main(self, file: str, data: Table) -> list[tuple[str, str]]:
        project, poetry = _table(data, "project"), _table(data, "tool", "poetry")
        if "dependencies" in project:
            return self._strings(file, project["dependencies"], "[project] dependencies")
        if "dependencies" in poetry and "dependencies" not in _strings(project.get("dynamic")):
            return list(self._poetry(file, poetry["dependencies"], optional=False))
        if "dependencies" in poetry and project:
            return list(self._poetry(file, poetry["dependencies"], optional=False))
        return []

    def _strings(self, file: str, listed: Any, what: str) -> list[tuple[str, str]]:
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            self._fault(file, what.rpartition(" ")[2], f"{what} is no list of texts")
            return []
        return [(each, each) for each in listed]

    def _extras(self, data: Table) -> Table:
        own = _table(data, "project", "optional-dependencies")
        return own or _table(data, "tool", "poetry", "extras")

    def _of_extras(self, file: str, data: Table, names: Iterable[str]) -> list[tuple[str, str]]:
        listed: list[tuple[str, str]] = []
        known = self._extras(data)
        by_name = {normalised(key): key for key in known}
        poetry = _table(data, "tool", "poetry", "dependencies")
        for name in names:
            key = by_name.get(normalised(name))
            if key is None:
                raise RefusedError(
                    f"'{file}' has no extra '{name}'", did_you_mean(name, known) or "it has none"
                )
            if "optional-dependencies" in _table(data, "project"):
                listed += self._strings(file, known[key], f"[project.optional-dependencies] {key}")
            else:
                chosen = {dep: poetry[dep] for dep in _strings(known[key]) if dep in poetry}
                listed += self._poetry(file, chosen, optional=True)
        own = normalised(str(_table(data, "project").get("name", "")))
        # `all = ["mine[web,db]"]`: a project's own extras.
        for entry in [each for each in listed if own and name_of(each[0]) == own]:
            listed.remove(entry)
            listed += self._of_extras(file, data, _bracketed(entry[0]))
        return listed

    def _of_group(self, file: str, data: Table, name: str) -> list[tuple[str, str]]:
        groups = _table(data, "dependency-groups")
        poetry = _table(data, "tool", "poetry", "group")
        pdm = _table(data, "tool", "pdm", "dev-dependencies")
        by_name = {normalised(key): key for key in (*pdm, *poetry, *groups)}
        key = by_name.get(normalised(name))
        if key in groups:
            from packaging.dependency_groups import resolve_dependency_groups

            try:
                found = resolve_dependency_groups(groups, key)
            except (ValueError, TypeError, LookupError, ExceptionGroup) as error:
                words = "; ".join(map(str, getattr(error, "exceptions", (error,))))
                self._fault(file, key, f"[dependency-groups] {key}: {words}")
                return []
            return [(each, each) for each in found]
        if key in poetry:
            return list(self._poetry(file, poetry[key].get("dependencies", {}), optional=True))
        if key in pdm:
            return self._strings(file, pdm[key], f"[tool.pdm.dev-dependencies] {key}")
        raise RefusedError(
            f"'{file}' has no group '{name}'",
            did_you_mean(name, [*by_name.values()]) or "it has none",
        )

    def _poetry(self, file: str, listed: Any, optional: bool) -> Iterator[tuple[str, str]]:
        """Poetry's own table as PEP 508; `optional`: also those that only an extra asks for."""
        for name, said in listed.items() if isinstance(listed, dict) else ():
            if normalised(name) == "python":
                continue
            for each in said if isinstance(said, list) else [said]:
                if isinstance(each, dict) and each.get("optional") and not optional:
                    continue
                try:
                    yield poetry_spec(name, each), name
                except RefusedError as error:
                    self._fault(file, name, error.message, error.hint)

    def _dynamic(self, file: str, data: Table) -> Requirements:
        """The dependencies that setuptools reads from files; others that are dynamic are refused."""
        project = _table(data, "project")
        if "dependencies" not in _strings(project.get("dynamic")):
            return Requirements()
        said = _table(data, "tool", "setuptools", "dynamic").get("dependencies")
        hatch = _table(data, "tool", "hatch", "metadata", "hooks", "requirements_txt")
        files = said.get("file") if isinstance(said, dict) else hatch.get("files")
        if files:
            return self._files(file, _strings([files] if isinstance(files, str) else files))
        if _table(data, "tool", "poetry", "dependencies"):
            return Requirements()  # they are read from there
        cfg = posixpath.join(posixpath.dirname(file), SETUP_CFG)
        if self._repository.exists(cfg):
            try:
                return self.setup_cfg(cfg)
            except RefusedError:
                pass
        self._fault(
            file,
            "dynamic",
            "its dependencies are dynamic, and only its build backend knows them",
            "list them under [project] dependencies, or name a file that lists them: "
            "uv pip compile pyproject.toml -o requirements.txt",
        )
        return Requirements()

    def _files(self, file: str, names: Iterable[str]) -> Requirements:
        """The requirements files that a project takes its dependencies from."""
        found = Collected()
        for name in names:
            try:
                include = self._include()
                assert include is not None  # noqa: S101 - for the type checker
                found.add(include(self._repository.file(name, posixpath.dirname(file))))
            except RefusedError as error:
                self._fault(file, name, error.message, error.hint)
        return found.value()

    def _refuse_python(self, file: str, data: Table) -> None:
        """Report a project that is not for the manifest's Python."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        said = _table(data, "project").get("requires-python", "")
        key = "requires-python"
        poetry = _table(data, "tool", "poetry", "dependencies").get("python", "")
        try:
            if not said and isinstance(poetry, str) and poetry:
                key, said = "python =", poetry_spec("python", poetry).removeprefix("python")
            wanted = SpecifierSet(said if isinstance(said, str) else "")
        except (InvalidSpecifier, RefusedError):
            return  # its own tools say so
        # Some release of that version fits: which one, the image decides.
        any_release = (f"{self.python}.{patch}" for patch in (0, 5, 50, 500))
        if self.python and not any(map(wanted.contains, any_release)):
            self._fault(
                file,
                key,
                f"it is for Python {said}, and the manifest says {self.python}",
                "change `python:` in the manifest, or what the project supports",
            )

    def _indexes(self, file: str, data: Table) -> Requirements:
        """The indexes that a project names for all of its packages."""
        lines = []
        for keys in (
            ("tool", "uv", "index"),
            ("tool", "poetry", "source"),
            ("tool", "pdm", "source"),
            ("source",),
        ):
            *tables, last = keys
            listed = _table(data, *tables).get(last) if tables else data.get(last)
            for each in listed if isinstance(listed, list) else ():
                address = str(each.get("url", "")) if isinstance(each, dict) else ""
                if not address or each.get("explicit") or each.get("priority") == "explicit":
                    continue  # of single packages, which say so themselves
                place = self._near(file, address)
                where = f"{file}:{place.line}" if place else file
                name = f"the index '{each['name']}'" if each.get("name") else "the index"
                lines.append(IndexLine(where, name, without_credentials(address)))
        return Requirements(indexes=tuple(lines))

    def _refuse_silence(self, file: str, data: Table) -> None:
        """Report a project that lists nothing where slimbake looks, and something elsewhere."""
        project = _table(data, "project")
        if "dependencies" in project or "dependencies" in _strings(project.get("dynamic")):
            return  # it says that it has none, or was reported
        poetry = _table(data, "tool", "poetry")
        groups = [
            *_table(data, "dependency-groups"),
            *_table(poetry, "group"),
            *_table(data, "tool", "pdm", "dev-dependencies"),
        ]
        extras = [*self._extras(data)]
        if groups or extras:
            first = (
                f"{posixpath.basename(file)}:{groups[0]}" if groups else f"{PYPROJECT}[{extras[0]}]"
            )
            what = (
                f"the groups {', '.join(groups)}" if groups else f"the extras {', '.join(extras)}"
            )
            self._report.elsewhere(
                file,
                None,
                f"it has no dependencies but in {what}",
                f"name the one that this service needs: requirements: {first}\n"
                "or write `dependencies = []` under [project], if it needs none",
            )
        elif not project and "dependencies" not in poetry:
            self._report.elsewhere(
                file, None, "it lists no dependencies that slimbake reads", _FORMS
            )

    # Where dependencies come from.

    def _taken(self, file: str, data: Table, listed: Iterable[tuple[str, str]]) -> Requirements:
        """Dependencies, each from where [tool.uv.sources] or Poetry's table say."""
        found = Collected()
        folder = posixpath.dirname(file)
        sources = self._sources(file, data)
        for spec, near in listed:
            try:
                if local := _local(spec):
                    found.add(self.package(local, folder, _bracketed(spec)))
                    continue
                spec = lockable(spec)
                if name_of(spec) not in sources:
                    found.add(Requirements((spec,)))
                else:
                    found.add(self._source(spec, *sources[name_of(spec)]))
            except RefusedError as error:
                self._fault(file, near, error.message, error.hint)
        return found.value()

    def _sources(self, file: str, data: Table) -> dict[str, tuple[str, Any]]:
        """Package -> the file that says where it comes from, and what it says."""
        found: dict[str, tuple[str, Any]] = {}
        root = self._workspace(posixpath.dirname(file))
        for at in dict.fromkeys((*([root] if root else ()), file)):
            own = data if at == file else self.table(at) or {}
            listed = _table(own, "tool", "uv", "sources")
            found |= {normalised(key): (at, value) for key, value in listed.items()}
        if "dependencies" in _table(data, "project"):
            poetry = _table(data, "tool", "poetry", "dependencies").items()
            elsewhere = ("path", "git", "url")
            placed = ((k, v) for k, v in poetry if isinstance(v, dict) and {*elsewhere} & {*v})
            found |= {normalised(key): (file, value) for key, value in placed}
        return found

    def _source(self, spec: str, file: str, source: Any) -> Requirements:
        """A dependency from where its source says; `file`: which says so."""
        several = source if isinstance(source, list) else [source]
        if not all(isinstance(each, dict) for each in several) or not several:
            several = [{}]
        name, folder = name_of(spec), posixpath.dirname(file)
        if all("index" in each for each in several):
            # Markers choose between builds of one version: `torch:` of the manifest does so here.
            data = self.table(file) or {}
            lines = (self._index(file, data, name, str(each["index"])) for each in several)
            return Requirements((spec,), indexes=tuple(lines))
        if len(several) > 1:
            raise RefusedError(
                f"'{name}' has several sources in [tool.uv.sources]",
                "name one of them: the same package is installed on every platform",
            )
        (only,) = several
        head, marker = _head(spec)
        extras = _bracketed(spec)
        if isinstance(only.get("path"), str):
            return self.package(only["path"], folder, extras)
        if only.get("workspace") is True:
            return self._member(name, folder, extras)
        if isinstance(only.get("git"), str):
            spec = f"{head} @ {_git(only)}"
        elif isinstance(only.get("url"), str):
            below = f"#subdirectory={only['subdirectory']}" if only.get("subdirectory") else ""
            spec = f"{head} @ {only['url']}{below}"
        else:
            raise RefusedError(
                f"the source of '{name}' in [tool.uv.sources] is none that slimbake knows",
                "known: path, workspace, git, url, index",
            )
        return Requirements((lockable(f"{spec} ; {marker}" if marker else spec),))

    def _index(self, file: str, data: Table, package: str, name: str) -> IndexLine:
        listed = _table(data, "tool", "uv").get("index", [])
        known = {each.get("name"): each for each in listed if isinstance(each, dict)}
        address = str(known.get(name, {}).get("url", ""))
        place = self._near(file, f"{package} =")
        where = f"{file}:{place.line}" if place else file
        return IndexLine(where, f"the index '{name}' of {package}", without_credentials(address))

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
        patterns = _strings(workspace.get("members")) if file else []
        found = (self._repository.folders(posixpath.join(root, each)) for each in patterns)
        for member in (*([root or "."] if file else ()), *(m for ms in found for m in ms)):
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
        found = self._pinned_for(file, data)
        for lock in found.files:
            lacks = _newer(data, self._pinning(lock, posixpath.dirname(file)), found.constraints)
            if lacks:
                name = posixpath.basename(lock)
                self._report.doubt(
                    lock,
                    None,
                    f"it is older than {file}, which requires {', '.join(lacks)}",
                    REFRESH.get(name, f"export {name} again"),
                )
        return found

    def _pinned_for(self, file: str, data: Table) -> Requirements:
        folder = posixpath.dirname(file)
        names = (UV_LOCK, PDM_LOCK, POETRY_LOCK, "pylock.toml")
        if _table(data, "tool", "poetry"):
            names = (POETRY_LOCK, UV_LOCK, PDM_LOCK, "pylock.toml")
        found = self._beside(folder, names, folder)
        root = "" if found.files else self._workspace(folder)
        lock = posixpath.join(posixpath.dirname(root), UV_LOCK)
        if not root or not self._repository.exists(lock):
            return found
        member = posixpath.relpath(folder or ".", posixpath.dirname(root) or ".")
        packages = (self.table(lock) or {}).get("package", [])
        if all(package_folder(each) != member for each in packages):
            return found  # it lies below a workspace, and is none of its members
        return self._beside(posixpath.dirname(root), (UV_LOCK,), folder)

    def _pinning(self, lock: str, project: str) -> Mapping[str, Any]:
        """The values of a lock; of a uv.lock only what the project in this folder needs."""
        data = self.table(self._repository.file(lock)) or {}
        if posixpath.basename(lock) != UV_LOCK:
            return data
        return of_member(data, posixpath.relpath(project or ".", posixpath.dirname(lock) or "."))

    def _beside(self, folder: str, names: Iterable[str], project: str) -> Requirements:
        """What the first of these locks that lies in a folder pins for the project in another."""
        for name in names:
            file = posixpath.join(folder, name)
            if not self._repository.exists(file):
                continue
            data = self._pinning(file, project)
            read = pylock_pins if is_pylock(file) else PINS[name]
            try:
                pins = tuple(Constraint(spec, file) for spec in read(data) if "@" not in spec)
            except RefusedError as error:
                self._report.elsewhere(file, error.place, error.message, error.hint)
                pins = ()
            for package, versions in unmarked(name, data).items():
                self._report.doubt(
                    file,
                    self._near(file, f'"{package}"'),
                    f"no marker says where {package} {' and '.join(versions)} hold"
                    f"{'' if len(versions) > 1 else 's'}, so slimbake takes the version that resolves",
                    f"to choose one, require it: {package}=={versions[-1]}",
                )
            return Requirements(files=(file,), constraints=pins)
        return Requirements()

    def _fault(self, file: str, near: str, message: str, hint: str = "") -> None:
        """Report at the first place of `near`: tomllib keeps no positions."""
        self._report.elsewhere(file, self._near(file, near), message, hint)

    def _near(self, file: str, near: str) -> Position | None:
        text = self._repository.read(file)
        index = text.find(near)
        return Position.offset(text, index) if index >= 0 else None


# A requirement without a marker, an address or a local version, which locks do not compare.
_RANGE = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*\(?([^;@()+]*)\)?\s*")
_VARIABLES = (
    *("os_name", "sys_platform", "platform_machine", "platform_python_implementation"),
    *("platform_release", "platform_system", "platform_version", "python_version"),
    *("python_full_version", "implementation_name", "implementation_version"),
)


def poetry_spec(name: str, said: Any) -> str:
    """One line of Poetry's dependencies as PEP 508. RefusedError where Poetry would not take it."""
    if isinstance(said, dict):
        extras = f"[{','.join(map(str, said['extras']))}]" if said.get("extras") else ""
        if said.get("git"):
            return f"{name}{extras} @ {_git(said)}"
        if said.get("url"):
            return f"{name}{extras} @ {said['url']}"
        if said.get("path"):
            return f"{name}{extras} @ file:{said['path']}"
    # 0.1 s to import, for whoever has such a file; Poetry's own reader knows what `^` means.
    from poetry.core.constraints.version.exceptions import ParseConstraintError
    from poetry.core.factory import Factory

    plain = (
        {
            key: value
            for key, value in said.items()
            if key in ("version", "python", "markers", "extras")
        }
        if isinstance(said, dict)
        else said
    )
    try:
        made = Factory.create_dependency(name, plain).to_pep_508(with_extras=False)
    except (ParseConstraintError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RefusedError(f"'{name} = {said!r}' is no dependency of Poetry: {error}") from None
    return lockable(re.sub(r"^([^ (]+) \(([^)]*)\)", r"\1\2", made))


def _git(said: Mapping[str, Any]) -> str:
    """A Git source as an address of PEP 508."""
    revision = next((said[key] for key in ("rev", "tag", "branch", "ref") if said.get(key)), "")
    address = str(said["git"])
    if scp := re.fullmatch(r"([\w.-]+@[\w.-]+):(.+)", address):  # as ssh writes it
        address = f"ssh://{scp[1]}/{scp[2]}"
    prefixed = address if address.startswith("git+") else f"git+{address}"
    below = f"#subdirectory={said['subdirectory']}" if said.get("subdirectory") else ""
    return f"{prefixed}{f'@{revision}' if revision else ''}{below}"


def _project_file(folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, PYPROJECT))


def _local(spec: str) -> str:
    """The folder that `name @ file:../folder` names; "" for any other requirement."""
    _, at, address = spec.partition("@")
    found = _FILE_URL.match(address.partition(";")[0].strip()) if at else None
    return unquote(found[1]).strip() or "." if found else ""


def _bracketed(spec: str) -> list[str]:
    """The extras of a requirement."""
    found = re.match(r"\s*[\w.-]+\s*\[([^]]*)\]", spec)
    return [each.strip() for each in found[1].split(",") if each.strip()] if found else []


def _head(spec: str) -> tuple[str, str]:
    """The name of a requirement with its extras, and its marker."""
    body, _, marker = spec.partition(";")
    found = re.match(r"\s*([\w.-]+(?:\s*\[[^]]*\])?)", body)
    return (found[1] if found else body.strip()), marker.strip()


def _ini(text: str) -> dict[str, dict[str, str]]:
    """The sections of a setup.cfg; none where it cannot be parsed."""
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _table(data: Mapping[str, Any], *keys: str) -> Table:
    for key in keys:
        data = data.get(key, {})
        if not isinstance(data, dict):
            return {}
    return dict(data)


def _strings(value: Any) -> list[str]:
    """The texts of a list; of anything else, none."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _newer(project: Table, lock: Mapping[str, Any], pins: Iterable[Constraint]) -> list[str]:
    """The requirements of a project that a lock of it does not know, or pins outside of their
    versions.
    """
    listed = lock.get("package") or lock.get("packages")
    packages = listed if isinstance(listed, list) else []
    known = {normalised(str(each.get("name"))) for each in packages if isinstance(each, dict)}
    exact = (each.spec.partition("==") for each in pins if ";" not in each.spec)
    versions = {name: version for name, _, version in exact}
    found = []
    for spec in _strings(_table(project, "project").get("dependencies")):
        if plain := _RANGE.fullmatch(spec):
            name, wanted = normalised(plain[1]), re.sub(r"\s", "", plain[2])
            pinned = versions.get(name, "")
            release = re.fullmatch(r"\d+(\.\d+)*", pinned)
            outside = release and are_versions(wanted) and not within(pinned, wanted)
            found += [spec] * (name not in known or bool(outside))
    return found
