"""What a stage of Python needs, with the stages that it copies from. What else they do keeps the
Dockerfile. Pure.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

from slimbake.adopt.commands import INSTALLERS, Commands, Needs, UnknownError, UnreadRun, program_of
from slimbake.adopt.dockerfile import OF_PLATFORM, absolute
from slimbake.adopt.files import INSTALLS, UV, Origins, below, is_python, python_of
from slimbake.adopt.model import Copy, KeepError, Note, Repository, Run, Stage
from slimbake.adopt.shell import OnlyAShellError, Step, UnreadableError, steps, without_comments
from slimbake.config.names import IMAGE
from slimbake.config.secrecy import hidden

_RUNS_GIT = re.compile(r"""["']git["' ]|^[ \t]*(?:import |from |exec )?git\b""", re.MULTILINE)
# What installs packages: a RUN with one cannot run as it is.
_OF_PACKAGES = re.compile(
    r"(?<![\w-])(?:pip[\d.]*|uvx?|poetry|pipenv|pdm|conda|mamba|virtualenv|apk)(?![\w/-])"
)
# What slimbake does itself: no RUN of the image repeats it.
_DONE = INSTALLERS | {"venv", ".", "source", "useradd", "adduser", "groupadd", "addgroup"}
_AND = ("&&", ";")  # between two commands of a list
_BLANKS = " \t\n\\"  # and around these, also over lines
# What may hold packages of Python: a path, or what a stage that is none of Python runs.
_PACKAGES = re.compile(
    r"\A/(?:usr(?:/local)?)?\Z|-packages\b|/\.?venv\b|/\.local\b|\b(?:pip3?|uv|poetry|conda|mamba)\s"
)
_COPY = (
    "install packages in a stage of Python; of files that no RUN reads, `copy` of the manifest says"
    " where they come from, and which secrets their stage reads"
)


def needs_of(stage: Stage, origins: Origins, repository: Repository) -> Needs:
    """What a stage needs, with the stages of Python that it takes packages from, and what keeps its
    Dockerfile. Raises KeepError for a stage that is not Python.
    """
    needs = Needs()
    reader = _Reader(stage, origins, repository, needs, last=True)
    needs.steps = reader.read(set())
    if needs.steps and not needs.image:
        # Such a RUN needs what its own image has, so the service starts from that.
        # One with a Python that slimbake does not have is replaced by one with the service's.
        if python_of(stage.image) and "alpine" not in stage.image:
            needs.image = stage.image
        else:
            needs.blockers += [step.unknown for step in needs.steps]
    if "git" in needs.system and _only_pip_runs_git(needs, repository):
        del needs.system["git"]
        what = (
            "git, which pip alone needs and which takes 95 MB: slimbake itself gets those packages"
        )
        advice = "if the program runs git: `system: [git]`"
        needs.notes.append(Note("lost", stage.place, what, advice))
    return needs


def _only_pip_runs_git(needs: Needs, repository: Repository) -> bool:
    """Whether requirements have an address of Git, and no code and no script runs the program."""
    listed = [repository.text(file) or file for file in (*needs.requirements, *needs.files)]
    if not any("git+" in text for text in listed):
        return False
    for file in repository.files:
        if file.endswith((".py", ".sh")) and _RUNS_GIT.search(repository.text(file) or ""):
            return False
    return True


def _without(text: str, command: str) -> str:
    """A text without one of its commands. Where that is no plain part of a list, it becomes `:`."""
    before, _, after = text.partition(command)
    head, tail = before.rstrip(_BLANKS), after.lstrip(_BLANKS)
    begins = not head or head.endswith(_AND)
    ends = not tail or tail.startswith(_AND)
    if not begins or not ends:
        return f"{before}:{after}"
    if tail:
        return before + tail.removeprefix("&&").removeprefix(";").lstrip(_BLANKS)
    return head.removesuffix("&&").removesuffix(";").rstrip(_BLANKS)


class _Reader:
    """Reads one stage, and the stages of Python that it copies from."""

    def __init__(
        self, stage: Stage, origins: Origins, repository: Repository, needs: Needs, *, last: bool
    ) -> None:
        self._stage, self._origins, self._repository = stage, origins, repository
        self._needs, self._last = needs, last
        self._commands = Commands(stage, origins, repository, needs, last=last)

    def read(self, seen: set[int]) -> list[UnreadRun]:
        """Read the stage into the needs and their blockers. Returns each RUN that is not understood:
        it can only run as it is. The stage is added to `seen`, the ids of those that were read.

        Raises KeepError for a stage that is not Python.
        """
        seen.add(id(self._stage))
        self._read_image()
        blockers = self._needs.blockers
        blockers += self._stage.odd
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
            if folder := self._stage.env.get(name):
                self._needs.environments.add(absolute("/", folder))
        self._read_builders(seen)
        # Where builders could not be read, a file of theirs that is not known says nothing new.
        builders_are_read = not blockers
        for name, copy in self._stage.takes:
            try:
                self._take(name, copy)
            except KeepError as error:
                if builders_are_read:
                    blockers.append(error)
        for run in self._stage.runs:
            self._run(run)
        return self._commands.unread

    def _read_image(self) -> None:
        """What the stage's image has: Python alone, compilers with it, or more that is needed."""
        image = self._stage.image
        if not self._origins.has_python(self._stage) or not IMAGE.fullmatch(image):
            shown = hidden(image).partition("@")[0] or "unknown"
            what = f"its image is {shown}, and no RUN installs packages of Python"
            raise KeepError(self._stage.place, what, "")
        if python_of(image) is None and not UV.search(image):
            if self._last:
                self._needs.image = image
        elif not re.search("slim|alpine", image):  # Python's and uv's other images have compilers
            self._needs.wheels["build-essential"] = None

    def _read_builders(self, seen: set[int]) -> None:
        """Read the stages of Python that this one copies from."""
        for name, _ in self._stage.takes:
            builder = self._origins.builder(name)
            if builder is None or id(builder) in seen or not is_python(builder):
                continue
            reader = _Reader(builder, self._origins, self._repository, self._needs, last=False)
            blockers = self._needs.blockers
            before = len(blockers)
            for step in reader.read(seen):
                if not self._takes_made(builder, step.run):
                    blockers.append(step.unknown)
            if self._takes_files_alone(builder):
                del blockers[before:]

    def _takes_made(self, builder: Stage, run: Run) -> bool:
        """Whether this stage copies a file of a builder that a RUN there names, and so made."""
        for name, copy in self._stage.takes:
            if self._origins.builder(name) is not builder or not self._is_made(copy):
                continue
            if posixpath.basename(copy.source) in run.text:
                return True
        return False

    def _takes_files_alone(self, builder: Stage) -> bool:
        """Whether nothing that this stage copies from a builder has packages, or is the folder that
        it works in: then it does not matter what else the builder does.
        """
        packages = (builder.workdir, *self._needs.environments)
        for name, copy in self._stage.takes:
            if self._origins.builder(name) is not builder:
                continue
            source = absolute("/", copy.source)
            if not self._is_made(copy) or any(below(path, source) for path in packages):
                return False
        return self._last

    def _is_made(self, copy: Copy) -> bool:
        """Whether what is copied of a builder is neither of the repository nor packages."""
        source = absolute("/", copy.source)
        if self._needs.is_environment(source) or source in self._needs.made:
            return False
        return all(pair.place != copy.place for pair in self._origins.pairs(self._stage))

    def _take(self, name: str, copy: Copy) -> None:
        """Take what a COPY has of a stage, or of an image."""
        builder, needs = self._origins.builder(name), self._needs
        source = absolute("/", copy.source)
        if builder is None or not is_python(builder):
            is_uv = UV.search(name) and posixpath.basename(source) in ("uv", "uvx")
            if not is_uv:
                self._take_files(name, builder, source, copy)
            return
        if copy.mount or UV.search(builder.image):
            return
        for path in list(needs.environments):
            if path.startswith(f"{source}/"):
                needs.environments.add(absolute(copy.target, posixpath.relpath(path, source)))
        if needs.is_environment(source):
            needs.environments.add(copy.target)
        elif source in needs.made:
            target = copy.target
            if copy.folder:
                target = posixpath.join(target, posixpath.basename(source))
            needs.made[target] = needs.made[source]
        elif self._is_made(copy):
            self._take_files(name, builder, source, copy)

    def _take_files(self, name: str, builder: Stage | None, source: str, copy: Copy) -> None:
        """Take files of a stage, or of an image, as they are there today.

        Raises KeepError for what may be packages, and where more than files has to be known.
        """
        image = builder.image if builder else name
        keeps = bool(copy.mount or copy.mode or not self._last or not IMAGE.fullmatch(image))
        keeps |= _PACKAGES.search(source) is not None
        if builder and not is_python(builder):  # it may have packages of any stage but Python's
            for stage in self._origins.stages:
                for run in [] if is_python(stage) else stage.runs:
                    keeps |= run.secret or _PACKAGES.search(run.text) is not None
        if keeps:
            raise KeepError(copy.place, f"{source} is copied of {image}", _COPY)
        origin = {"target" if builder else "image": name}
        target = copy.target + "/" * copy.folder
        self._needs.copies.append({"from": origin, "source": source, "to": target})

    def _run(self, run: Run) -> None:
        """Take what a RUN does. What slimbake does not know of runs as it is, in the image, where it
        installs no packages; else it is a blocker.
        """
        commands = self._commands
        commands.begin(run)
        found: list[Step] = []
        unknown: dict[str, KeepError] = {}  # by its text
        others: list[KeepError] = []
        try:
            found = self._steps(run)
        except UnreadableError as error:
            others.append(commands.needs_shell(error))
        except OnlyAShellError as error:
            unknown[run.text] = commands.needs_shell(error)
            commands.unread_line = run.place.line
        done: list[Step] = []
        for step in found:
            try:
                commands.take(step)
                if program_of(step.words)[0] in _DONE:
                    done.append(step)
            except UnknownError as error:
                unknown[" ".join(step.words)] = error
                if step.words[0] not in (".", "source"):
                    commands.unread_line = run.place.line
            except KeepError as error:
                others.append(error)
        if run.secret:
            what = "a RUN reads a secret, so its packages may be of an index with a login"
            advice = "give uv the login on each machine that builds"
            others.append(KeepError(run.place, what, advice))
        reasons = list(unknown.values())[:1]
        text = self._as_it_is(run, done)
        if not reasons or others or not text:
            self._needs.blockers += [*reasons, *others]
            return
        # Such a command may fill these folders: nothing may lie over them.
        for folder in list(self._needs.folders):
            if any(posixpath.basename(folder) in command for command in unknown):
                del self._needs.folders[folder]
        self._commands.unread.append(UnreadRun(run, text, reasons[0]))

    def _as_it_is(self, run: Run, done: Sequence[Step]) -> str:
        """The text of a RUN for a shell, without the commands of it that slimbake does itself; "" where
        it cannot run in an image of slimbake's, since it installs packages otherwise, say.
        """
        copies = [*self._stage.copies, *(copy for _, copy in self._stage.takes)]
        if any(copy.mount and copy.place == run.place for copy in copies):
            return ""
        text = shlex.join(run.exact) if run.exact else without_comments(run.text)
        if self._last:  # what is copied of a builder, its own Dockerfile makes
            for step in done:
                text = _without(text, step.text) if step.text else text
        if _OF_PACKAGES.search(text):
            return ""
        for name, value in run.values.items():
            if name in text and OF_PLATFORM.search(value) and value != f"${name}":
                return ""
        if any(map(INSTALLS.search, self._scripts(run, text))):
            return ""
        return text

    def _scripts(self, run: Run, text: str) -> Iterator[str]:
        """The texts of files of the repository that a RUN names, or that `make` reads."""
        words = re.split(r"[\s;&|()\"']+", text)
        folders = [run.workdir]
        for word, other in pairwise(words):
            if word == "cd":
                folders.append(absolute(run.workdir, other))
        if "make" in words:
            words.append("Makefile")
        for folder in folders:
            for word in words:
                file = self._origins.of(self._stage, absolute(folder, word), run.place.line)
                yield self._repository.text(file) or ""

    def _steps(self, run: Run) -> list[Step]:
        """The commands of a RUN. Raises OnlyAShellError."""
        if run.exact:
            return [Step(list(run.exact), run.workdir, run.values)]

        def has(path: str) -> bool | None:
            """Whether the image has a file then; None where a RUN may have made it."""
            path = absolute("/", path)
            folder = posixpath.dirname(path)
            if self._origins.of(self._stage, path, run.place.line):
                return True
            # A RUN that is not understood came after the folder: it may have made the file.
            if self._origins.of(self._stage, folder, self._commands.unread_line):
                return None
            # All that lies in a folder of the repository is known; nothing else is.
            if self._origins.of(self._stage, folder, run.place.line):
                return False
            return None

        return steps(run.text, run.workdir, run.values, has)
