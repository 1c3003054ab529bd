"""What the lock files of other tools pin: versions, as constraints. Each is read by its own form."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from slimbake.config.report import RefusedError
from slimbake.config.specs import normalised

UV_LOCK = "uv.lock"
POETRY_LOCK = "poetry.lock"
PDM_LOCK = "pdm.lock"
PIPFILE_LOCK = "Pipfile.lock"

Entry = Mapping[str, Any]
Pins = Callable[[Entry], Iterator[str]]


def is_pylock(file: str) -> bool:
    """Whether a file is called as PEP 751 has it."""
    name = posixpath.basename(file)
    return name == "pylock.toml" or (name.startswith("pylock.") and name.endswith(".toml"))


def pin(name: str, version: str, marker: str = "") -> str:
    """`name==version`, with a marker where it has one. A local version (`+cu121`) is left out: which
    build of torch it is, the manifest says.
    """
    exact = f"{normalised(name)}=={version.partition('+')[0]}"
    return f"{exact} ; {marker}" if marker else exact


def uv_pins(lock: Entry) -> Iterator[str]:
    """Of a `uv.lock`: what it takes from an index; where versions fork, each with its markers."""
    for package in _packages(lock):
        if "registry" in package.get("source", {}) and "version" in package:
            markers = [str(each) for each in package.get("resolution-markers", ())]
            both = " or ".join(f"({each})" for each in markers) if len(markers) > 1 else ""
            yield pin(package["name"], package["version"], both or "".join(markers))


def poetry_pins(lock: Entry) -> Iterator[str]:
    """Of a `poetry.lock`: what it takes from an index."""
    return _marked(POETRY_LOCK, lock)


def pdm_pins(lock: Entry) -> Iterator[str]:
    """Of a `pdm.lock`, likewise."""
    return _marked(PDM_LOCK, lock)


def unmarked(file: str, lock: Entry) -> dict[str, list[str]]:
    """The packages with several versions of which one says by no marker where it holds, and these
    versions. `file`: the lock's name.
    """
    found: dict[str, list[str]] = {}
    if file in (POETRY_LOCK, PDM_LOCK):
        for name, version, marker in _versions(file, lock):
            if marker is None:
                found.setdefault(name, []).append(version)
    return found


def pipfile_pins(lock: Entry) -> Iterator[str]:
    """Of a `Pipfile.lock`: its packages for production."""
    for name, entry in lock.get("default", {}).items():
        version = entry.get("version", "") if isinstance(entry, dict) else ""
        if version.startswith("=="):
            yield pin(name, version.removeprefix("=="), entry.get("markers", ""))


def pylock_pins(lock: Entry) -> Iterator[str]:
    """Of a `pylock.toml`. RefusedError where it is one for several groups or extras, or holds what
    no index has.
    """
    for package in lock.get("packages", ()):
        marker = str(package.get("marker", ""))
        if "dependency_groups" in marker or "extras" in marker:
            raise RefusedError(
                f"'{package.get('name')}' is only there for some groups or extras ({marker})",
                "export what this service needs alone: uv export --no-default-groups"
                " --format pylock.toml -o pylock.toml",
            )
        name, version = str(package.get("name", "")), package.get("version")
        if commit := package.get("vcs", {}).get("commit-id"):
            vcs = package["vcs"]
            below = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
            spec = f"{name} @ git+{vcs.get('url', '')}@{commit}{below}"
        elif url := package.get("archive", {}).get("url"):
            spec = f"{name} @ {url}"
        elif version:
            yield pin(name, str(version), marker)
            continue
        else:
            kind = "directory" if "directory" in package else "nothing that has a version"
            raise RefusedError(
                f"'{name}' comes from {kind}",
                "require the folder itself (./libs/name), or name the pyproject.toml",
            )
        yield f"{spec} ; {marker}" if marker else spec


PINS: Mapping[str, Pins] = {
    UV_LOCK: uv_pins,
    POETRY_LOCK: poetry_pins,
    PDM_LOCK: pdm_pins,
    PIPFILE_LOCK: pipfile_pins,
}
"""Lock files that lie beside what they pin, by name."""
REFRESH: Mapping[str, str] = {
    UV_LOCK: "`uv lock` refreshes it",
    POETRY_LOCK: "`poetry lock` refreshes it",
    PDM_LOCK: "`pdm lock` refreshes it",
}


def json_table(text: str) -> dict[str, Any]:
    """A JSON object. RefusedError where a text is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"not JSON: {str(error).lower()}") from None
    if not isinstance(found, dict):
        raise RefusedError("not a JSON object")
    return found


def _packages(lock: Entry) -> list[dict[str, Any]]:
    found = lock.get("package", [])
    every = found if isinstance(found, list) else []
    return [each for each in every if isinstance(each, dict) and isinstance(each.get("name"), str)]


def _marked(file: str, lock: Entry) -> Iterator[str]:
    for name, version, marker in _versions(file, lock):
        if marker is not None:
            yield pin(name, version, marker)


def _versions(file: str, lock: Entry) -> Iterator[tuple[str, str, str | None]]:
    """Name, version and marker of what a lock takes from an index: "" for a package with one
    version; None for one of several that does not say where it holds.
    """
    packages = [each for each in _packages(lock) if each.get("version") and _indexed(file, each)]
    versions: dict[str, set[str]] = {}
    for each in packages:
        versions.setdefault(normalised(each["name"]), set()).add(str(each["version"]))
    for each in packages:
        marker = each.get("markers" if file == POETRY_LOCK else "marker")
        if isinstance(marker, dict):  # of each group that has one
            marker = marker.get("main")
        alone = len(versions[normalised(each["name"])]) == 1
        known = marker if isinstance(marker, str) and marker else None
        yield each["name"], str(each["version"]), "" if alone else known


def _indexed(file: str, package: Entry) -> bool:
    if file == POETRY_LOCK:
        return bool(package.get("source", {}).get("type", "legacy") == "legacy")
    return not any(key in package for key in ("url", "git", "path"))
