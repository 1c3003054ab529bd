"""Where a service's code lies in the repository, and where its image has it today. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from slimbake.adopt.model import Copy, ImageFacts, Note, Place, Repository

APP = "/app"  # where slimbake puts a context
_GLOB = re.compile(r"[*?\[]")


class Unreadable(Exception):
    """What keeps slimbake from making a service's image itself."""

    def __init__(self, note: Note) -> None:
        super().__init__(note.what)
        self.note = note


@dataclass(frozen=True, slots=True)
class Placed:
    """One file or folder of the repository, and where the image has it."""

    source: str
    target: str
    folder: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Code:
    """The folder that becomes `/app`, and what it is called in today's image."""

    context: str
    root: str
    placed: tuple[Placed, ...]

    def moved(self, text: str) -> str:
        """A text with the paths of today's image that lie below the root as paths below /app."""
        if self.root in {"/", APP}:
            return text
        return re.sub(rf"(?<![\w./-]){re.escape(self.root)}(?=$|[/:,\s])", APP, text)

    def source(self, path: str, repository: Repository) -> str:
        """Where a path of today's image lies in the repository; "" where it is not from there."""
        for each in reversed(self.placed):
            if each.target == path:
                return each.source
            if each.folder and f"{path}/".startswith(f"{each.target.rstrip('/')}/"):
                rest = posixpath.relpath(path, each.target)
                found = posixpath.normpath(posixpath.join(each.source, rest))
                if found in repository.files or found in repository.folders:
                    return found
        return ""


def code_of(
    facts: ImageFacts, context: str, repository: Repository, installed: frozenset[str]
) -> Code:
    """Where the code is. `installed`: paths of the image that are installed as packages.

    Raises Unreadable where one folder cannot stand for what the Dockerfile copies.
    """
    placed = tuple(p for copied in facts.copies for p in _placed(copied, context, repository))
    root = facts.workdir
    folders = [each for each in placed if each.folder and each.target not in installed]
    if root == "/" and folders:
        root = folders[0].target
    found: dict[str, Placed] = {}
    for each in placed:
        if each.target in installed or not (each.folder or each.source.endswith(".py")):
            continue
        if (origin := _origin(each, root, repository)) is not None:
            found.setdefault(origin, each)
    if len(found) > 1:
        # A copy of all makes further copies of parts needless.
        outer = [o for o, p in found.items() if p.folder and p.target == root and o == p.source]
        covered = [
            o
            for o in outer
            if all(_below(p.source, o) and _same(o, p, root) for p in found.values())
        ]
        if not covered:
            first, second, *_ = found.values()
            raise Unreadable(
                Note(
                    second.place,
                    f"the code comes from several folders: {first.source} and {second.source}",
                    "make what services share a package of its own with a pyproject.toml and"
                    " require it (`requirements: [./libs/NAME]`); until then the service keeps"
                    " its Dockerfile",
                )
            )
        return Code(covered[0], root, placed)
    return Code(next(iter(found), context), root, placed)


def _placed(copied: Copy, context: str, repository: Repository) -> Iterator[Placed]:
    for written in copied.sources:
        source = posixpath.normpath(posixpath.join(context, written.lstrip("/") or "."))
        if _GLOB.search(written):
            parent = posixpath.dirname(source) or "."
            pattern = re.compile(
                re.escape(source)
                .replace(r"\*", "[^/]*")
                .replace(r"\?", "[^/]")
                .replace(r"\[", "[")
                .replace(r"\]", "]")
            )
            if written.rstrip("/").endswith("/*") or written == "*":
                yield Placed(parent, copied.target, True, copied.place)
                continue
            for each in sorted(repository.files):
                if pattern.fullmatch(each):
                    target = posixpath.join(copied.target, posixpath.basename(each))
                    yield Placed(each, target, False, copied.place)
        elif source in repository.folders:
            yield Placed(source, copied.target, True, copied.place)
        elif source in repository.files:
            name = posixpath.basename(source)
            suffix = posixpath.splitext(copied.target)[1]
            into = copied.folder or (not suffix and suffix != posixpath.splitext(name)[1])
            target = posixpath.join(copied.target, name) if into else copied.target
            yield Placed(source, posixpath.normpath(target), False, copied.place)


def _origin(each: Placed, root: str, repository: Repository) -> str | None:
    """The folder that would stand for the root if this one copy were all; None where it says
    nothing about it.
    """
    if each.target == root and each.folder:
        return each.source
    if each.target.startswith(f"{root.rstrip('/')}/"):
        rest = posixpath.relpath(each.target, root)
        if each.source == rest:
            return "."
        if each.source.endswith(f"/{rest}"):
            return each.source.removesuffix(f"/{rest}")
        return each.source if each.folder else None  # it has another name there
    if each.folder and root.startswith(f"{each.target.rstrip('/')}/"):
        inner = posixpath.normpath(
            posixpath.join(each.source, posixpath.relpath(root, each.target))
        )
        return inner if inner in repository.folders else None
    return None


def _below(path: str, folder: str) -> bool:
    return folder == "." or f"{path}/".startswith(f"{folder}/")


def _same(origin: str, each: Placed, root: str) -> bool:
    """Whether a copy puts a part of the folder where the folder as a whole puts it."""
    if not f"{each.target}/".startswith(f"{root.rstrip('/')}/"):
        return False
    inside = posixpath.relpath(each.source, origin)
    return posixpath.normpath(posixpath.join(root, inside)) == each.target
