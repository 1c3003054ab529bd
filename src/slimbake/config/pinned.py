"""What the lock files of other tools pin: versions, as constraints. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.config.report import RefusedError
from slimbake.config.specs import normalised
from slimbake.host.typed import WRONG

UV_LOCK = "uv.lock"
POETRY_LOCK = "poetry.lock"
PIPFILE_LOCK = "Pipfile.lock"
PYLOCK = "pylock.toml"

Entry = Mapping[str, Any]

# What slimbake does not read, and the command that writes what it does.
EXPORTS: Mapping[str, str] = {
    "Pipfile": "pipenv lock, and name Pipfile.lock",
    "pdm.lock": "pdm export --prod -o requirements.txt",
    "environment.yml": "pip list --format freeze > requirements.txt",
    "environment.yaml": "pip list --format freeze > requirements.txt",
    "setup.py": "uv pip compile setup.py -o requirements.txt",
    "setup.cfg": "uv pip compile setup.cfg -o requirements.txt",
}


def is_pylock(file: str) -> bool:
    """Whether a file is called as PEP 751 has it."""
    name = posixpath.basename(file)
    return name == PYLOCK or (name.startswith("pylock.") and name.endswith(".toml"))


def pins(file: str, lock: Entry, member: str = "") -> tuple[str, ...]:
    """What a lock of this name pins: `name==version`, with a marker where it has one. `member`: of a
    `uv.lock`, what this member needs alone.

    Raises RefusedError where a pylock.toml or a Pipfile.lock holds what no list of requirements can,
    and for what is no lock.
    """
    name = posixpath.basename(file)
    try:
        if name == UV_LOCK:
            return tuple(_uv(of_member(lock, member) if member else lock))
        if name == POETRY_LOCK:
            return tuple(_poetry(lock))
        if name == PIPFILE_LOCK:
            return tuple(_pipenv(lock))
        return tuple(_pylock(lock))
    except WRONG as error:
        raise RefusedError(f"it is no lock: {error}", "have its tool write it again") from None


def _pin(name: str, version: str, marker: str = "") -> str:
    # Without a local version (`+cu121`): which build of torch it is, the manifest says.
    exact = f"{normalised(name)}=={version.partition('+')[0]}"
    return f"{exact} ; {marker}" if marker else exact


def _uv(lock: Entry) -> Iterator[str]:
    for package in packages_of(lock):
        if "registry" in package.get("source", {}) and "version" in package:
            markers = [str(marker) for marker in package.get("resolution-markers", ())]
            if len(markers) > 1:
                markers = [f"({marker})" for marker in markers]
            yield _pin(package["name"], package["version"], " or ".join(markers))


def _poetry(lock: Entry) -> Iterator[str]:
    """A package with several versions is pinned only where markers tell these apart."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in packages_of(lock):
        source = package.get("source", {}).get("type", "legacy")
        if package.get("version") and source == "legacy":
            packages.setdefault(normalised(package["name"]), []).append(package)
    for name, versions in packages.items():
        for package in versions:
            marker = package.get("markers")
            if isinstance(marker, dict):  # of each group
                marker = marker.get("main")
            if len(versions) == 1:
                yield _pin(name, str(package["version"]))
            elif marker:
                yield _pin(name, str(package["version"]), str(marker))


def _pylock(lock: Entry) -> Iterator[str]:
    for package in lock.get("packages", ()):
        marker, name = str(package.get("marker", "")), str(package.get("name", ""))
        if "dependency_groups" in marker or "extras" in marker:
            raise RefusedError(
                f"'{name}' is only there for some groups or extras ({marker})",
                "export what this service needs alone: uv export --no-default-groups"
                " --format pylock.toml -o pylock.toml",
            )
        vcs, url = package.get("vcs", {}), package.get("archive", {}).get("url")
        if vcs.get("commit-id"):
            spec = f"{name} @ git+{vcs.get('url', '')}@{vcs['commit-id']}"
            if vcs.get("subdirectory"):
                spec += f"#subdirectory={vcs['subdirectory']}"
        elif url:
            spec = f"{name} @ {url}"
        elif version := package.get("version"):
            spec = _pin(name, str(version))
        else:
            raise RefusedError(
                f"'{name}' has no version",
                "require its folder (./libs/name), or name the pyproject.toml",
            )
        yield f"{spec} ; {marker}" if marker else spec


def _pipenv(lock: Entry) -> Iterator[str]:
    """What a Pipfile.lock has for the program itself: its `develop` is for tests."""
    for name, package in lock["default"].items():
        head = name
        if package.get("extras"):
            head += f"[{','.join(package['extras'])}]"
        version = str(package.get("version", "")).removeprefix("==")
        if package.get("git"):
            spec = f"{head} @ git+{package['git'].removeprefix('git+')}@{package['ref']}"
            if package.get("subdirectory"):
                spec += f"#subdirectory={package['subdirectory']}"
        elif package.get("file"):
            spec = f"{head} @ {package['file']}"
        elif version:
            spec = f"{head}=={version.partition('+')[0]}"
        else:
            raise RefusedError(
                f"'{name}' has no version", "require its folder (./libs/name) beside this file"
            )
        marker = package.get("markers")
        yield f"{spec} ; {marker}" if marker else spec


def of_member(lock: Entry, member: str) -> Entry:
    """A `uv.lock` with those of its packages alone that a member needs, with all of its extras and
    groups; all of it where it has no such member.

    `member`: its folder, relative to the lock.
    """
    packages = packages_of(lock)
    needs: dict[str, list[str]] = {}
    waiting = []
    for package in packages:
        name = package["name"]
        lists = [package.get("dependencies", ())]
        for key in ("optional-dependencies", "dev-dependencies"):
            lists += package.get(key, {}).values()
        for entries in lists:
            needs.setdefault(name, []).extend(other["name"] for other in entries)
        if package_folder(package) == member:
            waiting.append(name)
    if not waiting:
        return lock
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += needs.get(name, ())
    return {**lock, "package": [package for package in packages if package["name"] in needed]}


def package_folder(package: Entry) -> str:
    """The folder that a local package comes from, relative to its uv.lock; "" for others."""
    source = package.get("source", {})
    for kind in ("virtual", "editable", "directory"):
        if kind in source:
            return str(source[kind])
    return ""


def packages_of(lock: Entry) -> list[dict[str, Any]]:
    """The packages of a `uv.lock` or `poetry.lock`."""
    listed = lock.get("package", [])
    packages: list[dict[str, Any]] = []
    for package in listed if isinstance(listed, list) else ():
        if not isinstance(package, dict) or not isinstance(package.get("name"), str):
            continue
        if isinstance(package.get("source", {}), dict):
            packages.append(package)
    return packages
