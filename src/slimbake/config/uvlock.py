"""What a project's `uv.lock` pins, as requirements: each package of its closure at its version. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any
from urllib.parse import unquote

from slimbake.config.report import RefusedError

Package = Mapping[str, Any]


def locked_requirements(lock: Mapping[str, Any], member: str = ".") -> tuple[list[str], list[str]]:
    """The pins of a `uv.lock` (`name==version`, with a marker where it has one), and the folders of
    local packages.

    `member`: the folder of the project, relative to the lock, as folders of packages are. Development
    groups and extras that nobody asks for are left out. Raises RefusedError for what no lock of ours
    can hold.
    """
    packages = [each for each in lock.get("package", []) if isinstance(each, dict)]
    roots = [each for each in packages if package_folder(each) == member]
    roots = roots or [each for each in packages if package_folder(each) == "."]
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
        if folder := package_folder(package):
            folders[folder] = None
        else:
            spec = _pinned(package, source)
            specs[f"{spec} ; {marker}" if marker else spec] = None
        stack += [(each, marker) for each in _needs(package, dependency.get("extra", ()))]
    return list(specs), list(folders)


def _pinned(package: Package, source: Mapping[str, Any]) -> str:
    """A package at the version, commit or address that the lock says."""
    if "registry" in source:
        return f"{package['name']}=={package['version']}"
    if "git" in source:
        # https://host/x.git?subdirectory=a&rev=main#COMMIT
        address, _, commit = source["git"].partition("#")
        address, _, query = address.partition("?")
        below = re.search(r"(?:^|&)subdirectory=([^&]+)", query)
        end = f"#subdirectory={unquote(below[1])}" if below else ""
        return f"{package['name']} @ git+{address}@{commit}{end}"
    if "url" in source:
        return f"{package['name']} @ {source['url']}"
    raise RefusedError(
        f"'{package['name']}' comes from {' and '.join(source) or 'nowhere'}",
        "only what an index has, Git, addresses, and folders of the repository can be locked",
    )


def of_member(lock: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    """A `uv.lock` with those of its packages alone that a member needs, with all of its extras and
    groups; all of it where it has no such member.

    `member`: its folder, as `locked_requirements` has it.
    """
    listed = (each for each in lock.get("package", []) if isinstance(each, dict))
    packages = [each for each in listed if isinstance(each.get("name"), str)]
    needs: dict[str, list[str]] = {}
    for package in packages:
        needs.setdefault(package["name"], []).extend(_names(package))
    waiting = [each["name"] for each in packages if package_folder(each) == member]
    if not waiting:
        return lock
    needed: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in needed:
            needed.add(name)
            waiting += needs.get(name, ())
    return {**lock, "package": [each for each in packages if each["name"] in needed]}


def _names(package: Package) -> Iterator[str]:
    """The packages that one needs, with all of its extras and groups."""
    further = (package.get(key, {}) for key in ("optional-dependencies", "dev-dependencies"))
    lists = (package.get("dependencies", ()), *chain.from_iterable(t.values() for t in further))
    yield from (each["name"] for each in chain.from_iterable(lists))


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
    raise RefusedError(f"it lacks '{dependency['name']}'", "`uv lock` writes it again")


def package_folder(package: Package) -> str:
    """The folder that a local package comes from, relative to the lock; "" for others."""
    source = package.get("source", {})
    return next(
        (source[kind] for kind in ("virtual", "editable", "directory") if kind in source), ""
    )
