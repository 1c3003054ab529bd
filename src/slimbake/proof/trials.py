"""Runs trials: as many at once as the machine bears, none twice that was answered, with a word
about each.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from slimbake.catalogue.model import Applied
from slimbake.console import Console
from slimbake.host.typed import typed
from slimbake.host.workspace import Workspace
from slimbake.proof.ablation import Passes, Tried
from slimbake.proof.trial import MEMORY, Outcome, Subject, most_memory, trial, workers

MOST_COMPILED = 0.05  # of the sources of packages that a smoke imports, by bytes, without bytecode


class Trials:
    """The checks of all services on a layer, asked of sets of passes."""

    def __init__(self, subjects: Sequence[Subject], kept: Kept, console: Console) -> None:
        self._subjects, self._kept, self._console = tuple(subjects), kept, console

    def __call__(
        self, sets: Sequence[tuple[str, Passes]], held_out: bool = False
    ) -> tuple[Tried, ...]:
        """Try each set with every subject, until one fails. `held_out`: with their verifies, too.

        What ran out of time or memory is tried once more, alone on the machine and with more of its
        memory.
        """
        jobs = [(name, (name, passes, held_out)) for name, passes in sets]
        with self._console.tracked("trials") as work:
            found = work.each(lambda job: self._tried(*job), jobs, workers())
        return tuple(
            (
                self._tried(f"{name}, by itself", passes, held_out, most_memory())
                if tried.level in SCARCE
                else tried
            )
            for (name, passes), tried in zip(sets, found, strict=True)
        )

    def _tried(self, name: str, passes: Passes, held_out: bool, memory: int = MEMORY) -> Tried:
        started = time.monotonic()
        for subject in self._subjects:
            outcome = self.outcome(subject, passes, held_out, memory)
            if not outcome.held:
                self._console.say(
                    f"{name}: {subject.service} failed at {outcome.level}"
                    f" ({time.monotonic() - started:.1f} s)"
                )
                return Tried(subject.service, outcome.level, outcome.error)
            # All of them make a start twice as slow (evidence.md); half of the tenth that one may
            # be slower.
            if outcome.compiled > MOST_COMPILED:
                words = (
                    f"{outcome.compiled:.0%} of what it imports has no bytecode: a start is so much"
                    " slower"
                )
                self._console.say(
                    f"{name}: {subject.service} starts slowly ({time.monotonic() - started:.1f} s)"
                )
                return Tried(subject.service, "startup", words)
        self._console.say(f"{name}: passed ({time.monotonic() - started:.1f} s)")
        return Tried()

    def outcome(
        self, subject: Subject, passes: Passes, held_out: bool, memory: int = MEMORY
    ) -> Outcome:
        """One trial, or what is kept of it."""
        name = key(subject.digest, passes, *([subject.verify] if held_out else []))
        known = self._kept.get(name)
        if known is None:
            known = trial(subject, passes, held_out=held_out, memory=memory)
            self._kept.put(name, known)
        return known


T = TypeVar("T")

SCARCE = ("time", "memory")  # levels at which the machine may be to blame


def key(subject: str, passes: Sequence[Applied], *more: str) -> str:
    """Of a trial: the same subject (its digest), passes that do the same, and all else that there
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
        return self.get_json(key, lambda said: typed(Outcome, said))

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
