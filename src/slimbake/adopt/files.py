"""Where the files of an image come from: which path of the repository is copied to which of it. Pure."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from slimbake.adopt.dockerfile import find
from slimbake.adopt.model import Build, Copy, KeepError, Place, Repository, Stage
from slimbake.host.dockerignore import matches

UV = re.compile(r"(?:^|/)uv(?:[:@]|$)")
_PYTHON = re.compile(
    r"(?:[\w.-]+(?::\d+)?/)?(?:(?:docker/)?library/)?python(?:[:@](?!2)(?P<tag>.*))?"
    r"|.*/uv:(?:[^/]*-)?python(?P<uv>3\.\d+).*"
)
INSTALLS = re.compile(
    r"\b(?:(?:uv\s+)?pip[\d.]*\s+install|(?:uv|poetry|pdm|pipenv)\s+(?:sync|install))\b"
)
_TAGGED = re.compile(r"py(?:thon)?-?3[.]?(\d{1,2})(?!\d)")
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Pair:
    """A file or folder of the repository, and its path in the image."""

    source: str
    target: str
    place: Place
    mount: bool = False


def python_of(image: str) -> str | None:
    """The version of Python of an image that has nothing else: "3.11", "" for any; None: another."""
    match = _PYTHON.fullmatch(image)
    if match is None:
        return None
    version = re.match(r"3\.\d+", match["tag"] or match["uv"] or "")
    return version[0] if version else ""


def is_plain_python(image: str) -> bool:
    """Whether an image is Docker's own of Python, which starts python3."""
    return python_of(image) is not None and not UV.search(image)


def is_python(stage: Stage) -> bool:
    """Whether a stage is one of Python and its packages: by its image, or since it installs some."""
    if python_of(stage.image) is not None or UV.search(stage.image):
        return True
    return any(INSTALLS.search(run.text) for run in stage.runs)


def version_of(image: str) -> str:
    """The version of Python that the name of an image says: "3.11"; "" where it says none."""
    named = _TAGGED.search(image)
    return python_of(image) or (f"3.{named[1]}" if named else "")


class Origins:
    """The files of the stages of one build."""

    def __init__(self, stages: list[Stage], build: Build, repository: Repository) -> None:
        self.stages, self._build, self._repository = stages, build, repository
        self._known: dict[int, list[Pair]] = {}

    def pairs(self, stage: Stage) -> list[Pair]:
        """What a stage has of the repository, in the order of its instructions, also what it takes
        of stages that have it. Raises KeepError for a source that is not there.
        """
        if id(stage) not in self._known:
            pairs: list[Pair] = []
            self._known[id(stage)] = pairs  # those of the lines before, while they are read
            for copy in stage.copies:
                if self.of(stage, copy.target, copy.place.line) in self._repository.folders:
                    copy = replace(copy, folder=True)
                pairs += self._copied(copy)
            for name, copy in stage.takes:
                pairs += self._taken(name, copy)
        return self._known[id(stage)]

    def builder(self, name: str) -> Stage | None:
        """The stage that files are copied from; None for an image or a further context."""
        return find(self.stages, name) if name else None

    def has_python(self, stage: Stage) -> bool:
        """Whether a stage is one of Python, or takes files of one."""
        waiting, seen = [stage], []
        while waiting:
            stage = waiting.pop()
            if is_python(stage):
                return True
            seen.append(stage)
            for name, _ in stage.takes:
                builder = self.builder(name)
                if builder is not None and all(builder is not each for each in seen):
                    waiting.append(builder)
        return False

    def of(self, stage: Stage, path: str, line: float = math.inf) -> str:
        """The path in the repository of a path in a stage, as a line of its Dockerfile sees it; ""
        where none is known.
        """
        for pair in reversed([pair for pair in self.pairs(stage) if pair.place.line <= line]):
            if below(path, pair.target):
                source = joined(pair.source, posixpath.relpath(path, pair.target))
                if self._repository.has(source):
                    return source
        return ""

    def _copied(self, copy: Copy) -> Iterator[Pair]:
        context = self._build.context
        written = posixpath.normpath(copy.source.lstrip("/") or ".")
        if written.startswith(".."):
            what = f"COPY {copy.source} leads out of the context"
            raise KeepError(copy.place, what, "copy what is in the context")
        if not _PATTERN.search(written):
            path = joined(context, written)
            if not self._repository.has(path):
                what = f"the repository has no {path}, which is copied"
                raise KeepError(copy.place, what, "commit it, or build it in a stage of Python")
            yield self._pair(path, copy)
            return
        top = posixpath.normpath(
            posixpath.join(context, _PATTERN.split(written)[0].rpartition("/")[0])
        )
        prefix = "" if context == "." else f"{context}/"
        files = self._repository.below(top)
        folders = [f for f in self._repository.folders if f.startswith(f"{top}/") or top == "."]
        for path in (*sorted(folders), *files):
            if matches(written, path.removeprefix(prefix)):
                yield self._pair(path, copy)

    def _pair(self, path: str, copy: Copy) -> Pair:
        into = copy.folder and self._repository.is_file(path)
        target = posixpath.join(copy.target, posixpath.basename(path)) if into else copy.target
        return Pair(path, posixpath.normpath(target), copy.place, copy.mount)

    def _taken(self, name: str, copy: Copy) -> Iterator[Pair]:
        """What a stage takes of another, as far as that has it from the repository."""
        stage = self.builder(name)
        # A stage that is not Python may have changed what it has of the repository.
        if stage is None or not is_python(stage):
            return
        source = posixpath.normpath(posixpath.join("/", copy.source))
        is_whole = False
        for pair in self.pairs(stage):
            is_whole |= pair.target == source
            if pair.mount or not below(pair.target, source):
                continue
            inner = posixpath.relpath(pair.target, source)
            if inner == "." and copy.folder and self._repository.is_file(pair.source):
                inner = posixpath.basename(source)
            target = posixpath.normpath(posixpath.join(copy.target, inner))
            yield Pair(pair.source, target, copy.place, copy.mount)
        inside = self.of(stage, source)
        if inside and not is_whole:
            yield self._pair(inside, copy)


def joined(folder: str, path: str) -> str:
    """A path in a folder of the repository."""
    return posixpath.normpath(posixpath.join(folder, path))


def common(paths: Sequence[str]) -> str:
    """The folder that has all of these paths in it, or is one of them."""
    absolute = [posixpath.join("/", path) for path in paths]
    return posixpath.commonpath(map(posixpath.normpath, absolute)).lstrip("/") or "."


def below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return folder in (".", path) or path.startswith(f"{folder.rstrip('/')}/")
