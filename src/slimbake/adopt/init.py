"""`slimbake init`: from a repository as it is to a manifest that bakes.

It writes the manifest alone, whole or not at all, and changes no other file.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake.adopt.fit import fitting, python_for, with_python
from slimbake.adopt.insertion import insert, write_text
from slimbake.adopt.model import RANKS, Draft, Note, Place
from slimbake.adopt.services import adoption
from slimbake.adopt.survey import survey
from slimbake.adopt.writer import SCHEMA_LINE, manifest_text, service_lines
from slimbake.config import manifest
from slimbake.config.files import yaml_text
from slimbake.console import Console
from slimbake.console.tables import counted, text_table
from slimbake.errors import UsageError
from slimbake.host.files import write_atomically

_SHOWN = 15  # notes of a rank


@dataclass(frozen=True, slots=True)
class InitRequest:
    """What `slimbake init` is asked for."""

    compose: tuple[str, ...] = ()  # in place of those that it finds
    service: str = ""  # the only one that is wanted
    dry_run: bool = False  # the manifest is printed, and nothing written
    platform: str = ""  # the engine's; "" where none answers


@dataclass(frozen=True, slots=True)
class Started:
    """What `init` decided: the text of the manifest, and what to tell."""

    text: str
    drafts: tuple[Draft, ...]
    notes: tuple[Note, ...]
    left: tuple[str, ...] = ()  # services that stay in the compose file


def init(file: Path, request: InitRequest, console: Console) -> list[str]:
    """Write the manifest of a repository, or one more service into the one that is there; the lines
    that say what became of it.

    Raises UsageError where there is nothing to adopt, ManifestError where the manifest that is
    there is wrong.
    """
    file = file.parent.resolve() / file.name
    decided = start(file, request)
    if file.exists():
        return _further(file, decided, request, console)
    if request.dry_run:
        return [*decided.text.splitlines(), "", *report(decided)]
    write_atomically(file, decided.text.encode())
    console.say(f"wrote {file.name}")
    return [*report(decided), *_next_steps(file)]


def _next_steps(file: Path) -> list[str]:
    about_others = (warning for warning in manifest(file).warnings if warning.file != file.name)
    return [
        *(f"warning: {note}" for note in about_others),
        "",
        "next:",
        "  slimbake bake   locks, builds, checks and tags every image",
        "  slimbake up     starts them, with ports on 127.0.0.1 alone",
        f"  then commit {file.name}, docker-bake.hcl and bake/",
    ]


def start(file: Path, request: InitRequest) -> Started:
    """Decide the manifest of a repository; of one that has one, for its Python. Nothing is written.

    Raises UsageError where nothing in it can become a service.
    """
    repository = survey(file.parent.resolve())
    files = tuple(map(posixpath.normpath, request.compose))
    for path in files:
        if not repository.is_file(path):
            raise UsageError(f"{path} is not there", "name a compose file of the repository")
    adopted = adoption(repository, files, request.service)
    if not adopted.drafts:
        raise UsageError(*_nothing(request, adopted.notes))
    python = manifest(file).python if file.exists() else python_for(adopted.drafts)
    drafts = with_python(adopted.drafts, python)

    def text(drafts: Sequence[Draft]) -> str:
        return manifest_text(adopted.project, python, drafts, request.platform)

    drafts, lost = fitting(file, drafts, text)
    notes = [*adopted.notes, *lost, *(n for draft in drafts for n in draft.notes)]
    return Started(text(drafts), tuple(drafts), tuple(dict.fromkeys(notes)), adopted.left)


def _nothing(request: InitRequest, notes: Sequence[Note]) -> tuple[str, str]:
    if request.service:
        return (
            f"there is no service '{request.service}' here",
            "`slimbake init --dry-run` lists those that it finds",
        )
    listed = "".join(f"\n{note}" for note in notes)
    return (
        "nothing here says how a service is built: no compose file that builds one, no Dockerfile"
        + listed,
        "to begin with an empty fleet, write these lines into services.yaml, then run"
        " `slimbake add NAME`:\n"
        f'{SCHEMA_LINE}\nproject: mine\npython: "3.13"\nservices: {{}}',
    )


_KEPT_ALONE = (
    "slimbake bakes these Dockerfiles as they are, side by side, starts and checks what they make, and"
    " tags it only then.",
    "It shares no layers of packages between them, and makes no image smaller.",
)


def _further(file: Path, decided: Started, request: InitRequest, console: Console) -> list[str]:
    """With a manifest that is there: what it lacks, or the one service that is wanted."""
    existing = {service.name for service in manifest(file).services}
    lacking = [draft for draft in decided.drafts if draft.name not in existing]
    if not request.service:
        lines = [f"{file.name} exists already, and `init` does not change it"]
        for draft in lacking:
            advice = f"`slimbake init --service {draft.name}`"
            lines.append(f"it lacks {draft.name} ({draft.origin[0]}): {advice}")
        if not lacking:
            lines.append("every service found here is in it; `slimbake add NAME` adds a new one")
        return lines
    if not lacking:
        return [f"services.{request.service} is in {file.name} already: edit that entry"]
    old = yaml_text(file)

    def text(drafts: Sequence[Draft]) -> str:
        new = old
        for draft in drafts:
            new = insert(new, draft.name, draft.entry, file.name)
        return new

    drafts, lost = fitting(file, lacking, text)
    if not drafts:
        hint = "\n".join(map(str, lost))
        raise UsageError(f"the service '{request.service}' cannot be added", hint)
    [draft] = drafts
    if request.dry_run:
        return service_lines(draft)
    write_text(file, text(drafts))
    console.say(f"wrote {file.name}")
    return [
        f"services.{draft.name} is in {file.name}",
        *_ranked([*decided.notes, *draft.notes]),
        "next:",
        f"  slimbake bake {draft.name}   builds and checks it",
    ]


def report(decided: Started) -> list[str]:
    """What became of each service, in a line; what keeps Dockerfiles; and the notes by their rank."""
    rows: list[tuple[str, str, str]] = []
    for draft in decided.drafts:
        why = str(draft.origin[0])
        if draft.why:
            why = f"{draft.why[0].place}: {draft.why[0].what}"
        if len(draft.why) > 1:
            why += f", and {len(draft.why) - 1} more"
        rows.append((draft.name, draft.outcome, why))
    lines = text_table(("service", "becomes", "from, or why"), rows, left=3).splitlines()
    count = Counter(draft.outcome for draft in decided.drafts)
    lines += ["", ", ".join(f"{number} {outcome}" for outcome, number in count.items())]
    if decided.left:
        lines.append(f"ready-made, stay in the compose file: {', '.join(decided.left)}")
    if set(count) == {"kept"}:
        lines += _KEPT_ALONE
    return [*lines, *_keeping(decided.drafts), *_ranked(decided.notes)]


def _keeping(drafts: Sequence[Draft]) -> Iterator[str]:
    """All that keeps the Dockerfiles of services: first those that the fewest lines keep."""
    names: dict[tuple[Note, ...], list[str]] = {}
    for draft in drafts:
        if any(note.advice for note in draft.why):
            names.setdefault(draft.why, []).append(draft.name)
    if names:
        yield from (
            "",
            "what keeps a Dockerfile; without all of a service's lines slimbake builds it:",
        )
    for notes in sorted(names, key=len):
        yield f"  {', '.join(names[notes])}:"
        for note in notes[:_SHOWN]:
            yield from (f"    {line}" for line in str(note).split("\n"))
        if len(notes) > _SHOWN:
            yield f"    and {len(notes) - _SHOWN} more"


def _ranked(notes: Sequence[Note]) -> Iterator[str]:
    """The notes by rank; those that say one thing of several places together."""
    for rank, title in RANKS.items():
        combined = _combined([note for note in notes if note.rank == rank])
        if not combined:
            continue
        yield from ("", f"what {title}:")
        for note in combined[:_SHOWN]:
            yield from (f"  {line}" for line in str(note).split("\n"))
        if len(combined) > _SHOWN:
            yield f"  and {len(combined) - _SHOWN} more"


def _combined(notes: Sequence[Note]) -> list[Note]:
    """Notes of a rank, each once: what stays in a compose file in one note, then what is said of
    several places.
    """
    stays: dict[str, dict[str, None]] = {}
    places: dict[Note, set[Place]] = {}
    for note in notes:
        if note.rank == "compose" and not note.advice:
            stays.setdefault(note.place.file, {})[note.what] = None
        else:
            places.setdefault(replace(note, place=Place("")), set()).add(note.place)
    combined = [Note("compose", Place(file), ", ".join(what)) for file, what in stays.items()]
    for note, where in places.items():
        what = note.what
        if len(where) > 1:
            what += f" (and in {counted(len(where) - 1, 'more place')})"
        combined.append(replace(note, place=min(where), what=what))
    return combined
