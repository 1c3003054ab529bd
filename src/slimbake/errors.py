"""Every failure that slimbake expects, as data; the CLI prints them and turns each into its exit
code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

MANIFEST = 2
NOTHING_SELECTED = 3
STALE = 4
BUILD_FAILED = 5
CHECK_FAILED = 6
SETUP = 7
INTERRUPTED = 130

SHOWN = 50  # problems of a manifest


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in one place: `file:line:column: key.path: message`, then how to fix it.

    `line` and `column` count from 1; 0 means that the fault belongs to the file as a whole. `path`
    is for people; `keys` is the same as values.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    keys: tuple[str | int, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        subject = f"{self.path}: " if self.path else ""
        hint = "".join(f"\n  {line}" for line in self.hint.splitlines())
        return f"{place}: {subject}{self.message}{hint}"


def first_of(problems: Sequence[Problem], kind: str) -> list[str]:
    """Problems as texts: of many the first ones, and how many more there are of that kind."""
    texts = [str(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        texts.append(f"and {len(problems) - SHOWN:,} more {kind}")
    return texts


@dataclass(eq=False)
class SlimbakeError(Exception):
    """A failure that is no bug: what happened, and what to do about it."""

    message: str
    hint: str = ""
    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class ManifestError(SlimbakeError):
    """The manifest, or a file that it names, is wrong."""

    problems: tuple[Problem, ...] = ()

    exit_code = MANIFEST

    def lines(self) -> list[str]:
        """The problems as `first_of` shows them."""
        return first_of(self.problems, "problems")

    @classmethod
    def of(cls, file: str, problems: Sequence[Problem]) -> ManifestError:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        ordered = sorted(
            problems,
            key=lambda problem: (problem.file != file, problem.file, problem.line, problem.column),
        )
        return cls(f"{count} in {file}", problems=tuple(ordered))


class UsageError(SlimbakeError):
    """The command line asks for something that does not exist."""

    exit_code = MANIFEST


class NothingSelected(SlimbakeError):
    """No service was selected."""

    exit_code = NOTHING_SELECTED


class StaleFiles(SlimbakeError):
    """Generated files or locks are out of date."""

    exit_code = STALE


class BuildError(SlimbakeError):
    """A target did not build."""

    exit_code = BUILD_FAILED


class CheckError(SlimbakeError):
    """A check or a budget failed."""

    exit_code = CHECK_FAILED


def together(failures: Sequence[SlimbakeError], hint: str = "") -> BuildError | CheckError:
    """One error of all that failed, each with what to do about it; a build that fails weighs more
    than a check.
    """
    if len(failures) == 1 and not hint and isinstance(failures[0], BuildError | CheckError):
        return failures[0]
    only_checks = all(isinstance(error, CheckError) for error in failures)
    parts = (part for failure in failures for part in (failure.message, _indented(failure.hint)))
    return (CheckError if only_checks else BuildError)("\n".join(filter(None, parts)), hint)


def _indented(hint: str) -> str:
    return "\n".join(f"  {line}" for line in hint.splitlines())


class SetupError(SlimbakeError):
    """Docker, buildx, uv, an external or the network is missing or too old."""

    exit_code = SETUP


class DockerError(SetupError):
    """Docker did not do what it was asked: perhaps there is no engine that could."""
