"""What the RUN lines of a Dockerfile install. What else they do keeps the Dockerfile. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slimbake.adopt.dockerfile import INSTALLER, OF_PLATFORM, absolute
from slimbake.adopt.files import INSTALLS, UV, Origins, below, is_python, joined, python_of
from slimbake.adopt.model import Copy, Entry, KeepError, Note, Place, Repository, Run, Stage
from slimbake.adopt.shell import OnlyAShellError, Step, UnreadableError, steps, without_comments
from slimbake.config.names import IMAGE, PYTHONS
from slimbake.config.shells import SHELLS
from slimbake.host.typed import toml_value

# Options of pip and uv with a word behind them that say where packages come from, and others.
_INDEX_OPTION = re.compile(r"-i|-f|--(?:extra-)?index-url|--index|--find-links")
_WITH_WORD = re.compile(
    r"-[rceiptf]|--(?:requirements?|constraint|editable|(?:extra-)?index-url|index|find-links|torch-backend"
    r"|root-user-action|progress-bar|index-strategy|only-binary|no-binary|python|platform"
    r"|link-mode|python-version|trusted-host)"
)
_ENVIRONMENT = re.compile(r"-[tw]|--(?:target|prefix|root|wheel-dir)")
_TORCH_INDEX = re.compile(r"download\.pytorch\.org/whl/(cpu|cu\d+)")
_INSTALLERS = frozenset(("pip", "uv", "poetry", "pipenv", "pdm", "virtualenv", "wheel", "build"))
# Python itself, and what installs packages into it: images have another.
_DEBIAN_PYTHON = re.compile(
    r"(?:lib)?python3(?:\.\d+)?(?:-(?:pip|dev|venv|distutils|setuptools|wheel|minimal|full))?"
    r"|python-is-python3"
)
_FOR_WHEELS = re.compile(r".+-dev|gcc|g\+\+|clang|build-essential|make|cmake|pkg-config|pkgconf")
# What Alpine needs to build packages that PyPI has ready-made for Debian, and to run them.
_FOR_MUSL = re.compile(
    r"(?:musl|libc|libffi)-dev|linux-headers|build-base|libstdc\+\+|libgcc|gcc|g\+\+|make"
)
_RUNS_GIT = re.compile(r"""["']git["' ]|^\s*(?:import |from |exec )?git\b""", re.MULTILINE)
# What leaves nothing that an image needs, by kind.
_HARMLESS = re.compile(
    r"echo|printf|cat|ls|pwd|which|type|id|getent|grep|test|\[\[?"  # says or reads
    r"|true|:|false|exit|sleep|set|shopt|umask"  # is for the shell
    r"|rm|rmdir|find|touch|compileall|ldconfig"  # removes, or makes what is empty or a cache
    r"|chmod|chown|chgrp|groupadd|addgroup|groupmod|passwd|chpasswd|chsh"  # who may do what
)
RUNNERS = frozenset(("uv", "poetry", "pipenv", "pdm"))  # NAME run PROGRAM
_PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
_LOCKS = re.compile(
    r"pyproject\.toml|setup\.(?:py|cfg)|Pipfile|(?:uv|poetry|pdm|Pipfile|pylock[\w.]*)\.(?:lock|toml)"
    r"|(?=[\w.-]+\Z)[\w.-]*?(?:requirements|constraints)[\w.-]*|\.python-version"
)
# What installs packages: a RUN with one cannot run as it is.
_OF_PACKAGES = re.compile(
    r"(?<![\w-])(?:pip[\d.]*|uvx?|poetry|pipenv|pdm|conda|mamba|virtualenv|apk)(?![\w/-])"
)
_EXPORTS = {  # what is not read, and the command that writes what is
    "pipenv": "pipenv requirements > requirements.txt",
    "pdm": "pdm export --prod -o requirements.txt",
}
_INDEX = re.compile(r"(?:PIP|UV)_(?:(?:EXTRA_|DEFAULT_)?INDEX(?:_URL)?|FIND_LINKS)")
_APT_VALUE = re.compile(r"-\w*[otc]|--(?:option|target-release|default-release|config-file)")
_APT_SOURCE = re.compile(r"/etc/apt/|\badd-apt-repository\b|\bapt-key\b|keyring")
_CHANGES_USER = re.compile(r" -\w*[udlm] | --(?:uid|home|login|move-home)\b")
# What may hold packages of Python: a path, or what a stage that is none of Python runs.
_PACKAGES = re.compile(
    r"\A/(?:usr(?:/local)?)?\Z|-packages\b|/\.?venv\b|/\.local\b|\b(?:pip3?|uv|poetry|conda|mamba)\s"
)
_COPY = (
    "install packages in a stage of Python; of files that no RUN reads, `copy` of the manifest says"
    " where they come from, and which secrets their stage reads"
)
_LOGIN = re.compile(r"://[^/\s@]+@")


class UnknownError(Exception):
    """A command of which slimbake does not know what it does."""


def lists_packages(path: str) -> bool:
    """Whether a file is named as those that say what is installed."""
    return _LOCKS.fullmatch(posixpath.basename(path)) is not None


@dataclass(frozen=True, slots=True)
class UnreadRun:
    """A RUN that a service's image runs as it is."""

    run: Run
    text: str  # for the shell of its stage
    unknown: KeepError  # why
    stage: Stage


@dataclass(slots=True)
class Needs:
    """What a service needs, in the manifest's words."""

    requirements: dict[str, None] = field(default_factory=dict)  # relative to the root
    files: dict[str, None] = field(default_factory=dict)  # of the repository, that were read
    system: dict[str, None] = field(default_factory=dict)
    wheels: dict[str, None] = field(default_factory=dict)
    environments: set[str] = field(default_factory=set)  # folders of packages, as images have them
    folders: dict[str, Place] = field(default_factory=dict)  # that are made for the program
    users: dict[str, str] = field(default_factory=dict)  # name -> number
    homes: dict[str, None] = field(default_factory=dict)
    made: dict[str, tuple[str, ...]] = field(default_factory=dict)  # exported file -> requirements
    copies: list[Entry] = field(default_factory=list)  # of stages and images, as they are today
    made_files: list[tuple[Stage, Stage, Copy]] = field(default_factory=list)  # of, to, what
    image: str = ""  # that has more than Python: `from`
    checkouts: dict[str, None] = field(default_factory=dict)  # code that is installed editable
    torch: str = ""
    notes: list[Note] = field(default_factory=list)
    steps: list[UnreadRun] = field(default_factory=list)
    blockers: list[KeepError] = field(default_factory=list)  # what slimbake does not do itself

    def is_environment(self, path: str) -> bool:
        """Whether a path of an image holds installed packages, or lies where they are."""
        return (
            f"{path}/".startswith(tuple(f"{each}/" for each in ("/usr/local", *self.environments)))
            or "/site-packages" in path
            or bool(re.search(r"/\.?(?:local|venv)(?:/|$)", path))
        )


def needs_of(stage: Stage, origins: Origins, repository: Repository) -> Needs:
    """What a stage needs, with the stages of Python that it takes packages from, and what keeps its
    Dockerfile. Raises KeepError for a stage that is none of Python.
    """
    needs = Needs()
    _Reader(stage, origins, repository, needs, stage).read(set())
    if needs.steps and not needs.image:
        # Such a RUN needs what its own image has, so the service starts from that.
        if python_of(stage.image) in PYTHONS and "alpine" not in stage.image:
            needs.image = stage.image
        else:
            needs.blockers += [step.unknown for step in needs.steps]
    if "git" in needs.system and _only_pip_runs_git(needs, repository):
        del needs.system["git"]
        what = (
            "git, which pip alone needs and which takes 95 MB: slimbake itself gets those packages"
        )
        needs.notes.append(
            Note("lost", stage.place, what, "if the program runs git: `system: [git]`")
        )
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


class _Reader:
    def __init__(
        self, stage: Stage, origins: Origins, repository: Repository, needs: Needs, final: Stage
    ) -> None:
        self._stage, self._origins, self._repository = stage, origins, repository
        self._needs, self._final, self._last = needs, final, stage is final
        self._place = stage.place
        self._workdir = stage.workdir
        self._values: Mapping[str, str] = {}
        self._before: Mapping[str, str] = {}  # the same at the begin of a RUN
        self._opaque: set[int] = set()  # builders of which files are copied, and nothing is read
        self._installers: set[str] = set()  # paths of downloads; "-": the pipe behind one
        self._unread_line = 0  # the last one that may have changed any file
        self._synced: dict[str, set[str]] = {}  # by environment: what the last `uv sync` asked for

    def read(self, seen: set[int]) -> None:
        seen.add(id(self._stage))
        image = self._stage.image
        if not self._origins.has_python(self._stage) or not IMAGE.fullmatch(image):
            shown = image.partition("@")[0] or "unknown"
            what = f"its image is {shown}, and no RUN installs packages of Python"
            raise KeepError(self._stage.place, what, "")
        blockers = self._needs.blockers
        blockers += self._stage.odd
        if python_of(image) is None and not UV.search(image):
            if self._last:
                self._needs.image = image
        elif not re.search("slim|alpine", image):  # such an image has compilers
            self._needs.wheels["build-essential"] = None
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
            if folder := self._stage.env.get(name):
                self._needs.environments.add(absolute("/", folder))
        self._read_builders(seen)
        is_read = not blockers  # else what its builders make is not known either
        for name, copy in self._stage.takes:
            try:
                self._take(name, copy)
            except KeepError as error:
                if is_read:
                    blockers.append(error)
        for run in self._stage.runs:
            self._run(run)

    def _read_builders(self, seen: set[int]) -> None:
        """Read the stages of Python that this one copies from."""
        needs = self._needs
        for name, _ in self._stage.takes:
            builder = self._origins.builder(name)
            if builder is not None and id(builder) not in seen and is_python(builder):
                blockers, unread_runs = len(needs.blockers), len(needs.steps)
                reader = _Reader(builder, self._origins, self._repository, needs, self._final)
                reader.read(seen)
                is_known = len(needs.blockers) == blockers and len(needs.steps) == unread_runs
                if not is_known and self._takes_files_alone(builder):
                    del needs.blockers[blockers:], needs.steps[unread_runs:]
                    self._opaque.add(id(builder))

    def _takes_files_alone(self, builder: Stage) -> bool:
        """Whether nothing that this stage copies from a builder has packages, or is the folder that
        it works in: then the builder may stay as it is.
        """
        sources = [
            absolute("/", copy.source)
            for name, copy in self._stage.takes
            if self._origins.builder(name) is builder
        ]
        for source in sources:
            if self._needs.is_environment(source) or source in self._needs.made:
                return False
            if any(below(path, source) for path in (builder.workdir, *self._needs.environments)):
                return False
        return self._last

    def _take(self, name: str, copy: Copy) -> None:
        builder = self._origins.builder(name)
        source = absolute("/", copy.source)
        if builder is None or not is_python(builder) or id(builder) in self._opaque:
            is_uv = UV.search(name) and posixpath.basename(source) in ("uv", "uvx")
            if not is_uv and name not in self._origins.contexts:
                self._take_files(name, builder, source, copy)
            return
        if copy.mount or UV.search(builder.image):
            return
        for path in list(self._needs.environments):
            if path.startswith(f"{source}/"):
                self._needs.environments.add(absolute(copy.target, posixpath.relpath(path, source)))
        if self._needs.is_environment(source):
            self._needs.environments.add(copy.target)
        elif source in self._needs.made:
            target = (
                posixpath.join(copy.target, posixpath.basename(source))
                if copy.folder
                else copy.target
            )
            self._needs.made[target] = self._needs.made[source]
        elif not any(pair.place == copy.place for pair in self._origins.pairs(self._stage)):
            texts = [step.text for step in self._needs.steps if step.stage is builder]
            if not any(posixpath.basename(source) in text for text in texts):
                what = f"{source} is made in the stage {name}"
                raise KeepError(copy.place, what, "copy what the repository has, or an environment")
            self._needs.made_files.append((builder, self._stage, copy))
        if any(step.stage is builder for step in self._needs.steps):
            self._unread_line = copy.place.line

    def _take_files(self, name: str, builder: Stage | None, source: str, copy: Copy) -> None:
        """Take files of a stage that is not Python, or of an image. What makes them is not read.

        Raises KeepError for what may be packages, and where more than files has to be known.
        """
        image = builder.image if builder else name
        theirs: list[Stage] = []  # stages that may have made packages
        if builder and id(builder) not in self._opaque:
            theirs = [stage for stage in self._origins.stages if not is_python(stage)]
        texts = [source, *(run.text for stage in theirs for run in stage.runs)]
        asks = copy.mount or copy.mode or not self._last or any(stage.secret for stage in theirs)
        if asks or not IMAGE.fullmatch(image) or any(map(_PACKAGES.search, texts)):
            raise KeepError(copy.place, f"{source} is copied of {image}", _COPY)
        origin = {"target" if builder else "image": name}
        self._needs.copies.append(
            {"from": origin, "source": source, "to": copy.target + "/" * copy.folder}
        )

    def _run(self, run: Run) -> None:
        """Take what a RUN does. What slimbake does not know of runs as it is, in the image, where it
        installs no packages; else it is a blocker.
        """
        self._place, self._workdir, self._before = run.place, run.workdir, run.values
        found: list[Step] = []
        unknown: dict[str, KeepError] = {}  # by its text
        others: list[KeepError] = []
        try:
            exact = [Step(list(run.exact), run.workdir, run.values)] if run.exact else None
            found = exact or steps(run.text, run.workdir, run.values)
        except UnreadableError as error:
            others.append(self._needs_shell(error))
        except OnlyAShellError as error:
            unknown[run.text] = self._needs_shell(error)
            self._unread_line = run.place.line
        for step in found:
            self._workdir, self._values = step.workdir, step.values
            command = " ".join(step.words)
            try:
                self._step(step.words, step.unsure)
            except OnlyAShellError as error:
                unknown[command] = self._needs_shell(error)
            except UnknownError:
                advice = "a `build` step may run it: remove it here, and run `slimbake init` again"
                unknown[command] = self._keep(f"RUN {command[:80]}", advice)
            except KeepError as error:
                others.append(error)
            if command in unknown and step.words[0] not in (".", "source"):
                self._unread_line = run.place.line
        for path in run.secrets:
            # uv and pip read no secret on their own, but for one that lies where they look for it.
            said = [word for step in found for word in (*step.words, *step.values.values())]
            named = any(path in word for word in (*said, *self._stage.env.values()))
            if unknown or named or not path.startswith(("/run/", "ssh")):
                what = "a RUN reads a secret: its packages may be of an index with a login"
                others.append(self._keep(what, "give uv the login on each machine that builds"))
        if unknown and not others and (text := self._as_it_is(run, found)):
            self._as_a_step(run, text, unknown)
        else:
            self._needs.blockers += [*list(unknown.values())[:1], *others]

    def _as_a_step(self, run: Run, text: str, unknown: Mapping[str, KeepError]) -> None:
        # Such a command may fill these folders: nothing may lie over them.
        for folder in list(self._needs.folders):
            if any(posixpath.basename(folder) in command for command in unknown):
                del self._needs.folders[folder]
        # Two stages may stand on a third, and have its RUN both.
        if all(step.run.place != run.place for step in self._needs.steps):
            reason = next(iter(unknown.values()))
            self._needs.steps.append(UnreadRun(run, text, reason, self._stage))

    def _needs_shell(self, error: OnlyAShellError) -> KeepError:
        return self._keep(f"RUN needs a shell: {error}", "let it run plain commands")

    def _as_it_is(self, run: Run, found: Sequence[Step]) -> str:
        """The text of a RUN for a shell, without what installs packages; "" where it cannot run in an
        image of slimbake's.
        """
        copies = [*self._stage.copies, *(copy for _, copy in self._stage.takes)]
        if self._stage.image != self._final.image:  # which may have other programs
            return ""
        if any(copy.mount and copy.place == run.place for copy in copies):
            return ""
        text = shlex.join(run.exact) if run.exact else without_comments(run.text)
        for name, value in run.values.items():
            if name in text and OF_PLATFORM.search(value) and value != f"${name}":
                return ""
        for word in {*re.split(r"[\s;&|()\"']+", text), "Makefile" * ("make " in text)}:
            file = self._origins.of(self._stage, absolute(run.workdir, word), run.place.line)
            if INSTALLS.search(self._repository.text(file) or ""):  # a script
                return ""
        return _without_packages(run, found) if _OF_PACKAGES.search(text) else text

    def _source(self, path: str) -> str:
        """The file of the repository that something is installed from, by its path in the image; ""
        where it is none. Raises KeepError where the image may have another by then.
        """
        file = self._origins.of(self._stage, path, self._place.line)
        if file and self._origins.of(self._stage, path, self._unread_line):
            what = f"{file} may be changed by a RUN before it is installed"
            raise self._keep(what, "change it in the repository, or run that after the packages")
        return file

    def _keep(self, what: str, advice: str) -> KeepError:
        return KeepError(self._place, what, advice)

    def _step(self, command: list[str], unsure: str) -> None:
        program, rest = _program_of(command)
        if program in RUNNERS and rest[:1] == ["run"] and len(rest) > 1:
            self._step(rest[1:], unsure)
            return
        if program == "chmod" and self._changes_copy(rest):
            raise UnknownError
        if self._fetches(rest) or self._is_installer(program, [*command[:1], *rest]):
            return
        if _HARMLESS.fullmatch(program) or {"--version", "--help"} & {*rest}:
            return
        if unsure:
            raise OnlyAShellError(unsure)
        if program in ("pip", "uv"):
            for name, value in self._values.items():
                if _INDEX.fullmatch(name):
                    self._index(value)
        if program in _EXPORTS and rest[:1] in (["install"], ["sync"]):
            raise self._keep(f"{program} installs", _EXPORTS[program])
        if not (read := _PROGRAMS.get(program)) or not read(self, rest or [""]):
            raise UnknownError

    def _changes_copy(self, paths: list[str]) -> bool:
        """Whether one of these paths is, or has, a file that comes from another stage or image."""
        changed = [absolute(self._workdir, path) for path in paths]
        for copy in self._needs.copies:
            to: str = copy["to"]
            place = to + posixpath.basename(copy["source"]) if to.endswith("/") else to
            if any(below(place, path) for path in changed):
                return True
        return False

    def _fetches(self, arguments: list[str]) -> bool:
        """Whether a command downloads an installer of what slimbake itself installs with."""
        if not any(map(INSTALLER.match, arguments)):
            return False
        names = [*arguments, *map(posixpath.basename, arguments)]
        self._installers |= {"-", *(absolute(self._workdir, name) for name in names)}
        return True

    def _is_installer(self, program: str, command: list[str]) -> bool:
        """Whether a command is one that was downloaded, by itself or in its shell."""
        is_piped = "-" in self._installers
        self._installers.discard("-")
        if program in SHELLS or _PYTHON.fullmatch(program):
            command = [word for word in command[1:] if word[:1] != "-" or word in ("-", "-s")]
            if not command or command[0] in ("-", "-s"):
                return is_piped
        return absolute(self._workdir, command[0]) in self._installers

    # Each of these returns whether it knows what its words do.

    def _pip(self, arguments: list[str]) -> bool:
        if arguments[0] == "config" and "index-url" in " ".join(arguments):
            self._index(arguments[-1])
        if arguments[0] == "uninstall":
            return self._uninstalls([word for word in arguments[1:] if word[:1] != "-"])
        if arguments[0] not in ("install", "wheel", "sync"):
            return arguments[0] in ("cache", "config", "list", "check", "freeze")
        at, sync = 1, arguments[0] == "sync"
        while at < len(arguments):
            name, _, value = arguments[at].partition("=")
            long = name.startswith("--")
            if not arguments[at].startswith("-"):
                self._named(arguments[at]) if not sync else self._listed(arguments[at])
                at += 1
                continue
            if re.match(r"-[re]\S", arguments[at]) and not long:  # -rrequirements.txt
                name, value = arguments[at][:2], arguments[at][2:]
            following = arguments[at + 1] if at + 1 < len(arguments) else ""
            takes = _WITH_WORD.fullmatch(name) or _ENVIRONMENT.fullmatch(name)
            path = re.match(r"(?!.*\.(?:whl|zip|gz)$)(?:[/\d:]|https?:)", following)
            at += 1
            project = path and self._folder(absolute(self._workdir, following.partition("[")[0]))
            if not value and (takes or (path and long and not project)):
                value, at = following, at + 1
            self._option(name, value)
        return True

    def _uninstalls(self, packages: Sequence[str]) -> bool:
        """Whether what is uninstalled was not asked for before: it is of the image's own Python, or
        another package needs it.
        """
        if self._needs.requirements:
            texts = [*self._needs.requirements, *map(self._repository.text, self._needs.files)]
            for name in packages:
                pattern = re.compile(rf"(?mi)^[\s\"']*{re.escape(name)}(?![\w-])")
                if any(pattern.search(text or "") for text in texts):
                    return False
            what = f"{', '.join(packages)} is uninstalled here, and stays where a package needs it"
            advice = "`remove:` takes its files away"
            self._needs.notes.append(Note("other", self._place, what, advice))
        return True

    def _option(self, name: str, value: str) -> None:
        if name in ("-r", "--requirement", "--requirements"):
            self._listed(value)
        elif name in ("-e", "--editable"):
            self._named(value)
            self._editable(self._folder(absolute(self._workdir, value.partition("[")[0])))
        elif name in ("-c", "--constraint"):
            path = absolute(self._workdir, value)
            file = self._source(path)
            if not file:
                raise self._keep(f"the repository has no {value} with constraints", "commit it")
            self._needs.requirements[f"-c {file}"] = None
            self._read(file)
        elif name == "--pre":
            raise self._keep("pip takes prereleases", "write `--pre` into the requirements file")
        elif _INDEX_OPTION.fullmatch(name):
            self._index(value)
        elif name == "--torch-backend":
            self._needs.torch = value
        elif _ENVIRONMENT.fullmatch(name) and value:
            self._needs.environments.add(absolute(self._workdir, value))

    def _index(self, value: str) -> None:
        if match := _TORCH_INDEX.search(value):
            self._needs.torch = match[1]
        elif re.search(r"^$|\$|://", value):
            what = "its packages come from an index that it names"
            advice = "give uv that index on each machine that builds"
            if all(note.what != what for note in self._needs.notes):
                self._needs.notes.append(Note("breaks", self._place, what, advice))

    def _listed(self, value: str) -> None:
        """A requirements file, by its path in the image."""
        path = absolute(self._workdir, value)
        if path in self._needs.made:
            self._needs.requirements |= dict.fromkeys(self._needs.made[path])
            return
        file = self._source(path)
        if not file or not self._repository.is_file(file):
            raise self._keep(f"the repository has no {value} to install from", "commit it")
        self._needs.requirements[file] = None
        self._read(file)

    def _read(self, file: str) -> None:
        """Note that a file was read, with those that it includes."""
        if file in self._needs.files:
            return
        self._needs.files[file] = None
        text = self._repository.text(file) or ""
        if match := _TORCH_INDEX.search(text):
            self._needs.torch = match[1]
        for name in re.findall(r"(?m)^(?:-r|--requirement|-c|--constraint)[ =]\s*(\S+)", text):
            self._read(posixpath.normpath(posixpath.join(posixpath.dirname(file), name)))

    def _named(self, word: str) -> None:
        """A package, by its name, its address, or its folder."""
        if _LOGIN.search(word):
            raise self._keep("a package is of an address with a login", "give uv the login")
        bare, bracket, extras = word.partition("[")
        if re.match(r"[./]", word) or ("/" in bare and "://" not in word and "@" not in word):
            path = absolute(self._workdir, bare.rstrip("*"))
            if word.endswith((".whl", "*")) or self._needs.is_environment(path):
                if self._needs.is_environment(path):
                    return
                raise self._keep(f"{word} is a built package", "require the folder of its sources")
            self._project(path, bracket + extras, word)
            return
        name = re.split(r"[\s\[<>=!~;@]", word)[0].lower()
        if name not in _INSTALLERS and not name.startswith("poetry-"):
            self._needs.requirements[word] = None

    def _project(self, path: str, extras: str, word: str) -> None:
        folder = self._folder(path)
        for name, value in self._values.items():
            if self._before.get(name) != value and not re.match("(?:PIP|UV)_", name):
                what = f"{name} is set for this RUN alone, and may change how {word} is built"
                raise self._keep(what, "let its build do without")
        if not folder:
            raise self._keep(f"the repository has no project to install as {word}", "copy it")
        self._needs.files[joined(folder, "pyproject.toml")] = None
        self._needs.requirements[f"{_dotted(folder)}{extras}"] = None

    def _editable(self, folder: str) -> None:
        """Note a project that runs from its checkout. A wheel of setuptools may have less than that."""
        system = self._table(folder).get("build-system", {})
        if folder and system.get("build-backend", "setuptools").startswith("setuptools"):
            source = joined(folder, "src")
            self._needs.checkouts[source if self._repository.has(source) else folder] = None

    def _around(self, path: str) -> str:
        """The same, or that of the nearest project around it, as uv and Poetry look for one."""
        while not (folder := self._folder(path)) and path != "/":
            path = posixpath.dirname(path)
        return folder

    def _folder(self, path: str) -> str:
        """The folder of the repository whose project lies at a path of the image; "" for none."""
        for name in ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile"):
            if file := self._source(posixpath.join(path, name)):
                return posixpath.dirname(file) or "."
        return ""

    def _uv(self, arguments: list[str]) -> bool:
        if arguments[0] == "pip":
            return self._pip(arguments[1:] or [""])
        if arguments[0] == "venv":
            return self._venv(arguments[1:] or [".venv"])
        if arguments[0] in ("sync", "export"):
            options = _said(arguments[1:])
            at = options.get("--directory", options.get("--project", [""]))[-1]
            folder = self._around(absolute(self._workdir, at))
            table = self._table(folder)
            if package := options.get("--package", [""])[-1]:
                folder = self._member(folder, package)
                table = self._table(folder)
            tool = table.get("tool", {}).get("uv", {})
            whole = "build-system" in table or tool.get("package") is True
            alone = {"--no-install-project", "--no-install-workspace"} & options.keys()
            groups = [*options.get("--group", ())]
            all_groups = list(table.get("dependency-groups", {}))
            without = {"--no-dev", "--no-default-groups"} & options.keys()
            if not without and self._values.get("UV_NO_DEV", "0") == "0" and "dev" in all_groups:
                groups.append("dev")
            groups = all_groups if "--all-groups" in options else groups
            extras = options.get("--extra", [])
            if "--all-extras" in options:
                extras = list(table.get("project", {}).get("optional-dependencies", {}))
            whole = whole and not alone and arguments[0] == "sync"
            if whole and "--no-editable" not in options:
                self._editable(folder)
            before = self._without_synced(folder, options) if arguments[0] == "sync" else set()
            if only := options.get("--only-group"):
                is_known = self._groups(folder, only)
            else:
                requirements = _asked(folder, extras, groups, whole=whole)
                exports = arguments[0] == "export"
                is_known = self._asked(folder, requirements, options, exports=exports)
            if arguments[0] == "sync":
                self._synced[self._environment(folder, options)] = {
                    *self._needs.requirements
                } - before
            return is_known
        return arguments[0] in ("cache", "lock", "python")

    def _without_synced(self, folder: str, options: Mapping[str, list[str]]) -> set[str]:
        """What is asked for without what an earlier `uv sync` of this environment asked for: another
        removes what its own project does not need.
        """
        if "--inexact" not in options:
            for name in self._synced.pop(self._environment(folder, options), ()):
                self._needs.requirements.pop(name, None)
        return {*self._needs.requirements}

    def _environment(self, folder: str, options: Mapping[str, list[str]]) -> str:
        """The environment that `uv sync` fills."""
        active = self._values.get("VIRTUAL_ENV", "") if "--active" in options else ""
        return active or self._values.get("UV_PROJECT_ENVIRONMENT", "") or joined(folder, ".venv")

    def _poetry(self, arguments: list[str]) -> bool:
        if arguments[0] not in ("install", "export", "sync"):
            return arguments[0] in ("config", "self", "lock", "cache", "check", "env")
        options = _said(arguments[1:])
        folder = self._around(
            absolute(self._workdir, options.get("--directory", options.get("-C", [""]))[-1])
        )
        table = self._table(folder)
        tool = table.get("tool", {}).get("poetry", {})
        group_tables = tool.get("group", {}) | ({"dev": {}} if "dev-dependencies" in tool else {})
        listed = {key: _listed(options.get(key, ())) for key in ("--with", "--without", "--only")}
        groups = [
            name
            for name, group in group_tables.items()
            if (not group.get("optional") and name not in listed["--without"])
            or name in listed["--with"]
        ]
        if arguments[0] == "export" or {"--no-dev", "--only-root"} & options.keys():
            groups = listed["--with"]
        if only := listed["--only"]:
            groups = [name for name in only if name != "main"]
            if "main" not in only:
                return self._groups(folder, groups)
        extras = _listed(options.get("--extras", options.get("-E", ())))
        if "--all-extras" in options:
            extras = list(tool.get("extras", {}))
        whole = (
            tool.get("package-mode", True)
            and "--no-root" not in options
            and arguments[0] != "export"
        )
        return self._asked(
            folder,
            _asked(folder, extras, groups, whole=whole),
            options,
            exports=arguments[0] == "export",
        )

    def _groups(self, folder: str, groups: Sequence[str]) -> bool:
        self._needs.requirements |= {
            joined(folder, f"pyproject.toml:{name}"): None for name in groups
        }
        return bool(folder)

    def _asked(
        self,
        folder: str,
        requirements: Sequence[str],
        options: Mapping[str, list[str]],
        *,
        exports: bool,
    ) -> bool:
        if not folder:
            raise self._keep("the repository has no pyproject.toml to install from", "copy it")
        self._needs.files[joined(folder, "pyproject.toml")] = None
        if exports:
            output = options.get("-o", options.get("--output", options.get("--output-file", [""])))[
                -1
            ]
            self._needs.made[absolute(self._workdir, output)] = tuple(requirements)
            return bool(output)
        self._needs.environments.add(absolute(self._workdir, ".venv"))
        bare = {joined(folder, "pyproject.toml"), _dotted(folder)}
        for name in [e for e in self._needs.requirements if e.partition("[")[0] in bare]:
            if any(
                requirement.startswith("./") or requirement == "." for requirement in requirements
            ):
                del self._needs.requirements[name]
        self._needs.requirements |= dict.fromkeys(requirements)
        return True

    def _activate(self, arguments: list[str]) -> bool:
        folder, name = posixpath.split(absolute(self._workdir, arguments[0]))
        if name != "activate":
            return False
        return self._venv([posixpath.dirname(folder)])

    def _venv(self, arguments: list[str]) -> bool:
        self._needs.environments |= {
            absolute(self._workdir, word) for word in arguments if not word.startswith("-")
        }
        return True

    def _apt(self, arguments: list[str]) -> bool:
        pairs = zip(["", *arguments], arguments, strict=False)
        plain = [w for before, w in pairs if w[:1] != "-" and not _APT_VALUE.fullmatch(before)]
        if plain[:1] == ["install"]:
            if any(_APT_SOURCE.search(step.text) for step in self._needs.steps):
                what = "its Debian packages may be of a source that a RUN adds"
                raise self._keep(what, "build from an image that has them")
            for word in plain[1:]:
                name = word.partition("=")[0].partition(":")[0]
                if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
                    raise self._keep(f"apt-get install {word}", "name Debian packages")
                if _DEBIAN_PYTHON.fullmatch(name):
                    continue
                if self._needs.image and name.startswith("python3-"):
                    what = f"{name} is for the Python of its image, which slimbake does not use"
                    raise self._keep(what, "require the package of PyPI")
                for_wheels = not self._last or _FOR_WHEELS.fullmatch(name)
                (self._needs.wheels if for_wheels else self._needs.system)[name] = None
        elif plain[:1] in (["remove"], ["purge"]):
            for word in plain[1:]:
                self._needs.system.pop(word, None)
        return bool(plain)

    def _apk(self, arguments: list[str]) -> bool:
        plain = [word for word in arguments if not word.startswith(("-", "."))]
        if self._needs.image:
            raise self._keep("its image is Alpine's", "build from Debian: python:VERSION-slim")
        needed = [word for word in plain[1:] if not _FOR_MUSL.fullmatch(word)]
        if plain[:1] == ["add"] and needed:
            raise self._keep(
                f"apk add {' '.join(needed)}", "build from Debian: python:VERSION-slim"
            )
        return bool(plain)

    def _users(self, arguments: list[str]) -> bool:
        names = (word for word in reversed(arguments) if re.fullmatch(r"[a-z_][\w-]*", word))
        name, line = next(names, ""), " ".join(arguments)
        match = re.search(r"(?:^| )(?:--uid[ =]|-[a-zA-Z]*u ?)(\d+)(?= |$)", line)
        home = re.search(r"(?:^| )(?:--home(?:-dir)?[ =]|-[a-zA-Z]*d ?)(/\S+)", line)
        # Debian gives 1000 to the first user that is none of the system's.
        system = re.search(r"(?:^| )(?:--system|-[a-zA-Z]*[rS][a-zA-Z]*)(?= |$)", line)
        users = self._needs.users
        users.setdefault(name, match[1] if match else "" if system else str(1000 + len(users)))
        self._needs.homes[home[1] if home else f"/home/{name}"] = None
        return True

    def _mkdir(self, arguments: list[str]) -> bool:
        for word in arguments:
            if self._last and not word.startswith("-") and "{" not in word:
                self._needs.folders[absolute(self._workdir, word)] = self._place
        return True

    def _table(self, folder: str) -> dict[str, Any]:
        try:
            return toml_value(self._repository.text(joined(folder, "pyproject.toml")) or "")
        except (ValueError, RecursionError):
            return {}

    def _member(self, folder: str, package: str) -> str:
        """The folder of a workspace's member."""
        for path in self._repository.below(folder or "."):
            inner = posixpath.dirname(path) or "."
            project = (
                self._table(inner).get("project", {}) if path.endswith("pyproject.toml") else {}
            )
            if project.get("name") == package:
                return inner
        raise self._keep(f"the repository has no package {package}", "name one of the workspace")


_PROGRAMS: Mapping[str, Callable[[_Reader, list[str]], bool]] = {
    "pip": _Reader._pip,
    "uv": _Reader._uv,
    "poetry": _Reader._poetry,
    "venv": _Reader._venv,
    "virtualenv": _Reader._venv,
    **dict.fromkeys((".", "source"), _Reader._activate),
    "apt-get": _Reader._apt,
    "apt": _Reader._apt,
    "apk": _Reader._apk,
    "mkdir": _Reader._mkdir,
    **dict.fromkeys(("useradd", "adduser"), _Reader._users),
    "usermod": lambda _, words: not _CHANGES_USER.search(f" {' '.join(words)} "),
    "ln": lambda _, words: _links_installers(words),
    "update-alternatives": lambda _, words: _links_installers(words),
    "git": lambda _, words: words[:2] == ["lfs", "install"],
}


def _without_packages(run: Run, found: Sequence[Step]) -> str:
    """The commands of a RUN but those that install packages, for a shell; "" where they are more than
    a list of plain commands.
    """
    lines = []
    for step in found:
        if step.piped or step.unsure:
            return ""
        if _program_of(step.words)[0] in (*_INSTALLERS, *RUNNERS, "apt-get", "apt"):
            continue
        command = shlex.join(step.words)
        if "$" in command or _OF_PACKAGES.search(command):
            return ""
        words = [f"cd {shlex.quote(step.workdir)} &&"]
        for name, value in step.values.items():
            if run.values.get(name) != value:  # set in the RUN itself
                words.append(f"{name}={shlex.quote(value)}")
        lines.append(" ".join([*words, command]))
    return " && ".join(lines)


def _program_of(command: Sequence[str]) -> tuple[str, list[str]]:
    """The name of a program, and its arguments: of `python -m pip`, pip's."""
    program, rest = posixpath.basename(command[0]), list(command[1:])
    if _PYTHON.fullmatch(program) and rest and rest[0].startswith("-m"):
        module = rest.pop(0).removeprefix("-m")
        program = module or (rest.pop(0) if rest else program)
    return re.sub(r"^(pip)3?(?:\.\d+)?$", r"\1", program), rest


def _links_installers(arguments: Sequence[str]) -> bool:
    """Whether all paths among these are of Python, or of what installs packages: images have a Python
    of their own.
    """
    names = [posixpath.basename(word) for word in arguments if word.startswith("/")]
    programs = re.compile(rf"(?:python|pip)[\d.]*|{'|'.join(sorted(_INSTALLERS))}")
    return bool(names) and all(programs.fullmatch(name) for name in names)


def _said(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Options with their values, of a command that takes nothing else."""
    options: dict[str, list[str]] = {}
    name = ""
    for word in arguments:
        if word.startswith("-"):
            name, equals, value = word.partition("=")
            options.setdefault(name, []).extend([value] if equals else [])
        elif name:
            options[name].append(word)
    return options


def _listed(values: Sequence[str]) -> list[str]:
    return [item for value in values for item in re.split(r"[,\s]+", value) if item]


def _asked(folder: str, extras: Sequence[str], groups: Sequence[str], *, whole: bool) -> list[str]:
    """A project with its extras and groups, in the manifest's words; `whole`: it is installed itself."""
    bracket = f"[{','.join(extras)}]" if extras else ""
    project = f"{_dotted(folder)}{bracket}" if whole else joined(folder, f"pyproject.toml{bracket}")
    return [project, *(joined(folder, f"pyproject.toml:{name}") for name in dict.fromkeys(groups))]


def _dotted(folder: str) -> str:
    return "." if folder == "." else f"./{folder}"
