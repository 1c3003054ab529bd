"""What a Dockerfile's `.dockerignore` leaves out, as the folder that becomes `/app` has to. Pure.

BuildKit reads one such file: beside the Dockerfile, or at the top of the build's context. slimbake
reads that of a service's `context`, which may be another folder.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from slimbake.adopt.model import BuildFacts, Draft, Note, Place, Repository
from slimbake.adopt.sheet import below
from slimbake.host.dockerignore import Ignore, Matched, literal, matches, patterns
from slimbake.plan.targets import NOT_CODE

IGNORE = ".dockerignore"


def sent(build: BuildFacts, elsewhere: Collection[str], repository: Repository) -> Repository:
    """A repository without the files that a build is not sent. `elsewhere`: its further contexts,
    which have files of their own.

    Texts of files that are no modules stay, for not only the build reads them.
    """
    try:
        ignore = Ignore(repository.texts.get(_read_by(build, repository), ""))
    except ValueError:  # BuildKit refuses it
        return repository
    inside = below(build.context)
    others = tuple(f"{each}/" for each in elsewhere)

    def stays(path: str) -> bool:
        apart = not path.startswith(inside) or f"{path}/".startswith(others)
        return apart or not ignore.leaves_out(path.removeprefix(inside))

    if not ignore.key:
        return repository
    files = frozenset(filter(stays, repository.files))
    around = {folder for path in files for folder in _around(path)}
    return replace(
        repository,
        files=files,
        folders=frozenset(
            each for each in repository.folders if each in {".", *around} or stays(each)
        ),
        texts={
            path: text
            for path, text in repository.texts.items()
            if not path.endswith(".py") or path in files
        },
        hidden=frozenset(filter(stays, repository.hidden)),
    )


def obeyed(build: BuildFacts, context: str, repository: Repository) -> bool:
    """Whether the file that slimbake reads for a context is the one that BuildKit reads today."""
    return _read_by(build, repository) == f"{below(context)}{IGNORE}"


def ignore_files(
    drafts: Sequence[Draft], repository: Repository
) -> tuple[dict[str, str], list[Draft]]:
    """The `.dockerignore` of each service's folder that needs one, and the drafts. A note of the
    draft stands for a file that is there, or that a Dockerfile or a service with other patterns
    would obey, too.
    """
    lines = {each.name: _lines(each, repository) for each in drafts}
    files: dict[str, str] = {}
    made = []
    for draft in drafts:
        context = draft.entry["context"]
        path = f"{below(context)}{IGNORE}"
        wanted = lines[draft.name]
        here = [each for each in drafts if each.entry["context"] == context]
        alike = all(lines[each.name] == wanted for each in here if "dockerfile" not in each.entry)
        others = any(_read_by(each.build, repository) == path for each in drafts if each.build)
        if wanted and alike and not others and path not in repository.hidden and draft.build:
            origin = _read_by(draft.build, repository)
            head = f"# Written by `slimbake init`, from {origin}: slimbake reads the file of this folder."
            files[path] = "\n".join((head, *wanted)) + "\n"
        elif lacking := _lacking(wanted, repository.texts.get(path, "")):
            draft = _noted(draft, path, lacking, repository)
        made.append(draft)
    return files, made


def patterns_in(text: str, folder: str) -> tuple[str, ...]:
    """The patterns that leave out of a folder what those of a `.dockerignore` around it do there.

    Raises ValueError for a pattern that BuildKit refuses.
    """
    ignore = Ignore(text)
    above: Matched = ()
    for each in () if folder == "." else (*reversed([*_around(folder)]), folder):
        out, above = ignore(each, above)
        if out and not ignore.exceptions:
            return ("*",)
    names = tuple(folder.split("/")) if folder != "." else ()
    found: list[str] = []
    for number, (brings_back, pattern, _) in enumerate(patterns(text)):
        if above and above[number]:  # what was said before is void for all files of the folder
            found = [] if brings_back else ["*"]
            continue
        rests = {rest for form in _forms(pattern) for rest in _rests(_parts(form), names)}
        for rest in sorted("/".join(each) for each in rests if each):
            quoted = rf"\{rest}" if rest.startswith(("!", "#")) else rest
            found.append(f"!{quoted}" if brings_back else quoted)
    return tuple(found)


def _forms(pattern: str) -> list[str]:
    """Patterns that together match what one does, where `**` is a name of its own or ends the last
    one: as another part of a name it stands for text with '/' in it.
    """
    if re.match(r"\*\*[^/]", pattern) and not re.search(r"[*?\[\]\\]", pattern[2:]):
        return [f"**/*{pattern[2:]}"]
    pattern = re.sub(r"(^|/)\*\*(?=[^/])", r"\1**/", pattern)
    if inner := re.search(r"(?<=[^/\\])\*\*(?:/|(?!$))", pattern):
        before, after = pattern[: inner.start()], pattern[inner.end() :]
        return [*_forms(f"{before}{after}"), *_forms(f"{before}*/**/{after}")]
    return [pattern]


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(re.split(r"/(?![^\[]*\])", pattern))


def _rests(parts: tuple[str, ...], names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What of a pattern is left for paths in a folder; () where it ends at the folder."""
    if not parts or not names:
        yield parts
        return
    first, *rest = parts
    if not rest and first.endswith("**"):
        if first == "**" or matches(first.removesuffix("*"), names[0]):
            yield ("**",)
    elif first == "**":
        yield from _rests(tuple(rest), names)
        yield from _rests(parts, names[1:])
    elif matches(first, names[0]):
        yield from _rests(tuple(rest), names[1:])


def _lines(draft: Draft, repository: Repository) -> tuple[str, ...]:
    """The patterns that its service's folder lacks, or would if it had no `.dockerignore`."""
    build, context = draft.build, draft.entry["context"]
    if build is None or "dockerfile" in draft.entry or obeyed(build, context, repository):
        return ()
    text = repository.texts.get(_read_by(build, repository), "")
    try:
        if f"{context}/".startswith(below(build.context)):
            found = patterns_in(text, posixpath.relpath(context, build.context))
        elif build.context.startswith(below(context)):
            inner = literal(posixpath.relpath(build.context, context))
            found = tuple(f"{'!' * back}{inner}/{each}" for back, each, _ in patterns(text))
        else:
            return ()
    except ValueError:  # BuildKit refuses it
        return ()
    if any(each.startswith("!") for each in found):
        return found  # these may bring back what slimbake leaves out
    known = Ignore("\n".join(NOT_CODE))
    return tuple(each for each in found if not known.leaves_out(each))


def _lacking(wanted: Sequence[str], text: str) -> list[str]:
    try:
        there = {each[:2] for each in patterns(text)}
    except ValueError:
        there = set()
    return [each for each in wanted if not {found[:2] for found in patterns(each)} & there]


def _noted(draft: Draft, path: str, lacking: list[str], repository: Repository) -> Draft:
    origin = _read_by(draft.build, repository) if draft.build else ""
    folder = posixpath.dirname(path) or "."
    note = Note(
        Place(origin),
        f"what it leaves out of {folder}: {', '.join(lacking)}",
        f"slimbake reads {path} alone, and `init` changes no file: add these lines there",
        draft.name,
    )
    return replace(draft, notes=(*draft.notes, note))


def _read_by(build: BuildFacts, repository: Repository) -> str:
    """The `.dockerignore` that BuildKit reads for a build, if it is there."""
    beside = f"{build.dockerfile}{IGNORE}"
    return beside if beside in repository.texts else f"{below(build.context)}{IGNORE}"


def _around(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
