"""Poetry's dependencies as PEP 508 writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slimbake.config.report import RefusedError
from slimbake.config.specs import lockable


def poetry_spec(name: str, constraint: Any) -> str:
    """One line of Poetry's dependencies as PEP 508. RefusedError where Poetry would not take it."""
    if isinstance(constraint, dict):
        place = _place(constraint)
        if place:
            return f"{_with_extras(name, constraint)} @ {place}"
        plain = {}
        for key in ("version", "python", "markers", "extras"):
            if key in constraint:
                plain[key] = constraint[key]
        constraint = plain
    # 0.1 s to import, for whoever has such a file; Poetry's own reader knows what `^` means.
    from poetry.core.factory import Factory

    try:
        requirement = Factory.create_dependency(name, constraint).to_pep_508(with_extras=False)
    except Exception as error:  # of any kind: of a marker, those of a parser that it brings along
        first = str(error).partition("\n")[0]
        raise _refused(name, constraint, first) from None
    return lockable(re.sub(r"^([^ (]+) \(([^)]*)\)", r"\1\2", requirement))


def _place(source: Mapping[str, Any]) -> str:
    """Where a package is that no index has; "" for one of an index."""
    if source.get("git") or source.get("url"):
        return address(source)
    if source.get("path"):
        return f"file:{source['path']}"
    return ""


def _with_extras(name: str, constraint: Mapping[str, Any]) -> str:
    extras = constraint.get("extras")
    if not extras:
        return name
    if not isinstance(extras, list):
        raise _refused(name, constraint, "its extras are no list")
    return f"{name}[{','.join(map(str, extras))}]"


def _refused(name: str, constraint: Any, why: str) -> RefusedError:
    return RefusedError(f"'{name} = {constraint!r}' is no dependency of Poetry: {why}")


def address(source: Mapping[str, Any]) -> str:
    """The address of a Git source, or of one with a URL, as PEP 508 has it."""
    if source.get("git"):
        # `git@host:path` is ssh's own form of an address.
        repository = re.sub(r"^([\w.-]+@[\w.-]+):", r"ssh://\1/", str(source["git"]))
        place = f"git+{repository.removeprefix('git+')}"
        revision = source.get("rev") or source.get("tag") or source.get("branch")
        if revision:
            place += f"@{revision}"
    else:
        place = str(source["url"])
    if source.get("subdirectory"):
        place += f"#subdirectory={source['subdirectory']}"
    return place
