"""What slimbake finds in a repository that was not written for it: facts, each with its place."""

from __future__ import annotations

import contextlib
import stat
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from slimbake.config.secrecy import hidden

LARGEST = 256 * 1024  # bytes of a text that is read


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


Rank = Literal["breaks", "lost", "compose", "other"]
RANKS: dict[Rank, str] = {
    "breaks": "will break, or is another program than today",
    "lost": "is lost",
    "compose": "stays in the compose file",
    "other": "is not read",
}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that did not come along, and what to do about it; neither shows a secret."""

    rank: Rank
    place: Place
    what: str
    advice: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "what", hidden(self.what))
        object.__setattr__(self, "advice", hidden(self.advice))

    def __str__(self) -> str:
        advice = f"\n  {self.advice}" if self.advice else ""
        return f"{self.place}: {self.what}{advice}"


class KeepError(Exception):
    """Why a Dockerfile is kept as it is, and what would make slimbake build the service itself."""

    def __init__(self, place: Place, what: str, advice: str) -> None:
        super().__init__(place, what, advice)
        self.place, self.what, self.advice = place, hidden(" ".join(what.split())), hidden(advice)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository's files. Paths are POSIX and relative to its root."""

    root: Path
    content: Callable[[str], bytes]  # of a file; raises OSError
    files: tuple[str, ...]  # sorted
    folders: frozenset[str]  # "." among them
    partial: bool = False  # whether there are more than it was read for
    _texts: dict[str, str | None] = field(default_factory=dict, compare=False, repr=False)
    _known: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def has(self, path: str) -> bool:
        """Whether there is a file or a folder of this path."""
        return path in self._known or path in self.folders

    def is_file(self, path: str) -> bool:
        return path in self._known

    def text(self, path: str) -> str | None:
        """The text of a file of the repository; None for what is none, or too large."""
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def below(self, folder: str) -> list[str]:
        """The files in a folder and its folders, with their whole paths; of a file, itself."""
        if folder == "." or folder in self._known:
            return list(self.files) if folder == "." else [folder]
        start = bisect_left(self.files, f"{folder}/")
        return list(self.files[start : bisect_left(self.files, f"{folder}0", start)])  # after '/'

    def executable(self, path: str) -> bool:
        """Whether its owner may run a file."""
        try:
            return bool((self.root / path).stat().st_mode & stat.S_IXUSR)
        except OSError:
            return False

    def _read(self, path: str) -> str | None:
        with contextlib.suppress(OSError, ValueError):
            if path in self._known and (self.root / path).stat().st_size <= LARGEST:
                return self.content(path).decode("utf-8-sig")
        return None


@dataclass(frozen=True, slots=True)
class Copy:
    """One source of a COPY, and where in the image it goes."""

    source: str  # of the build context; of a stage: absolute
    target: str  # absolute
    folder: bool  # whether a file goes into the target, and not in its place
    place: Place
    mount: bool = False  # of one RUN alone
    mode: str = ""  # that it gives to files


@dataclass(frozen=True, slots=True)
class Run:
    """One RUN, with the variables that it sees."""

    text: str
    workdir: str
    place: Place
    values: Mapping[str, str]
    exact: tuple[str, ...] = ()  # of exec form: its words
    secret: bool = False  # whether it reads one


@dataclass(frozen=True, slots=True)
class Command:
    """A command as Docker has it: words, or one text for a shell."""

    words: tuple[str, ...]
    place: Place
    shell: tuple[str, ...] = ()  # what runs the only word, such as sh -c; () = nothing


@dataclass(frozen=True, slots=True)
class Health:
    """A health check. `command`: None: none is made; `times`: the manifest's keys."""

    command: Command | None
    times: Mapping[str, Any]
    place: Place


@dataclass(slots=True)
class Stage:
    """A stage of a Dockerfile, with all that the stages below it have said."""

    name: str
    image: str  # from outside, at its bottom
    place: Place
    values: dict[str, str] = field(default_factory=dict)  # of ARG and ENV
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    copies: list[Copy] = field(default_factory=list)
    takes: list[tuple[str, Copy]] = field(
        default_factory=list
    )  # the stage or image, and what of it
    runs: list[Run] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    user: str = ""
    stop_signal: str = ""
    health: Health | None = None
    entrypoint: Command | None = None
    command: Command | None = None
    odd: list[KeepError] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image is built today. Paths are relative to the root."""

    context: str
    dockerfile: str  # "": its text is in the compose file
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """One service of the compose files, with what it extends."""

    name: str
    place: Place
    build: Build | None
    image: str = ""
    entrypoint: Command | None = None
    command: Command | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    ports: tuple[tuple[int | None, int], ...] = ()  # (the host's, the container's)
    expose: tuple[int, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)  # name -> path in the container
    tmpfs: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    stop_signal: str = ""
    health: Health | None = None
    depends_on: Mapping[str, str] = field(default_factory=dict)  # service -> condition
    gpu: bool = False
    profiles: bool = False
    stays: tuple[str, ...] = ()  # what slimbake has no key for
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What becomes a service: how it is built, and what a compose file says of it."""

    name: str
    build: Build
    compose: ComposeService | None = None
    images: Mapping[str, str] = field(default_factory=dict)  # image built here -> its service
    ready: tuple[str, ...] = ()  # what it depends on, and a start check can start beside it
    notes: tuple[Note, ...] = ()

    @property
    def origin(self) -> tuple[Place, ...]:
        dockerfile = (Place(self.build.dockerfile),)
        if self.compose:
            return (self.compose.place, *dockerfile)
        return dockerfile


Entry = dict[str, Any]
Outcome = Literal["own", "own, with a shell", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A service as the manifest will have it."""

    name: str
    origin: tuple[Place, ...]
    outcome: Outcome
    entry: Entry
    why: tuple[Note, ...] = ()  # what keeps its Dockerfile, each line
    python: str = ""  # the version of its image; "" = any
    wants_python: tuple[str, ...] = ()  # what its projects say of the version
    notes: tuple[Note, ...] = ()
    kept: Entry = field(default_factory=dict)  # the same with its Dockerfile
    kept_notes: tuple[Note, ...] = ()  # on that


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What becomes of a repository."""

    project: str
    drafts: tuple[Draft, ...]
    notes: tuple[Note, ...] = ()
    left: tuple[str, ...] = ()  # services of compose files that are not built
