"""Outcomes of trials by what was tried: a prove or a search that was interrupted goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from slimbake.catalogue.model import Applied
from slimbake.host.workspace import Workspace
from slimbake.proof.trial import Outcome

T = TypeVar("T")

SCARCE = ("time", "memory")  # levels at which the machine may be to blame


def key(subject: str, passes: Sequence[Applied], *more: str) -> str:
    """Of a trial: the same subject (its digest), passes that do the same, and whatever else there
    is about it.
    """
    does = [each.as_json() | {"name": ""} for each in passes]
    return hashlib.sha256(json.dumps([subject, does, more], sort_keys=True).encode()).hexdigest()


class Kept:
    """A folder of the workspace with answers. What is kept never ages: its key holds all that it
    depends on.
    """

    def __init__(self, workspace: Workspace, folder: str) -> None:
        self._workspace, self._folder = workspace, folder

    def get(self, key: str) -> Outcome | None:
        """What came of a trial; None where it was never run to its end."""
        return self.get_json(key, lambda said: Outcome(**said))

    def put(self, key: str, outcome: Outcome) -> None:
        """Keep what came of a trial, but for one that ran out of time or memory: that may be the
        machine's fault.
        """
        if outcome.level not in SCARCE:
            self.put_json(key, outcome.as_json())

    def get_json(self, key: str, parse: Callable[[Any], T]) -> T | None:
        """Any other answer; None where there is none. `parse`: as for a workspace."""
        return self._workspace.read(self._name(key), parse)

    def put_json(self, key: str, answer: Any) -> None:
        """Keep any other answer."""
        self._workspace.write(self._name(key), answer)

    def _name(self, key: str) -> str:
        return f"{self._folder}/{key[:2]}/{key}"
