"""A service that slimbake builds: how it is started, and what its image has. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from slimbake.adopt.code import APP, Code
from slimbake.adopt.commands import RUNNERS, Needs
from slimbake.adopt.dockerfile import OF_PLATFORM
from slimbake.adopt.files import below, is_plain_python, joined, python_of
from slimbake.adopt.model import (
    Command,
    ComposeService,
    Entry,
    Health,
    KeepError,
    Note,
    Place,
    Repository,
    Stage,
)
from slimbake.adopt.shell import plain_words
from slimbake.config.naming import HOME, NONROOT_HOME
from slimbake.config.secrecy import OF_A_FILE, looks_secret
from slimbake.config.shells import SHELLS, reaped
from slimbake.inside.step import NONROOT

OF_BUILDS = re.compile(r"(?:PIP|UV|POETRY|PIPENV|PDM)_|(?:PATH|VIRTUAL_ENV|HOME|DEBIAN_FRONTEND)$")
_FLAG = re.compile(r"--(?:no-[a-z-]+|frozen|locked|offline|isolated|quiet|active)")
_RUNNER = re.compile(
    rf"(?<![\w./-])(?:{'|'.join(RUNNERS)}) run (?:{_FLAG.pattern} )*(?=(\S+\.py\b)|[^\s-])"
)
_PYTHON = re.compile(r"python3?(?:\.\d+)?")
# What scripts call that python:slim has and slimbake's images do not: Debian packages of essentials.
_TOOLS = {
    "grep": "grep",
    "egrep": "grep",
    "sed": "sed",
    "awk": "mawk",
    "find": "findutils",
    "xargs": "findutils",
    "hostname": "hostname",
    "tar": "tar",
    "gzip": "gzip",
    "getent": "libc-bin",
    "diff": "diffutils",
    "curl": "curl",
    "wget": "wget",
}
_FETCHERS = ("curl", "wget")  # which python:VERSION has without -slim
_OR_FAIL = re.compile(r"(?<!\s)\s*\|\|\s*(?:exit 1|false|kill 1)\s*$")
_ABSOLUTE = re.compile(r"/[A-Za-z0-9._@+/-]*")
_USUAL_OF_PATH = re.compile(r"(?:/usr(?:/local)?)?/s?bin|.*(?:poetry|uv|cargo)\b.*")
# Folders that slimbake's image has, or in which nothing is written.
_OF_THE_IMAGE = (NONROOT_HOME, HOME, "/tmp", "/var/lib", "/etc", "/usr")  # noqa: S108


class Own:
    """The entry of a service, made in steps. `script`: whether a shell runs its command."""

    def __init__(
        self, stage: Stage, needs: Needs, compose: ComposeService | None, repository: Repository
    ) -> None:
        self._stage, self._needs, self._repository = stage, needs, repository
        self._is_composed = compose is not None
        self._compose = compose or ComposeService(name="", place=stage.place, build=None)
        self._system = dict(needs.system)
        self._shell = False
        self._workdir = ""
        self.script = False
        self.code = Code()
        self.commands = self._commands()
        self.notes: list[Note] = []

    def entry(self, code: Code) -> Entry:
        """The entry. Raises KeepError for what slimbake does not start or keep as today.

        The steps have an order: paths follow the code, the health check needs the port, and commands
        say which Debian packages and whether a shell are needed.
        """
        entry: Entry = {}
        user, home = self._user()
        self.code = replace(code, moves=(*code.moves, *self._homes(code, home)))
        self._place_code(entry)
        for key, command in self.commands.items():
            entry[key] = self._words(command, first=key == next(iter(self.commands)))
        if env := self._env():
            entry["env"] = env
        self._ports(entry)
        if user:
            entry["user"] = user
        self._mounts(entry)
        if self._stage.stop_signal:
            entry["stop_signal"] = self._stage.stop_signal
        self._health(entry)
        self._packages(entry)
        if self._shell and not self._needs.image:
            entry["shell"] = True
        return entry

    def _commands(self) -> dict[str, Command]:
        """What is started, by its key: the program first. Raises KeepError where nothing is."""
        compose, stage = self._compose, self._stage
        entrypoint = compose.entrypoint or stage.entrypoint
        command = compose.command
        if command is None and not compose.entrypoint:
            command = stage.command
        if not command and not entrypoint and is_plain_python(stage.image):
            command = Command(("python3",), stage.place)
        if entrypoint and entrypoint.shell:  # Docker takes no arguments then
            command = None
        if entrypoint and not command and self._is_composed:
            # Without a compose file it would be a tool that people start.
            entrypoint, command = None, entrypoint
        started: dict[str, Command] = {}
        if entrypoint and entrypoint.words:
            started["entrypoint"] = entrypoint
        if command and command.words:
            started["command"] = command
        if not started:
            what = "it has no CMD and no ENTRYPOINT: it starts nothing"
            raise KeepError(stage.place, what, "write CMD, or `command` in the compose file")
        if len(started) == 1:
            [(key, only)] = started.items()
            started[key] = _as_text(only)
        return started

    def _user(self) -> tuple[str, str]:
        """The user in numbers, "" for slimbake's own; and its home."""
        for user in (self._compose.user, self._stage.user):
            name, _, group = user.partition(":")
            number = name if name.isdecimal() else self._needs.users.get(name, "")
            if number.isdecimal() and number != "0":
                return (f"{number}:{group}" if group.isdecimal() else number), HOME
        return "", HOME if self._needs.image else NONROOT_HOME

    def _homes(self, code: Code, home: str) -> list[tuple[str, str]]:
        """Where homes of today's users are: a writable folder of slimbake's image."""
        moves = dict(code.moves)
        homes = ("/root", *self._needs.homes)
        return [(path, home) for path in homes if path not in moves and path.count("/") <= 2]

    def _place_code(self, entry: Entry) -> None:
        """Where the code comes from, and where the command runs."""
        code = self.code
        self._workdir = code.moved(self._compose.workdir or self._stage.workdir)
        if code.context:
            entry["context"] = code.context
        elif self._workdir != "/" and not self._needs.copies:
            self._workdir = APP
        if code.include:
            entry["include"] = list(code.include)
        if self._workdir != APP:
            entry["workdir"] = self._workdir

    # Commands.

    def _words(self, command: Command, *, first: bool) -> list[str]:
        """The words of a command; a shell's text stays one, and keeps its shell."""
        words = command.words
        if command.shell:
            words = tuple(plain_words(words[0]))
            if not words:
                text = _RUNNER.sub(lambda found: "python " if found[1] else "", command.words[0])
                words = (posixpath.basename(command.shell[0]), *command.shell[1:], text)
        arguments = [self.moved(word).removeprefix("/usr/local/bin/") for word in words]
        if first:
            return self._started(arguments, command.place)
        return arguments

    def moved(self, text: str) -> str:
        """A text with its paths as slimbake's image has them; programs are on PATH."""
        text = self.code.moved(text)
        environments = (self._needs.environments | {"/root/.local"}) - {"/usr/local"}
        folders = set(environments)
        for folder in environments:
            folders.add(self.code.moved(folder))
            folders.add(posixpath.relpath(folder, self._stage.workdir))
        for folder in folders:
            text = re.sub(rf"(?<![\w./-])(?:\./)?{re.escape(folder)}/bin/(?=\w)", "", text)
        return text

    def numbered(self, text: str) -> str:
        """The text of a RUN with numbers for users of today's image, to whom it gives files: slimbake's
        image has a user of that number, by another name.
        """
        for name, number in self._needs.users.items():
            owner = number or str(NONROOT)
            pattern = rf"(?<![\w./-])(chown (?:-\S+ )*){re.escape(name)}(?::\w*)?(?= )"
            text = re.sub(pattern, rf"\g<1>{owner}:{owner}", text)
        return text

    def _started(self, arguments: list[str], place: Place) -> list[str]:
        """The words of a command with a program that the image has, behind tini or dumb-init, too."""
        command = list(reaped(arguments))
        before = arguments[: len(arguments) - len(command)]
        command = self._program(self._without_runners(command, place), place)
        self._refuse_programs_of_the_image(command, place)
        shell = posixpath.basename(command[0])
        if shell in SHELLS:
            self._needs_shell(shell, " ".join(command), place)
        return [*before, *command]

    def _refuse_programs_of_the_image(self, command: Sequence[str], place: Place) -> None:
        """Raise KeepError for a program, or a module, after which an image that is no Python's is
        called: no RUN installs it.
        """
        image = self._needs.image
        if python_of(image) is not None:
            return
        programs = [posixpath.basename(command[0]).partition(".")[0]]
        if "-m" in command[:-1]:
            programs.append(command[command.index("-m") + 1].partition(".")[0])
        for program in programs:
            if program in ("python", *SHELLS):
                continue
            if program in re.split(r"[/:@_-]", image):
                what = f"{program} is of its image, {image}, as are packages that it needs"
                raise KeepError(place, what, "require its packages")

    def _without_runners(self, arguments: list[str], place: Place) -> list[str]:
        """The words behind `uv run` and its like."""
        while arguments[1:] and arguments[0] in RUNNERS and arguments[1] == "run":
            arguments = arguments[2:]
            while arguments and arguments[0].startswith("-"):
                if not _FLAG.fullmatch(arguments[0]):
                    what = f"`run {arguments[0]}`: init does not know this option"
                    raise KeepError(place, what, "start the program itself")
                arguments = arguments[1:]
            if arguments and arguments[0].endswith(".py"):
                arguments = ["python", *arguments]
        if not arguments:
            raise KeepError(place, "its command has no program", "write one")
        return arguments

    def _program(self, arguments: list[str], place: Place) -> list[str]:
        """The words with a program that slimbake's image has."""
        program = self.code.program(arguments[0])
        rest = arguments[1:]
        if re.fullmatch(rf"(?:.*/bin/)?{_PYTHON.pattern}", program):
            named = next((word for word in rest if not word.startswith("-")), "")
            if named.endswith(".py") and "-m" not in rest and not self._source(named):
                what = f"the image has no {named}"
                raise KeepError(place, what, "copy it, or name a `target` that copies it")
            return ["python", *rest]
        for word in (program, *rest):
            source = self._source(word)
            if source and (word == program or posixpath.basename(program) in SHELLS):
                return self._scripted([program, *rest], word, source)
            if source:
                break
        of_the_system = program.startswith(("/usr/", "/bin/", "/sbin/"))
        if program.startswith(("/", "./")) and not of_the_system:
            what = f"{program} is no file of the repository"
            raise KeepError(place, what, "copy it from there")
        if re.match(r"-|\w+\.\w", program):
            what = f"{program} is no program, and may be for an ENTRYPOINT of its image"
            raise KeepError(place, what, "start the program itself")
        return [program, *rest]

    def _source(self, word: str) -> str:
        """The file of the repository that a word names; "" for none."""
        path = joined(self._workdir, word)
        source = self.code.source(path)
        return source if self._repository.is_file(source) else ""

    def _scripted(self, arguments: list[str], script: str, source: str) -> list[str]:
        """A command that is a script of the repository."""
        text = self._repository.text(source) or ""
        line = text.partition("\n")[0]
        place = Place(source, 1)
        if "\r" in line:
            raise KeepError(place, "its lines end with CR LF", "save it with LF")
        program = "sh" if source.endswith(".sh") else ""
        names_program = line.startswith("#!")
        if names_program:
            words = [posixpath.basename(word) for word in line[2:].split()]
            program = next((w for w in words if w != "env" and not w.startswith("-")), program)
        is_program = arguments[0] == script
        if _PYTHON.fullmatch(program):
            if is_program:
                return ["python", script, *arguments[1:]]
            return arguments
        if program not in SHELLS:
            raise KeepError(place, f"it is run by {program or 'nothing known'}", "name a shell")
        self._needs_shell(program, text, Place(source))
        if not is_program:
            return arguments
        if not names_program or not self._repository.executable(source):
            return [program, self._with_folder(script), *arguments[1:]]
        return [self._with_folder(script), *arguments[1:]]

    def _with_folder(self, script: str) -> str:
        return script if "/" in script else f"./{script}"

    def _needs_shell(self, name: str, text: str, place: Place) -> None:
        """Have a shell in the image, and what its text calls of essentials. An image of the user's
        has what its own Dockerfile installs.
        """
        self._shell = self.script = True
        runner = rf"(?<![\w./-])(?:(?:{'|'.join(RUNNERS)}) run|pip3? install)\b"
        absent = rf"{runner}|(?:\.|source) \S*\bactivate\b|{self._needs.path_of_packages()}"
        if match := re.search(absent, text):
            raise KeepError(place, f"`{match[0]}`: the image does not have it", "start the program")
        if self._needs.image:
            return
        if name not in ("sh", "dash"):
            self._system[name] = None
        for tool, package in _TOOLS.items():
            if re.search(rf"(?<![\w./-]){tool}(?= )", text):
                self._system[package] = None

    # What containers have.

    def _env(self) -> dict[str, str]:
        """The variables of the image."""
        variables: dict[str, str] = {}
        for name, value in self._stage.env.items():
            if OF_BUILDS.match(name):
                if name == "PATH":
                    self._refuse_folders_of_path(value)
                continue
            if OF_PLATFORM.search(value):
                what = f"ENV {name} is another on each platform"
                raise KeepError(self._stage.place, what, "write its value")
            if looks_secret(name, value) and not OF_A_FILE.search(name) and len(value) > 1:
                what = f"ENV {name} looks like a secret"
                advice = f"`environment: {{{name}: ${{{name}}}}}` takes it from the shell"
                self.notes.append(Note("lost", self._stage.place, what, advice))
                continue
            variables[name] = self.moved(value)
        paths = variables.get("PYTHONPATH", "").split(":")
        for folder in self._needs.checkouts:
            if self.code.context and below(folder, self.code.context):
                paths.append(joined(APP, posixpath.relpath(folder, self.code.context)))
                variables["PYTHONPATH"] = ":".join(filter(None, dict.fromkeys(paths)))
        return variables

    def _refuse_folders_of_path(self, path: str) -> None:
        """Raise KeepError for a folder of PATH that slimbake's image does not have there."""
        for folder in path.split(":"):
            if not folder.startswith("/") or _USUAL_OF_PATH.fullmatch(folder):
                continue
            around = posixpath.dirname(folder)
            if self._needs.is_environment(folder) or self._needs.is_environment(around):
                continue
            what = f"PATH has {self.code.moved(folder)}"
            raise KeepError(self._stage.place, what, "name programs with their folder")

    def _ports(self, entry: Entry) -> None:
        """The port of the service, and further ones."""
        compose = self._compose
        numbers = [*(inside for _, inside in compose.ports), *compose.expose]
        if not numbers and not compose.command and not compose.entrypoint:
            numbers = self._stage.ports
        if numbers:
            entry["port"], *further = dict.fromkeys(numbers)
            if further:
                entry["expose"] = further

    def _mounts(self, entry: Entry) -> None:
        """The folders that are written to."""
        volumes: dict[str, str] = {}
        for path in self._stage.volumes:
            name = re.sub(r"\W+", "-", path).strip("-") or "data"
            volumes[name] = self.code.moved(path)
        if volumes:
            entry["volumes"] = volumes
        mounted = map(self.code.moved, self._compose.volumes.values())
        folders = self._folders([*volumes.values(), *mounted])
        if folders:
            entry["tmpfs"] = folders
            what = f"what is written to {', '.join(folders)}, at each restart"
            place = next(iter(self._needs.folders.values()))
            self.notes.append(Note("lost", place, what, "`volumes` in place of `tmpfs` keeps it"))

    def _folders(self, volumes: Sequence[str]) -> list[str]:
        """Folders that the Dockerfile makes for its program to write to."""
        folders: list[str] = []
        copied = [old for old, _ in self.code.moves] + [self._stage.workdir]
        for path in self._needs.folders:
            if any(below(target, path) for target in copied) or self._needs.is_environment(path):
                continue
            moved = self.code.moved(path)
            if moved.startswith(_OF_THE_IMAGE) or not _ABSOLUTE.fullmatch(moved):
                continue
            source = self.code.source(moved)
            if source and self._repository.below(source):
                continue
            if not any(below(moved, volume) for volume in volumes):
                folders.append(moved)
        tops: list[str] = []
        for path in folders:
            if not any(path != other and below(path, other) for other in folders):
                tops.append(path)
        return tops

    def _health(self, entry: Entry) -> None:
        """The compose file's health check, or the Dockerfile's for the command that it is for."""
        compose, health = self._compose, self._stage.health
        if compose.health:
            self._healthcheck(compose.health, entry)
        elif health and (compose.command or compose.entrypoint) and "port" not in entry:
            what = "HEALTHCHECK is for the command that the compose file replaces"
            self.notes.append(Note("lost", health.place, what, "`healthcheck:` there says another"))
        elif health:
            self._healthcheck(health, entry)

    def _healthcheck(self, health: Health, entry: Entry) -> None:
        if health.command is None:
            if "port" in entry:
                entry["healthcheck"] = False
            return
        check: Entry = {}
        if health.command.words:
            words = tuple(_OR_FAIL.sub("", word) for word in health.command.words)
            script = self.script
            check["test"] = self._words(replace(health.command, words=words), first=True)
            self.script = script  # its command is none
            if check["test"][0] in _FETCHERS and not self._needs.image:
                self._system[check["test"][0]] = None
        elif "port" not in entry:
            return
        check |= health.times
        if [*check] == ["test"]:
            entry["healthcheck"] = check["test"]
        elif check:
            entry["healthcheck"] = check

    def _packages(self, entry: Entry) -> None:
        """The packages of Python and of Debian."""
        context, listed = self.code.context, list(self._needs.requirements)
        if listed or context:
            entry["requirements"] = listed
        if len(listed) == 1 and context:
            file, bracket, extras = listed[0].partition("[")
            if self._repository.is_file(file):
                inner = posixpath.relpath(file, context)
                if not inner.startswith(".."):
                    entry["requirements"] = inner + bracket + extras
        if self._system:
            entry["system"] = list(self._system)
        wheels = [name for name in self._needs.wheels if name not in self._system]
        if wheels:
            entry["wheels"] = {"system": wheels}


def _as_text(command: Command) -> Command:
    """A command whose words start a shell, as that shell's text."""
    match command.words:
        case (shell, "-c", text) if posixpath.basename(shell) in SHELLS:
            return Command((text,), command.place, (shell, "-c"))
    return command
