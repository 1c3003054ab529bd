"""What a project's `uv.lock` pins, as requirements: each package of its closure at its version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.config.report import RefusedError

FILE = "uv.lock"

Package = Mapping[str, Any]


def requirements(lock: Mapping[str, Any]) -> tuple[list[str], list[str]]:
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
