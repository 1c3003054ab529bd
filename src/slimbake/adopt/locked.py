"""What a lock of uv, Poetry or PDM says that packages need. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from slimbake.config.specs import name_of, normalised


def needs_in(lock: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Each package of a lock -> those that it needs there, with all of its extras and without its
    development groups; {} for a lock that does not say it.
    """
    packages = lock.get("package")
    listed = [each for each in packages if isinstance(each, dict)] if packages else []
    found: dict[str, frozenset[str]] = {}
    for each in listed:
        name = normalised(str(each.get("name", "")))
        found[name] = found.get(name, frozenset()) | {*_needed(each)}
    return found


def closure_in(needs: Mapping[str, frozenset[str]], names: Iterable[str]) -> frozenset[str]:
    """Packages with all that they need."""
    waiting, found = [*names], set()
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return frozenset(found)


def _needed(package: Mapping[str, Any]) -> Iterator[str]:
    """A list of tables is uv's, one of requirements PDM's, and a table by name Poetry's."""
    extras = package.get("optional-dependencies", {})
    for each in chain(package.get("dependencies", ()), *extras.values()):
        yield normalised(str(each.get("name"))) if isinstance(each, dict) else name_of(str(each))
