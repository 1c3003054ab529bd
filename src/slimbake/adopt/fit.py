"""Drafts that the manifest's reader takes: what it refuses goes, and is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from slimbake.adopt.files import python_of
from slimbake.adopt.model import Draft, Entry, Note, Place, Rank
from slimbake.config import manifest
from slimbake.config.names import PYTHONS
from slimbake.config.report import dotted_path
from slimbake.errors import ManifestError, Problem

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


def problems_of(file: Path, text: str) -> tuple[Problem, ...]:
    """What the manifest's reader finds wrong with a text in the file's place."""
    try:
        manifest(file, text)
    except ManifestError as error:
        return error.problems
    return ()


def python_for(drafts: Iterable[Draft]) -> str:
    """The version of Python of a fleet, for services that say no other: the one that most images have
    and most projects allow; where several do, the newest usual one.
    """
    built = [draft for draft in drafts if draft.outcome != "kept"]

    def fitness(version: str) -> tuple[int, bool, int]:
        votes = 0
        is_usual = _minor(version) <= _minor(_USUAL)
        for draft in built:
            if _allows(draft, version):
                votes += 1
            if draft.python and _nearest(draft.python, PYTHONS) == version:
                votes += 1
                is_usual = True
        return votes, is_usual, _minor(version)

    return max(PYTHONS, key=fitness)


def _nearest(version: str, versions: Iterable[str]) -> str:
    """The one of some versions that is next to a version; "" where there are none."""
    return min(versions, key=lambda other: abs(_minor(other) - _minor(version)), default="")


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def _allows(draft: Draft, version: str) -> bool:
    """Whether all projects of a service allow a version of Python."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for requirement in draft.wants_python:
        plain: list[str] = []
        for part in requirement.split(","):  # Poetry has signs of its own
            bound = re.sub(r"^~(?=\d)", "~=", part.strip())
            plain.append(re.sub(r"^\^(\d+)\.(\S*)$", r">=\1.\2,<4", bound))
        try:
            if f"{version}.99" not in SpecifierSet(",".join(plain)):
                return False
        except InvalidSpecifier:
            continue
    return True


def with_python(drafts: Iterable[Draft], fleet: str) -> list[Draft]:
    """The drafts, each with the Python of its image; of one whose image says none, with that of the
    fleet. Where slimbake does not have it, or the project refuses it, with the nearest one that
    serves, and a note. Without such a one a draft keeps its Dockerfile.
    """
    result: list[Draft] = []
    for draft in drafts:
        if draft.outcome == "kept":
            result.append(draft)
            continue
        version = _nearest(draft.python or fleet, [v for v in PYTHONS if _allows(draft, v)])
        if not version:
            what = f"its project wants Python {draft.wants_python[0]}, and slimbake has {_RANGE}"
            result.append(kept(draft, Note("other", draft.origin[-1], what)))
            continue
        if draft.python and version != draft.python:
            what = f"Python {version} in place of its image's {draft.python}"
            advice = "`slimbake lock` and the start check tell whether it works"
            note = Note("breaks", draft.origin[-1], what, advice)
            draft = replace(draft, notes=(*draft.notes, note))
        image = draft.entry.get("from", "")
        if python_of(image) not in (None, "", version):
            # Only the tag says the version: a host may have such a number in its name.
            name, _, tag = image.partition("@")[0].rpartition(":")
            image = f"{name}:{re.sub(r'3[.][0-9]+([.][0-9]+)?', version, tag, count=1)}"
            draft = replace(draft, entry={**draft.entry, "from": image})
        if version != fleet:
            draft = replace(draft, entry={"python": version, **draft.entry})
        result.append(draft)
    return result


def kept(draft: Draft, why: Note) -> Draft:
    """The same service with its Dockerfile."""
    return replace(draft, outcome="kept", entry=draft.kept, why=(why,), notes=draft.kept_notes)


def fitting(
    file: Path, drafts: Sequence[Draft], text: Callable[[Sequence[Draft]], str]
) -> tuple[list[Draft], list[Note]]:
    """The drafts that the manifest's reader takes, and a note on each that no correction makes valid.
    `file`: the manifest's path; `text`: gives the manifest that has certain drafts. Each turn corrects
    or drops what has a fault, until there is none.
    """
    by_name = {draft.name: draft for draft in drafts}
    lost: list[Note] = []
    while True:
        current = list(by_name.values())
        faults = _faults(file, current, text)
        if not faults:
            return current, lost
        replaced: set[str] = set()
        corrected_parts: set[tuple[str | int, ...]] = set()
        for name, problem in faults:
            # The keys are ("services", name, key, key or number, ...).
            part = (name, *problem.keys[2:4])
            if isinstance(part[-1], int):
                # Once an item of a list is gone, the numbers of the others are wrong.
                part = part[:-1]
            if name in replaced or part in corrected_parts:
                # The fault may be in what was replaced: the next turn finds it if it is still there.
                continue
            corrected_parts.add(part)
            before = by_name[name]
            corrected = _corrected(before, problem)
            if corrected is None:
                del by_name[name]
                lost.append(_note("breaks", before, problem))
                replaced.add(name)
                continue
            by_name[name] = corrected
            if corrected.outcome != before.outcome:
                replaced.add(name)


def _faults(
    file: Path, drafts: Sequence[Draft], text: Callable[[Sequence[Draft]], str]
) -> list[tuple[str, Problem]]:
    """The problems of a manifest with these drafts, each with the service that it is about."""
    problems = problems_of(file, text(drafts))
    names = {draft.name for draft in drafts}
    faults: list[tuple[str, Problem]] = []
    for problem in problems:
        section, name, *_ = (*problem.keys, "", "")
        if section == "services" and name in names:
            faults.append((str(name), problem))
    if faults or not problems:
        return faults
    # They are about files that several services may read: each alone shows whose they are.
    for draft in drafts:
        entry = dict(draft.entry)
        for key in ("depends_on", "contexts"):  # which name other services
            entry.pop(key, None)
        for problem in problems_of(file, text([replace(draft, entry=entry)]))[:1]:
            faults.append((draft.name, problem))
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
    # Only the faulty item of a mapping or a list goes.
    value = entry.pop(str(key))
    if isinstance(value, dict) and inner in value:
        value = {name: item for name, item in value.items() if name != inner}
    elif isinstance(value, list) and isinstance(inner, int):
        value = value[:inner] + value[inner + 1 :]
    else:
        value = None
    if value:
        entry[str(key)] = value
    return replace(draft, entry=entry, notes=(*draft.notes, _note("lost", draft, problem)))


def _note(rank: Rank, draft: Draft, problem: Problem) -> Note:
    """A note on what the manifest's reader says: of a file with its line, of an entry with its key."""
    place, what = draft.origin[-1], problem.message
    if not problem.keys:
        place = Place(problem.file, problem.line)
    elif len(problem.keys) > 2:
        what = f"{dotted_path(problem.keys[2:])}: {what}"
    return Note(rank, place, what, " ".join(problem.hint.split("\n")))
