"""Where a service's code lies in the repository, and where its image has it today. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from slimbake.adopt.model import Copy, ImageFacts, Note, Place, Repository

APP = "/app"  # where slimbake puts a context
_FOLDERS = ("/", "/tmp", "/opt", "/srv", "/bin", "/usr/bin", "/usr/local/bin")  # noqa: S108
_GLOB = re.compile(r"[*?\[]")


# Folders that are not a service's own, even if it copies something into one.
_SYSTEM = frozenset(
    [
        *("/", "/bin", "/etc", "/home", "/lib", "/mnt", "/opt", "/root", "/run", "/sbin", "/srv"),
        *("/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib"),  # noqa: S108
        *("/usr/share", "/usr/src", "/var", "/var/lib"),
    ]
)


def path_in(paths: Iterable[str]) -> re.Pattern[str]:
    """Finds the longest of these paths at each place of a text, as its first group."""
    longest = sorted(paths, key=len, reverse=True)
    return re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, longest))})(?=$|[/:,;\s\"'`)])")


class Unreadable(Exception):
    """What keeps slimbake from making a service's image itself."""

    def __init__(self, note: Note) -> None:
        super().__init__(note.what)
        self.note = note


class NeedsShell(Unreadable):
    """A command that only a shell can run; an image can have one."""


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
    inner: str = ""  # where in the context today's root lies; "": the context itself
    paths: tuple[str, ...] = ()  # further folders of modules, in slimbake's image
    notes: tuple[Note, ...] = ()

    @property
    def app(self) -> str:
        """What today's root is in slimbake's image."""
        return posixpath.join(APP, self.inner) if self.inner else APP

    def moved(self, text: str) -> str:
        """A text with the paths of what a Dockerfile copies as those that slimbake's image has."""
        places = self._places
        return path_in(places).sub(lambda found: places[found[1]], text) if places else text

    def moves(self, text: str) -> dict[str, str]:
        """The paths of a text that `moved` replaces, and what each becomes."""
        places = self._places
        found = path_in(places).findall(text) if places else []
        return {path: places[path] for path in found if places[path] != path}

    @property
    def _places(self) -> dict[str, str]:
        """Where what today's image has at a path is in slimbake's; what stays where it is among it,
        for what is around it may move.
        """
        found: dict[str, str] = {}
        for each in self.placed:
            if (here := self.here(each)) and each.target not in _SYSTEM:
                found[each.target] = "" if found.get(each.target, here) != here else here
        inside = any(f"{each.target}/".startswith(f"{self.root}/") for each in self.placed)
        if self.root not in _SYSTEM or (inside and self.root != "/"):
            found[self.root] = self.app
        return {target: here for target, here in found.items() if here}

    def here(self, each: Placed) -> str:
        """Where slimbake's image has what is copied; "" where it is not in the context."""
        within = posixpath.relpath(each.source, self.context)
        outside = within == ".." or within.startswith("../")
        return "" if outside else posixpath.normpath(posixpath.join(APP, within))

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
    known = {*_FOLDERS, facts.workdir}
    known |= {c.target for c in facts.copies if c.folder}
    known |= {step.workdir for step in facts.steps}
    placed = tuple(
        p for copied in facts.copies for p in _placed(copied, context, repository, known)
    )
    folders = [each for each in placed if each.folder and each.target not in installed]
    root = _root(facts, placed, folders, repository)
    origins: dict[str, list[Placed]] = {}
    notes: list[Note] = []
    for each in placed:
        if each.target in installed or not (each.folder or each.source.endswith(".py")):
            continue
        origin = _origin(each, root, repository)
        if each.folder and _named_otherwise(each, facts, repository):
            notes.append(_renamed(each, repository))
        elif origin is not None:
            origins.setdefault(origin, []).append(each)
        elif each.folder and root != "/" and each.target.startswith(f"{root}/"):
            notes.append(_renamed(each, repository))
    for origin, its in list(origins.items()):
        if len(origins) > 1 and not any(_has_python(each, repository) for each in its):
            del origins[origin]
            notes += [_elsewhere(each) for each in its]
    if len(origins) > 1:
        whole = [o for o, ps in origins.items() for p in ps if p.source == o and p.target == root]
        for outer in whole:  # a copy of all makes further copies of parts needless
            parts = (each for each_of in origins.values() for each in each_of)
            if all(_below(p.source, outer) and _same(outer, p, root) for p in parts):
                return Code(outer, root, placed, notes=tuple(notes))
        return _together(origins, whole, root, placed, notes, repository)
    found = next(iter(origins), context)
    if origins and not any(each.source == found for each in origins[found]):
        notes += _whole(found, origins[found], repository)
    return Code(found, root, placed, notes=tuple(notes))


def _root(
    facts: ImageFacts, placed: Iterable[Placed], folders: list[Placed], repository: Repository
) -> str:
    """The folder of today's image that the code is in: the working directory, or without one the first
    folder with modules, or the folder around it where that is what PYTHONPATH names.
    """
    beside = any(re.fullmatch(r"/[^/]+\.py", each.target) for each in placed)
    if facts.workdir != "/" or beside or not folders:
        return facts.workdir
    modules = (each.target for each in folders if _has_python(each, repository))
    root = next(modules, folders[0].target)
    around = posixpath.dirname(root)
    if around == "/" and _imports(facts, posixpath.basename(root)):
        return around
    return around if around != "/" and around in _import_path(facts) else root


