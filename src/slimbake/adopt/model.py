"""What slimbake finds in a repository that was not written for it: facts, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that did not come along, and what to do about it."""

    place: Place
    what: str
    advice: str
    service: str = ""  # "": the repository as a whole

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n  {self.advice}"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository's files, read once. Paths are POSIX and relative to its root."""

    name: str
    files: frozenset[str]
    folders: frozenset[str]  # "." among them
    texts: Mapping[str, str]  # of the files that say how services are built
    ci: str = ""  # whose pipelines are there: github, gitlab
    hidden: frozenset[str] = frozenset()  # files and folders whose names begin with a dot
    pipelines: Mapping[str, str] = field(default_factory=dict)  # file -> its text

    def below(self, folder: str) -> list[str]:
        """The files of a folder and its subfolders, relative to the folder."""
        prefix = "" if folder == "." else f"{folder}/"
        return sorted(each[len(prefix) :] for each in self.files if each.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Said:
    """A value, and where it stands."""

    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Command:
    """A command as Docker has it: words, or one text for a shell."""

    words: tuple[str, ...]
    shell: bool  # then there is one word
    place: Place
    by: tuple[str, ...] = ("sh", "-c")  # the shell, where one runs it

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of the build context, and where in the image they go."""

    sources: tuple[str, ...]
    target: str  # absolute
    folder: bool  # whether the target is written as a folder
    place: Place
    parents: bool = False  # whether sources keep their folders there
    context: str = ""  # the folder that sources are relative to; "": that of the build


@dataclass(frozen=True, slots=True)
class Step:
    """One simple command of a RUN."""

    words: tuple[str, ...]
    plain: bool  # nothing that only a shell understands
    workdir: str
    place: Place
    last: bool  # whether it is a step of the stage that becomes the image, or of one below it
    env: tuple[tuple[str, str], ...] = ()  # what it sees of ARG, ENV and its own assignments
    into: tuple[str, ...] = ()  # the files that it writes its output to
    piped: str = ""  # the commands that its pipe runs, where it is one of several
    # its words with the paths of an earlier stage, where `words` has those of the image
    written: tuple[str, ...] = ()
    apart: str = ""  # the stage that it is of, where the image takes no package of that


@dataclass(frozen=True, slots=True)
class Healthcheck:
    command: Command | None  # None: NONE
    settings: tuple[tuple[str, str], ...]  # interval, timeout, start_period, retries
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A stage without Python, and what the image takes of it."""

    name: str
    place: Place  # of the first file that is taken
    image: Said
    workdir: str  # in which it begins
    copies: tuple[Copy, ...]  # into the stage
    runs: tuple[tuple[str, str], ...]  # (folder, a shell's text)
    env: Mapping[str, str]
    takes: tuple[Copy, ...]  # sources are the stage's
    refused: str = ""  # why no step can do what it does


@dataclass(frozen=True, slots=True)
class Made:
    """What an image takes of a stage with Python, and steps of that stage may make."""

    stage: str
    take: Copy  # one source, and where the image has it
    copied: tuple[str, ...]  # what it is of the context where it is there


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What a Dockerfile makes of its last stage, and of those that this one takes from."""

    place: Place
    parent: Said  # the image from outside on which the last stage stands
    python: bool
    builders: tuple[Said, ...] = ()  # those of the stages with Python that it takes files of
    workdir: str = "/"
    starts_in: Said | None = None  # its own WORKDIR, as it is written
    env: Mapping[str, Said] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[Copy, ...] = ()
    steps: tuple[Step, ...] = ()
    ports: tuple[Said, ...] = ()
    volumes: tuple[Said, ...] = ()
    user: Said | None = None
    stop_signal: Said | None = None
    healthcheck: Healthcheck | None = None
    entrypoint: Command | None = None
    command: Command | None = None
    # written by a here-document: path -> text, and the line of its first line
    scripts: Mapping[str, tuple[str, Place]] = field(default_factory=dict)
    taken: tuple[Taken, ...] = ()
    handed: tuple[str, ...] = ()  # where it has what it takes of stages with Python
    made: tuple[Made, ...] = ()
    # images of this repository that its stages stand on: name -> what builds it
    below: Mapping[str, BuildFacts] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """`build:` of a compose service."""

    context: str  # relative to the root
    dockerfile: str  # the same
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)  # further ones: name -> folder
    # the keys of `build:` that are written; the others are those of what it extends
    written: frozenset[str] = field(default_factory=frozenset, compare=False)


@dataclass(frozen=True, slots=True)
class Filled:
    """The value of a variable that containers get: Compose fills in others, or it is for development.
    The image has the value that it has without a `.env`, if there is one.
    """

    written: str
    value: str  # with what `.env` sets


NEVER = ("no", "false")  # of `restart:`


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """One service of the compose files, with what it extends."""

    name: str
    place: Place
    build: BuildFacts | None
    image: str = ""
    entrypoint: Command | None = None
    command: Command | None = None
    env: Mapping[str, Said] = field(default_factory=dict)
    filled: Mapping[str, Filled] = field(default_factory=dict)
    passed: Mapping[str, Note] = field(default_factory=dict)  # that only the shell has
    env_files: tuple[Said, ...] = ()
    # (host's port or "", container's)
    ports: tuple[tuple[str, Said], ...] = ()
    expose: tuple[Said, ...] = ()
    volumes: tuple[tuple[str, Said], ...] = ()  # (source or "", path in the container)
    tmpfs: tuple[Said, ...] = ()
    user: Said | None = None
    workdir: Said | None = None
    stop_signal: Said | None = None
    healthcheck: Healthcheck | None = None
    # the services that it depends on -> the condition; "" = none is written
    beside: Mapping[str, str] = field(default_factory=dict)
    gpu: bool = False
    starts: bool = True  # with the others: its compose file gives it no profile
    init: bool = False  # Docker's own init is its first process
    restart: str = ""  # when Docker starts it again
    resets: frozenset[str] = frozenset()  # keys of which it takes nothing over from another
    notes: tuple[Note, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether it is a job by what its compose file says: it is not started again, and no port of
        it is asked.
        """
        return self.restart in NEVER and not (self.ports or self.expose)


@dataclass(frozen=True, slots=True)
class ComposeFacts:
    """What the compose files say."""

    files: tuple[str, ...] = ()
    name: str = ""
    services: tuple[ComposeService, ...] = ()
    jobs: frozenset[str] = frozenset()  # services that others wait for until they have ended
    notes: tuple[Note, ...] = ()


Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """A module of the service that its command names."""

    module: str
    name: str = ""  # what of it is served
    folder: str = ""  # where in the context it is found; "": there, or where PYTHONPATH says
    main: bool = False  # whether it is run, with its `__main__` where it is a package


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A service as the manifest will have it."""

    name: str
    origin: tuple[Place, ...]
    entry: Entry
    comments: Mapping[str, str] = field(default_factory=dict)  # key -> why init chose its value
    served: tuple[Served, ...] = ()  # what its smoke imports
    left_env: tuple[
        tuple[str, str], ...
    ] = ()  # what an image does not hold, and a value for a smoke
    python: Said | None = None
    torch: str = ""  # the build that its Dockerfile or compose file asks for
    image: str = ""  # today's image
    internal: bool = False  # whether its compose file publishes nothing of its port
    build: BuildFacts | None = None  # of its Dockerfile
    kept: Draft | None = None  # the same with that Dockerfile, where slimbake would write one
    # the services of the manifest that start before it -> the condition; "" = none is written
    before: Mapping[str, str] = field(default_factory=dict)
    command: str = ""  # that the compose file has in place of the Dockerfile's
    notes: tuple[Note, ...] = ()
    needless: tuple[Step, ...] = ()  # what its Dockerfile runs, and slimbake has no need of


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What becomes of a repository."""

    project: str
    folder: str  # the name of the repository's folder, after which Compose calls images
    drafts: tuple[Draft, ...]
    left: tuple[tuple[str, str], ...]  # services that stay in the compose file, and their image
    compose: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    registry: str = ""  # where all images of the compose file are, or to which pipelines push


@dataclass(frozen=True, slots=True)
class Candidate:
    """A service that may be one of slimbake's, and all that is said about it."""

    name: str
    origin: tuple[Place, ...]
    build: BuildFacts
    facts: ImageFacts | None  # None: the Dockerfile is not there
    compose: ComposeService | None = None
    job: bool = False
    ready: tuple[str, ...] = ()  # services that its start check can start beside it
    alone: tuple[str, ...] = ()  # ready-made ones that it depends on, and that it cannot start
    lacks: Said | None = None  # a file that the compose file names, and that is not there
    known: frozenset[str] = frozenset()  # the words of commands that services of its image have
