"""The oracle of a search: whether every service's smoke holds with these passes, and what it uses."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from slimbake.catalogue.model import Applied
from slimbake.docker.containers import contained
from slimbake.errors import SetupError
from slimbake.proof.trial import TIME_LIMIT, Outcome, Subject, trial, words
from slimbake.proof.trials import Kept, key

# trials at once; each starts threads of its own, so more of them are not faster on few cores
JOBS = 2


@dataclass(frozen=True, slots=True)
class Start:
    """How a service's container starts."""

    command: tuple[str, ...]  # () = it has none, or a Dockerfile of its own says it
    port: int | None


@dataclass(slots=True)
class Tally:
    """What a search has cost so far."""

    trials: int = 0
    seconds: float = 0.0  # of trials, each on its own
    questions: int = 0  # each of one trial for every service, or fewer where one fails
    known: int = 0  # answers that were kept from before


@dataclass(frozen=True, slots=True)
class Used:
    """What an image holds, and what its smoke or its command uses of it: names as passes have them."""

    held: bool
    files: tuple[tuple[str, int, str, str], ...]
    used: Mapping[str, str]  # a name -> how
    elsewhere: Mapping[str, tuple[int, str]]  # a path outside of the prefix -> bytes, how
    said: str = ""  # by a smoke that did not hold
    untraced: str = ""  # why a command could not be run with Python's audit

    @property
    def unseen(self) -> str:
        """Why a command may use more than this; "" where all was seen."""
        return "" if self.held else self.untraced or "it did not answer at its port"

    @property
    def bytes(self) -> int:
        """Of what is used below the prefix."""
        return sum(size for name, size, *_ in self.files if name in self.used)


class Oracle:
    """Trials of several subjects, kept, several at once."""

    def __init__(self, subjects: Sequence[Subject], kept: Kept, jobs: int = JOBS) -> None:
        self.subjects, self.tally, self._kept, self._jobs = tuple(subjects), Tally(), kept, jobs

    def holds(
        self, questions: Sequence[Sequence[Applied]], subjects: Sequence[Subject] = ()
    ) -> list[bool]:
        """For each of these sets of passes, whether the smokes of these subjects hold, or of all of
        them.

        Raises SetupError where the engine fails.
        """
        self.tally.questions += len(questions)
        whom = tuple(subjects or self.subjects)
        with ThreadPoolExecutor(self._jobs) as pool:
            waiting = [
                [pool.submit(self.outcome, each, tuple(passes)) for each in whom]
                for passes in questions
            ]
            try:
                return [all(each.result().held for each in trials) for trials in waiting]
            except BaseException:
                # trials that run come to their end, and are kept
                pool.shutdown(cancel_futures=True)
                raise

    def outcome(self, subject: Subject, passes: Sequence[Applied]) -> Outcome:
        """One trial, or what it said before."""
        under = key(subject.digest, passes)
        if (known := self._kept.get(under)) is not None:
            self.tally.known += 1
            return known
        started = time.monotonic()
        outcome = trial(subject, passes)
        self.tally.trials += 1
        self.tally.seconds += time.monotonic() - started
        self._kept.put(under, outcome)
        return outcome

    def traced(
        self, passes: Sequence[Applied], starts: Mapping[str, Start] | None = None
    ) -> dict[str, Used]:
        """What each smoke uses with these passes; with `starts`, what each of these commands uses."""
        which = [each for each in self.subjects if starts is None or each.service in starts]
        with ThreadPoolExecutor(self._jobs) as pool:
            used = pool.map(
                lambda each: self._traced(each, passes, starts[each.service] if starts else None),
                which,
            )
            return {each.service: found for each, found in zip(which, used, strict=True)}

    def _traced(self, subject: Subject, passes: Sequence[Applied], start: Start | None) -> Used:
        if start and not start.command:
            return Used(False, (), {}, {}, untraced="slimbake knows none that starts it")
        asked: dict[str, Any] = {"passes": [each.as_json() for each in passes]}
        if start:
            asked |= {"command": start.command, "port": start.port}
        under = key(subject.digest, passes, "trace", json.dumps(start and asdict(start)))
        if (known := self._kept.get_json(under, _used)) is not None:
            return known
        name = f"slimbake-trace-{secrets.token_hex(6)}"
        said = contained(name, words(subject, "trace"), json.dumps(asked), TIME_LIMIT)
        try:
            reported = json.loads(said.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            raise SetupError(
                f"{subject.service} could not be traced", said.stderr.strip()[-2000:]
            ) from None
        reported["said"] = "" if reported["held"] else said.stderr
        if reported["held"]:  # that something does not hold or answer may be the machine's fault
            self._kept.put_json(under, reported)
        return _used(reported)


def _used(reported: Any) -> Used:
    files = tuple(
        (name, size, package, version) for name, size, package, version in reported["files"]
    )
    elsewhere = {path: (size, how) for path, (size, how) in reported["elsewhere"].items()}
    return Used(
        reported["held"], files, reported["used"], elsewhere, reported["said"], reported["untraced"]
    )
