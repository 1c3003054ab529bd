"""The smallest set of packages' files that a search found to work for each service: kept for
`slimbake limits`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from slimbake.project import Project

SMALLEST = "smallest"  # in the workspace


def keep(project: Project, service: str, size: int) -> None:
    """Keep what stays below the prefix, in bytes, after a search of one service; the least of all
    its searches.
    """
    if key := _keys(project).get(service):
        found = {
            name: (k, held)
            for name, (k, held) in _read(project).items()
            if name != service or k == key
        }
        least = min(size, found.get(service, (key, size))[1])
        project.workspace.write(SMALLEST, {**found, service: (key, least)})


def smallest(project: Project) -> dict[str, int]:
    """Bytes below the prefix by service, of those whose packages and checks are still what was
    searched.
    """
    keys = _keys(project)
    return {name: size for name, (key, size) in _read(project).items() if keys.get(name) == key}


def _keys(project: Project) -> Mapping[str, str]:
    """Of each service that is checked and has packages: changes with them and with its checks."""
    reported: dict[str, list[str]] = {}
    for answer in project.evidence.answers:
        question = answer.question
        for service, check in question.checks.items():
            reported.setdefault(service, []).extend((question.layer, question.inputs, check))
    return {
        name: hashlib.sha256("\0".join(parts).encode()).hexdigest()
        for name, parts in reported.items()
    }


def _read(project: Project) -> dict[str, tuple[str, int]]:
    def parse(said: Any) -> dict[str, tuple[str, int]]:
        return {str(name): (str(key), int(size)) for name, (key, size) in said.items()}

    return project.workspace.read(SMALLEST, parse) or {}