def _has_python(each: Placed, repository: Repository) -> bool:
    files = repository.below(each.source) if each.folder else [each.source]
    return any(file.endswith(".py") for file in files)


def _elsewhere(each: Placed) -> Note:
    """A note on files that are no modules, and so do not decide what becomes `/app`."""
    return Note(
        each.place,
        f"{each.source} is copied to {each.target}",
        "slimbake keeps the repository's folders: where the service opens these files, move them, or"
        " change the path",
    )


def _together(
    origins: Mapping[str, list[Placed]],
    whole: list[str],
    root: str,
    placed: tuple[Placed, ...],
    notes: list[Note],
    repository: Repository,
) -> Code:
    """Code of several folders that are one in today's image: the folder around all of them, in
    which each is a place for modules.
    """
    first = whole[0] if whole else next(iter(origins))
    parts = [each.split("/") if each != "." else [] for each in origins]
    shared = [names[0] for names in zip(*parts, strict=False) if len(set(names)) == 1]
    depth = next(
        (n for n, names in enumerate(zip(*parts, strict=False)) if len(set(names)) > 1),
        len(shared),
    )
    context = "/".join(parts[0][:depth]) or "."
    inside = {each: posixpath.relpath(each, context) for each in (first, *origins)}
    paths = [posixpath.normpath(posixpath.join(APP, at)) for at in dict.fromkeys(inside.values())]
    return Code(
        context,
        root,
        placed,
        inner="" if inside[first] == "." else inside[first],
        paths=tuple(paths),
        notes=(*notes, *_whole(context, [p for ps in origins.values() for p in ps], repository)),
    )


def _whole(context: str, parts: list[Placed], repository: Repository) -> list[Note]:
    """A note where the folder holds more folders than today's image has."""
    tops = {each.split("/")[0] for each in repository.below(context) if "/" in each}
    names = list(dict.fromkeys(each.source for each in parts))
    if tops <= {posixpath.relpath(each, context).split("/")[0] for each in names}:
        return []
    where = "the repository" if context == "." else f"{context}/"
    note = Note(
        parts[0].place,
        f"today's image has {', '.join(names)}; slimbake's gets all of {where}",
        f"list the rest in {posixpath.join(context, '.dockerignore').removeprefix('./')}; or make"
        " what services share a package with a pyproject.toml, and require it",
    )
    return [note]


def _import_path(facts: ImageFacts) -> list[str]:
    path = facts.env.get("PYTHONPATH")
    return [each.rstrip("/") for each in path.value.split(":")] if path else []


def _named_otherwise(each: Placed, facts: ImageFacts, repository: Repository) -> bool:
    """Whether a folder is a package that code imports by the name which a copy gives it."""
    parent, name = posixpath.split(each.target)
    if name == posixpath.basename(each.source) or each.target == facts.workdir:
        return False
    files = repository.below(each.source)
    if any(file.startswith((f"{name}/", f"{name}.py")) for file in files):
        return False
    package = parent in _import_path(facts) and "__init__.py" in files
    return package or (_has_python(each, repository) and _imports(facts, name))


def _imports(facts: ImageFacts, name: str) -> bool:
    """Whether the command names a module of a package."""
    words = [word for said in (facts.entrypoint, facts.command) if said for word in said.words]
    module = re.compile(rf"(?:^|[\s=]){re.escape(name)}[.:]\w")
    return any(map(module.search, words))


def _renamed(each: Placed, repository: Repository) -> Note:
    """Raises Unreadable where modules would get another name."""
    note = Note(
        each.place,
        f"{each.source} is copied under another name, {each.target}",
        "give the folder the name that it has in the image",
    )
    if any(file.endswith(".py") for file in repository.below(each.source)):
        kept = f"{note.advice}; until then the service keeps its Dockerfile"
        raise Unreadable(replace(note, advice=kept))
    return note


def _placed(
    copied: Copy, context: str, repository: Repository, known: Collection[str]
) -> Iterator[Placed]:
    context = copied.context or context
    for written in copied.sources:
        source = posixpath.normpath(posixpath.join(context, written.lstrip("/") or "."))
        if copied.parents:
            pivot = posixpath.normpath(posixpath.join(context, written.rpartition("/./")[0]))
            yield from _with_parents(source, pivot, copied, repository)
            continue
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
            into = copied.folder or copied.target in known
            target = posixpath.join(copied.target, name) if into else copied.target
            yield Placed(source, posixpath.normpath(target), False, copied.place)


def _with_parents(
    source: str, pivot: str, copied: Copy, repository: Repository
) -> Iterator[Placed]:
    """What a copy places that keeps the folders of its sources, from `pivot` on."""
    for each in sorted(repository.files | repository.folders):
        if fnmatchcase(each, source) and each.count("/") == source.count("/"):
            target = posixpath.join(copied.target, posixpath.relpath(each, pivot))
            folder = each in repository.folders
            yield Placed(each, posixpath.normpath(target), folder, copied.place)


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
        return None  # it has another name there
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
