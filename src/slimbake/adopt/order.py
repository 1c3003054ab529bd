"""The order in which the services of a new manifest start, as their compose file has it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from slimbake.adopt.model import Draft, Note
from slimbake.config.model import ENDED, HEALTHY, STARTED
from slimbake.errors import Problem

_AT = re.compile(r"services\.([\w-]+)\.depends_on(?:\[(\d+)\]|\.([\w-]+))?(\.condition)?")


def before(said: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """What a compose service depends on, of those that become services of the manifest. `names`:
    what each is called there.
    """
    known = (STARTED, HEALTHY, ENDED)
    return {names[each]: how if how in known else "" for each, how in said.items() if each in names}


def ordered(
    drafts: Iterable[Draft], problems: Callable[[Sequence[Draft]], Iterable[Problem]]
) -> list[Draft]:
    """The drafts with what each depends on, as far as the manifest's reader takes it, and a note on
    the rest. `problems`: what the reader says of drafts.
    """
    drafts = [*drafts]
    lost = {each.name: each.command for each in drafts if "dockerfile" in each.entry}
    made = [_depending(each, each.before) for each in (_ending(each, lost) for each in drafts)]
    while faulty := _faulty(problems(made)):
        made = [_without(each, faulty[each.name]) if each.name in faulty else each for each in made]
    by_name = {each.name: each for each in made}
    return [_checked_alone(each, by_name) for each in made]


def _checked_alone(draft: Draft, by_name: Mapping[str, Draft]) -> Draft:
    """The draft with a note on the services of the manifest for whose health it waits, and that its
    start check does not start.

    init does not write `start` for it: a bake of this service alone would fail as long as the
    others have no image, and so would one of all where a health check asks for more than a start
    check has.
    """
    start = draft.entry.get("start", {})
    named = [name for name, how in draft.before.items() if how == HEALTHY and name in by_name]
    entries = {name: by_name[name].entry for name in named}
    runs = [name for name, e in entries.items() if e.get("start") != "none" and e.get("up", True)]
    if not runs or not isinstance(start, dict):
        return draft
    beside = ", ".join((*start.get("with", ()), *runs))
    advice = (
        f"its start check runs without: if it fails then, `start: {{with: [{beside}]}}` starts"
        f" {'it' if len(runs) == 1 else 'them'} first"
    )
    what = f"it waits for the health of {' and '.join(runs)}"
    return replace(draft, notes=(*draft.notes, Note(draft.origin[0], what, advice, draft.name)))


def lonely(draft: Draft, ready: Collection[str], drafts: Iterable[Draft]) -> Draft:
    """A job with a note on the ready-made services that it depends on and `slimbake up` does not
    start for it: neither its `start` nor that of what it depends on names them.
    """
    by_name = {each.name: each for each in drafts}
    found, waiting = set[str](), [draft.name]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += by_name[name].before if name in by_name else ()
    starts = [by_name[name].entry.get("start") for name in found if name in by_name]
    named = {one for each in starts if isinstance(each, dict) for one in each.get("with", ())}
    if draft.entry.get("start") != "none" or not (left := [e for e in ready if e not in named]):
        return draft
    advice = (
        f"`start: {{with: [{', '.join(left)}]}}` in place of `none` has `slimbake up` start"
        f" {'it' if len(left) == 1 else 'them'}, and each bake run the job beside fresh ones"
    )
    note = Note(draft.origin[0], f"depends_on: {', '.join(left)}", advice, draft.name)
    return replace(draft, notes=(*draft.notes, note))


def _ending(draft: Draft, lost: Mapping[str, str]) -> Draft:
    """The draft, waiting for the end of no job that would run another command than its compose
    file has. `lost`: service -> the command that its image does not have.
    """
    said, notes = dict(draft.before), list(draft.notes)
    for name in [name for name, how in said.items() if how == ENDED and lost.get(name)]:
        del said[name]
        what = f"it waits until {name} has ended, and its image does not run `{lost[name]}`"
        advice = f"write that command into the Dockerfile of {name}, then `depends_on` here"
        notes.append(Note(draft.origin[0], what, advice, draft.name))
    return replace(draft, before=said, notes=tuple(notes))


def _depending(draft: Draft, said: Mapping[str, str]) -> Draft:
    """The draft with `depends_on`: a list where the compose file has one."""
    entry = {key: value for key, value in draft.entry.items() if key != "depends_on"}
    value: Any = [*said]
    if any(said.values()):
        value = {name: {"condition": how or STARTED} for name, how in said.items()}
    return replace(draft, before=said, entry={**entry, "depends_on": value} if said else entry)


def _faulty(problems: Iterable[Problem]) -> dict[str, list[tuple[re.Match[str], Problem]]]:
    found: dict[str, list[tuple[re.Match[str], Problem]]] = {}
    for each in problems:
        if at := _AT.match(each.path):
            found.setdefault(at[1], []).append((at, each))
    return found


def _without(draft: Draft, faulty: Iterable[tuple[re.Match[str], Problem]]) -> Draft:
    """The draft without what the reader refuses; of a condition alone, with the weakest."""
    said, notes = dict(draft.before), list(draft.notes)
    for at, problem in faulty:
        names = [at[3] or [*draft.before][int(at[2])]] if at[3] or at[2] else [*draft.before]
        for name in names:
            if at[4]:
                said[name] = STARTED
            else:
                said.pop(name, None)
        what = f"it depends on {', '.join(names)}: {problem.message}"
        notes.append(Note(draft.origin[0], what, problem.hint or "remove it there", draft.name))
    return _depending(replace(draft, notes=tuple(notes)), said)
