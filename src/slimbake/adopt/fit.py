"""Drafts that the manifest's reader takes: what it refuses goes, and is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slimbake.adopt.model import Draft, Entry, Note, Place, Rank
from slimbake.config import manifest
from slimbake.config.model import Manifest
from slimbake.config.names import PYTHONS
from slimbake.config.report import dotted_path
from slimbake.errors import ManifestError, Problem
from slimbake.host.files import apart

_RANGE = f"{PYTHONS[0]} to {PYTHONS[-1]}"
_USUAL = "3.13"  # where nothing says which: wheels of the newest may still be missing
# What an image does without: it was the compose file's, or a container's.
_MAY_GO = frozenset(
    [
        "volumes",
        "tmpfs",
        "healthcheck",
        "depends_on",
        "start",
        "expose",
        "publish",
        "env_file",
        "environment",
        "stop_signal",
        "up",
        "args",
    ]
)


def checked(file: Path, text: str) -> Manifest | tuple[Problem, ...]:
    """What the manifest's reader says of a text in the file's place."""
    with apart(file) as copy:
        copy.write_text(text, "utf-8")
        try:
            return manifest(copy)
        except ManifestError as error:
            problems = error.problems
    named: list[Problem] = []
    for problem in problems:
        name = problem.file.replace(copy.name, file.name)
        message = problem.message.replace(copy.name, file.name)
        named.append(replace(problem, file=name, message=message))
    return tuple(named)


def python_for(drafts: Iterable[Draft]) -> str:
    """The version of Python of a fleet, for services that say no other: the one that most images have
    and most projects allow; where several do, the newest usual one.
    """
    built = [draft for draft in drafts if draft.outcome != "kept"]

    def fitness(version: str) -> tuple[int, bool, int]:
        allowed = sum(all(_allows(w, version) for w in draft.wants_python) for draft in built)
        had = sum(_nearest(draft.python) == version for draft in built if draft.python)
        return allowed + had, had > 0 or _minor(version) <= _minor(_USUAL), _minor(version)

    return max(PYTHONS, key=fitness)


def _nearest(version: str) -> str:
    """The version that slimbake has next to one."""
    return min(PYTHONS, key=lambda known: abs(_minor(known) - _minor(version)))


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def _allows(requirement: str, version: str) -> bool:
    """Whether a requirement on Python's version, also as Poetry writes it, allows one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    plain: list[str] = []
    for part in requirement.split(","):
        bound = re.sub(r"^~(?=\d)", "~=", part.strip())
        plain.append(re.sub(r"^\^(\d+)\.(\S*)$", r">=\1.\2,<4", bound))
    try:
        return f"{version}.99" in SpecifierSet(",".join(plain))
    except InvalidSpecifier:
        return True


def with_python(drafts: Iterable[Draft], fleet: str) -> list[Draft]:
    """The drafts, each with the Python of its image; of one whose image says none, with that of the
    fleet. Where slimbake has it not, or the project refuses it, with the nearest one that serves,
    and a note. Without such a one a draft keeps its Dockerfile.
    """
    result = []
    for draft in drafts:
        version = _version(draft, draft.python or fleet)
        if draft.outcome == "kept":
            result.append(draft)
        elif not version:
            what = f"its project wants Python {draft.wants_python[0]}, and slimbake has {_RANGE}"
            result.append(kept(draft, Note("other", draft.origin[-1], what)))
        else:
            notes = draft.notes
            if version != (draft.python or version):
                what = f"Python {version} in place of its image's {draft.python}"
                advice = "`slimbake lock` and the start check tell whether it works"
                notes = (*notes, Note("breaks", draft.origin[-1], what, advice))
            own = {"python": version} if version != fleet else {}
            result.append(replace(draft, entry={**own, **draft.entry}, notes=notes))
    return result


