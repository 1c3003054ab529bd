"""Drafts that the manifest's reader takes: what it refuses goes, and is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from slimbake.adopt.model import Draft, Entry, Note, Place, Rank
from slimbake.config import manifest
from slimbake.config.model import Manifest
from slimbake.config.names import PYTHONS
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
_KEY = re.compile(
    r'services\.(?:"([^"]+)"|([\w-]+))(?:\.(\w+))?(?:\."?([^"\[\]]+?)"?(?:\[\d+\].*)?$|\[(\d+)\])?'
)


def checked(file: Path, text: str) -> Manifest | tuple[Problem, ...]:
    """What the manifest's reader says of a text in the file's place."""
    with apart(file) as copy:
        copy.write_text(text, "utf-8")
        try:
            return manifest(copy)
        except ManifestError as error:
            return tuple(
                replace(
                    problem,
                    file=problem.file.replace(copy.name, file.name),
                    message=problem.message.replace(copy.name, file.name),
                )
                for problem in error.problems
            )


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

    parts = [part.strip() for part in requirement.split(",")]
    plain = [
        re.sub(r"^\^(\d+)\.(\S*)$", r">=\1.\2,<4", re.sub(r"^~(?=\d)", "~=", p)) for p in parts
    ]
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
    """The drafts that the manifest's reader takes, and notes on those that nothing saves."""
    drafts, lost = list(drafts), list[Note]()
    while not isinstance(problems := checked(file, text(drafts)), Manifest):
        by_name = {draft.name: draft for draft in drafts}
        ours = [(problem, at) for problem in problems if (at := _key(problem, by_name))]
        if not ours:  # it is about files that several may read: each alone shows whose they are
            ours = [
                (problem, (draft.name, "", ""))
                for draft in drafts
                for alone in [checked(file, text([_without_others(draft)]))]
                if isinstance(alone, tuple)
                for problem in alone[:1]
            ] or [
                (problems[0], (draft.name, "", "")) for draft in drafts if draft.outcome != "kept"
            ]
        if not ours:
            break
        for problem, (name, key, inner) in ours:
            if (before := by_name.get(name)) is None:
                continue
            after = _corrected(before, problem, key, inner)
            if after is None:
                del by_name[name]
                lost.append(_note("breaks", before, problem))
            else:
                by_name[name] = after
            if after is None or after.outcome != before.outcome:
                ours = [(p, k) for p, k in ours if k[0] != name]
        drafts = list(by_name.values())
    return drafts, lost


def _without_others(draft: Draft) -> Draft:
    """A draft alone in a manifest: it names no others."""
    rest = {key: v for key, v in draft.entry.items() if key not in ("depends_on", "contexts")}
    return replace(draft, entry=rest)


def _corrected(draft: Draft, problem: Problem, key: str, inner: str) -> Draft | None:
    """A draft without what is refused; None where that is the service itself."""
    entry: Entry = dict(draft.entry)
    if key in entry and (key in _MAY_GO or (draft.outcome == "kept" and key not in _OWN)):
        value = entry[key]
        if isinstance(value, dict) and inner in value and len(value) > 1:
            entry[key] = {name: item for name, item in value.items() if name != inner}
        elif isinstance(value, list) and inner.isdecimal() and int(inner) < len(value) > 1:
            entry[key] = [item for number, item in enumerate(value) if number != int(inner)]
        else:
            del entry[key]
        note = _note("lost", draft, problem)
        return replace(draft, entry=entry, notes=(*draft.notes, note))
    if draft.outcome != "kept":
        return kept(draft, _note("other", draft, problem))
    return None


_OWN = ("context", "dockerfile")


def _note(rank: Rank, draft: Draft, problem: Problem) -> Note:
    at = Place(problem.file, problem.line) if not problem.path else draft.origin[-1]
    subject = f"{problem.path.split('.', 2)[-1]}: " if problem.path.count(".") > 1 else ""
    advice = " ".join(problem.hint.split("\n"))
    return Note(
        rank,
        at,
        f"{subject}{problem.message}",
        advice,
    )


def _key(problem: Problem, by_name: dict[str, Draft]) -> tuple[str, str, str] | None:
    """The service, the key and the item in it that a problem is about."""
    match = _KEY.match(problem.path)
    name = (match[1] or match[2]) if match else ""
    if not match or name not in by_name:
        return None
    return name, match[3] or "", match[4] or match[5] or ""
