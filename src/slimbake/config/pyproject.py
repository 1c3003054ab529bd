"""What a `pyproject.toml` or `uv.lock` in the repository says: names, dependencies, their sources."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.config.document import Position
from slimbake.config.files import ManifestFolder
from slimbake.config.model import LocalPackage
from slimbake.config.report import ProblemReport, RefusedError
from slimbake.config.specs import lockable, name_of, normalised

PYPROJECT = "pyproject.toml"


class Pyprojects:
    """Reads each pyproject.toml once, and reports what is wrong in it once."""

    def __init__(self, repository: ManifestFolder, report: ProblemReport) -> None:
        self._repository = repository
        self._report = report
        self._read: dict[str, dict[str, Any] | None] = {}
        self._owners: dict[str, str] = {}  # package -> its folder

    def package(self, text: str, within: str = "") -> LocalPackage | None:
        """The package in the folder `text`, None when its file is faulty; RefusedError when it is
        none.
        """
        folder = self._repository.folder(text, within)
        file = posixpath.normpath(f"{folder}/{PYPROJECT}")
        if not self._repository.exists(file):
            raise RefusedError(
                f"'{text}' is no Python package: it has no {PYPROJECT}",
                f"add '{file}' with a [project] name",
            )
        data = self.table(file)
        if data is None:
            return None
        name = _table(data, "project").get("name")
        if not isinstance(name, str) or not name:
            raise RefusedError(f"'{text}' is no Python package: '{file}' has no [project] name")
        package = LocalPackage(normalised(name), folder, self._build(file, data))
        owner = self._owners.setdefault(package.name, folder)
        if owner != folder:
            raise RefusedError(
                f"'{text}' is a package called '{name}', and so is '{owner}'", "rename one of them"
            )
        return package

    def _build(self, file: str, data: dict[str, Any]) -> tuple[str, ...]:
        """What builds the package in this file, by default what pip would take (PEP 518)."""
        listed = _table(data, "build-system").get("requires", ["setuptools>=40.8.0"])
        try:
            return tuple(lockable(spec) for spec in _strings(listed))
        except RefusedError as error:
            self._fault(file, "requires", f"[build-system] requires: {error.message}", error.hint)
            return ()

    def dependencies(self, file: str) -> tuple[list[str], list[LocalPackage]]:
        """The [project] dependencies of a file; apart, those that [tool.uv.sources] finds here."""
        specs: list[str] = []
        packages: list[LocalPackage] = []
        data = self.table(file)
        if data is None:
            return specs, packages
        project = _table(data, "project")
        if "dependencies" in _strings(project.get("dynamic")):
            self._fault(
                file,
                "dynamic",
                "its dependencies are dynamic",
                "list them under [project] dependencies",
            )
        listed = project.get("dependencies", [])
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            self._fault(file, "dependencies", "[project] dependencies is no list of texts")
            return specs, packages
        sources = {
            normalised(key): value for key, value in _table(data, "tool", "uv", "sources").items()
        }
        for spec in listed:
            try:
                name = name_of(lockable(spec))
                if name not in sources:
                    specs.append(spec)
                elif package := self._source(name, sources[name], posixpath.dirname(file)):
                    packages.append(package)
            except RefusedError as error:
                self._fault(file, spec, error.message, error.hint)
        return specs, packages

    def table(self, file: str) -> dict[str, Any] | None:
        """The whole file as values; None when it is faulty, which is reported."""
        if file not in self._read:
            self._read[file] = self._parse(file)
        return self._read[file]

    def _parse(self, file: str) -> dict[str, Any] | None:
        import tomllib

        try:
            return tomllib.loads(self._repository.read(file))
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
            place = Position(int(found[1]), int(found[2])) if found else None
            plain = re.sub(r" \(at [^()]*\)$", "", message)
            self._report.elsewhere(file, place, f"not TOML: {plain[:1].lower()}{plain[1:]}")
        return None

    def _source(self, name: str, source: Any, folder: str) -> LocalPackage | None:
        if isinstance(source, dict) and isinstance(source.get("path"), str):
            return self.package(source["path"], folder)
        if isinstance(source, dict) and source.get("workspace") is True:
            return self._member(name, folder)
        raise RefusedError(
            f"the source of '{name}' in [tool.uv.sources] is neither a path nor the workspace",
            "other sources cannot be locked; index addresses belong into the machine's settings",
        )

    def _member(self, name: str, folder: str) -> LocalPackage | None:
        """The workspace member of that name; the workspace is declared in this folder or above it."""
        while True:
            file = posixpath.normpath(f"{folder}/{PYPROJECT}")
            data = self.table(file) if self._repository.exists(file) else None
            workspace = _table(data or {}, "tool", "uv", "workspace")
            for pattern in _strings(workspace.get("members")):
                for member in self._repository.folders(posixpath.join(folder, pattern)):
                    if self._repository.exists(f"{member}/{PYPROJECT}"):
                        package = self.package(member)
                        if package is not None and package.name == name:
                            return package
            if workspace or not folder:
                raise RefusedError(
                    f"'{name}' is no member of the workspace",
                    "add its folder to [tool.uv.workspace] members",
                )
            folder = posixpath.dirname(folder)

    def _fault(self, file: str, near: str, message: str, hint: str = "") -> None:
        """Report at the first place of `near`: tomllib keeps no positions."""
        text = self._repository.read(file)
        index = text.find(near)
        self._report.elsewhere(
            file, Position.offset(text, index) if index >= 0 else None, message, hint
        )


def _table(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        value = data.get(key)
        data = value if isinstance(value, dict) else {}
    return data


def _strings(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


# What a project's `uv.lock` pins, as requirements: each package of its closure at its version.

UV_LOCK = "uv.lock"

Package = Mapping[str, Any]


def locked_requirements(lock: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The pins of a `uv.lock` (`name==version`, with a marker where it has one), and the folders of
    local packages.

    Folders are relative to the lock. Development groups and extras that nobody asks for are left
    out. Raises RefusedError for what no lock of ours can hold.
    """
    packages = [each for each in lock.get("package", []) if isinstance(each, dict)]
    roots = [each for each in packages if _folder(each) == "."]
    if len(roots) != 1:
        raise RefusedError(
            "it is the lock of no single project: none of its packages lies beside it",
            "name the member's pyproject.toml, in which [tool.uv.sources] may name the workspace",
        )
    specs: dict[str, None] = {}
    folders: dict[str, None] = {}
    seen: set[tuple[str, str, str]] = set()
    stack = [(dependency, "") for dependency in _needs(roots[0], ())]
    while stack:
        dependency, outer = stack.pop(0)
        own = dependency.get("marker", "")
        marker = f"({outer}) and ({own})" if outer and own else outer or own
        package = _find(dependency, packages)
        key = (
            package["name"],
            package.get("version", ""),
            f"{marker} {dependency.get('extra', ())}",
        )
        if key in seen:
            continue
        seen.add(key)
        source = package.get("source", {})
        if folder := _folder(package):
            folders[folder] = None
        elif "registry" in source:
            pin = f"{package['name']}=={package['version']}"
            specs[f"{pin} ; {marker}" if marker else pin] = None
        else:
            raise RefusedError(
                f"'{package['name']}' comes from {' and '.join(source) or 'nowhere'}",
                "only what an index has, and folders of the repository, can be locked",
            )
        stack += [(each, marker) for each in _needs(package, dependency.get("extra", ()))]
    return list(specs), list(folders)


def _needs(package: Package, extras: Any) -> Iterator[Mapping[str, Any]]:
    yield from package.get("dependencies", ())
    for extra in extras:
        yield from package.get("optional-dependencies", {}).get(extra, ())


def _find(dependency: Mapping[str, Any], packages: list[dict[str, Any]]) -> Package:
    """The package of a dependency; one that has several versions says which."""
    wanted = dependency.get("version")
    for package in packages:
        if package.get("name") == dependency["name"] and wanted in {None, package.get("version")}:
            return package
    raise RefusedError(f"it lacks '{dependency['name']}'", "`uv lock` makes it anew")


def _folder(package: Package) -> str:
    source = package.get("source", {})
    return next(
        (source[kind] for kind in ("virtual", "editable", "directory") if kind in source), ""
    )