def _version(draft: Draft, wanted: str) -> str:
    """The version nearest to one that the projects of a draft allow; "" where they allow none."""
    allowed = [v for v in PYTHONS if all(_allows(each, v) for each in draft.wants_python)]
    return min(allowed, key=lambda v: abs(_minor(v) - _minor(wanted)), default="")


def kept(draft: Draft, why: Note) -> Draft:
    """The same service with its Dockerfile."""
    return replace(draft, outcome="kept", entry=draft.kept, why=(why,), notes=draft.kept_notes)


def fitting(
    file: Path, drafts: Sequence[Draft], text: Callable[[Sequence[Draft]], str]
) -> tuple[list[Draft], list[Note]]:
    """The drafts that the manifest's reader takes, and notes on those that nothing saves. `text`: the
    manifest with these drafts.
    """
    by_name = {draft.name: draft for draft in drafts}
    lost: list[Note] = []
    while True:
        current = list(by_name.values())
        problems = checked(file, text(current))
        faults = _faults(file, current, problems, text) if isinstance(problems, tuple) else []
        if not faults:
            return current, lost
        replaced: set[str] = set()
        for name, problem in faults:
            if name in replaced:  # the problem is about the entry before
                continue
            before = by_name[name]
            corrected = _corrected(before, problem)
            if corrected is None:
                del by_name[name]
                lost.append(_note("breaks", before, problem))
            else:
                by_name[name] = corrected
            if corrected is None or corrected.outcome != before.outcome:
                replaced.add(name)


def _faults(
    file: Path,
    drafts: Sequence[Draft],
    problems: Sequence[Problem],
    text: Callable[[Sequence[Draft]], str],
) -> list[tuple[str, Problem]]:
    """Problems, each with the service that it is about."""
    names = {draft.name for draft in drafts}
    faults: list[tuple[str, Problem]] = []
    for problem in problems:
        if problem.keys[:1] == ("services",) and problem.keys[1:2]:
            name = str(problem.keys[1])
            if name in names:
                faults.append((name, problem))
    if faults:
        return faults
    # They are about files that several services may read: each alone shows whose they are.
    for draft in drafts:
        entry = dict(draft.entry)
        for key in ("depends_on", "contexts"):  # which name other services
            entry.pop(key, None)
        alone = checked(file, text([replace(draft, entry=entry)]))
        if isinstance(alone, tuple):
            faults.append((draft.name, alone[0]))
    if faults:
        return faults
    return [(draft.name, problems[0]) for draft in drafts if draft.outcome != "kept"]


def _corrected(draft: Draft, problem: Problem) -> Draft | None:
    """A draft without what is refused; None where that is the service itself."""
    keys: list[str | int] = [*problem.keys[2:], "", ""]
    key, inner = keys[:2]
    may_go = key in _MAY_GO
    if draft.outcome == "kept":
        may_go = key not in ("context", "dockerfile")
    if key not in draft.entry or not may_go:
        if draft.outcome == "kept":
            return None
        return kept(draft, _note("other", draft, problem))
    entry: Entry = dict(draft.entry)
    value = entry.pop(str(key))
    rest: dict[str, Any] | list[Any] = {}
    if isinstance(value, dict) and inner in value:
        rest = dict(value)
        del rest[str(inner)]
    elif isinstance(value, list) and isinstance(inner, int):
        rest = value[:inner] + value[inner + 1 :]
    if rest:
        entry[str(key)] = rest
    return replace(draft, entry=entry, notes=(*draft.notes, _note("lost", draft, problem)))


def _note(rank: Rank, draft: Draft, problem: Problem) -> Note:
    """A note on what the manifest's reader says: of a file with its line, of an entry with its key."""
    place, what = draft.origin[-1], problem.message
    if not problem.path:
        place = Place(problem.file, problem.line)
    elif len(problem.keys) > 2:
        what = f"{dotted_path(problem.keys[2:])}: {what}"
    return Note(rank, place, what, " ".join(problem.hint.split("\n")))
