"""What the commands of a RUN install. What else they do is not known. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from slimbake.adopt.dockerfile import INSTALLER, absolute
from slimbake.adopt.files import Origins, below, joined
from slimbake.adopt.model import Entry, KeepError, Note, Place, Repository, Run, Stage
from slimbake.adopt.projects import (
    Asked,
    Options,
    asked_of_poetry,
    asked_of_uv,
    dotted,
    last_of,
    options_of,
)
from slimbake.adopt.shell import OnlyAShellError, Step
from slimbake.config.shells import SHELLS
from slimbake.config.specs import FILE_ENDINGS
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
INSTALLERS = frozenset(("pip", "uv", "poetry", "pipenv", "pdm", "virtualenv", "wheel", "build"))
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
_INDEX = re.compile(r"(?:PIP|UV)_(?:(?:EXTRA_|DEFAULT_)?INDEX(?:_URL)?|FIND_LINKS)")
_SHORT = re.compile(r"-[qvUI]*([rec])(\S*)")  # of pip: -qr requirements.txt, -rrequirements.txt
_APT_VALUE = re.compile(r"-\w*[otc]|--(?:option|target-release|default-release|config-file)")
_APT_SOURCE = re.compile(r"/etc/apt/|\badd-apt-repository\b|\bapt-key\b|keyring")
_LOGIN = re.compile(r"://[^/\s@]+@")


class UnknownError(KeepError):
    """A command of which slimbake does not know what it does. It may run as it is."""


def lists_packages(path: str) -> bool:
    """Whether a file is named as those that say what is installed."""
    return _LOCKS.fullmatch(posixpath.basename(path)) is not None


@dataclass(frozen=True, slots=True)
class UnreadRun:
    """A RUN that a service's image runs as it is."""

    run: Run
    text: str  # for the shell of its stage
    unknown: KeepError  # why


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
    image: str = ""  # that has more than Python: `from`
    checkouts: dict[str, None] = field(default_factory=dict)  # code that is installed editable
    torch: str = ""
    notes: list[Note] = field(default_factory=list)
    steps: list[UnreadRun] = field(default_factory=list)
    blockers: list[KeepError] = field(default_factory=list)  # what slimbake does not do itself

    def is_environment(self, path: str) -> bool:
        """Whether a path of an image holds installed packages, or lies where they are."""
        if any(below(path, folder) for folder in ("/usr/local", *self.environments)):
            return True
        return re.search(r"/site-packages|/\.?(?:local|venv)(?:/|$)", path) is not None

    def path_of_packages(self) -> str:
        """A pattern for paths of packages in an image of today: slimbake has them elsewhere."""
        folders = [r"/[\w./-]+-packages"]
        for folder in sorted(self.environments):
            if folder not in ("/usr", "/usr/local"):
                name = re.escape(posixpath.basename(folder))
                folders += [re.escape(folder), rf"(?:\./)?{name}/(?:bin|lib)"]
        return rf"(?<![\w./-])(?:{'|'.join(folders)})(?![\w.-])[\w./-]*"


class Commands:
    """Takes what the commands of a stage install into `needs`."""

    def __init__(
        self, stage: Stage, origins: Origins, repository: Repository, needs: Needs, *, last: bool
    ) -> None:
        self._stage, self._origins, self._repository = stage, origins, repository
        self._needs, self._last = needs, last
        self._place = stage.place
        self._workdir = stage.workdir
        self._text = ""  # of the command, to show
        self._values: Mapping[str, str] = {}
        self._before: Mapping[str, str] = {}  # the same at the begin of a RUN
        self._installers: set[str] = set()  # paths of downloads; "-": the pipe behind one
        self.unread: list[UnreadRun] = []
        self.unread_line = 0  # the last one that may have changed any file

    def begin(self, run: Run) -> None:
        """What follows are commands of this RUN."""
        self._place, self._workdir, self._before = run.place, run.workdir, run.values

    def take(self, step: Step) -> None:
        """Take one command. Raises UnknownError where slimbake does not know what it does, KeepError
        where it knows and does not do it.
        """
        self._workdir, self._values = step.workdir, step.values
        self._text = " ".join(step.words)[:80]
        self._step(step.words, step.unsure)

    def needs_shell(self, error: OnlyAShellError | str) -> UnknownError:
        """Why a text is not read."""
        what = f"RUN needs a shell: {error}"
        return UnknownError(self._place, what, "let it run plain commands")

    def _unknown(self) -> UnknownError:
        advice = "a `build` step may run it: remove it here, and run `slimbake init` again"
        return UnknownError(self._place, f"RUN {self._text}", advice)

    def _keep(self, what: str, advice: str) -> KeepError:
        return KeepError(self._place, what, advice)

    def _step(self, command: list[str], unsure: str) -> None:
        program, rest = program_of(command)
        if program in RUNNERS and rest[:1] == ["run"] and len(rest) > 1:
            self._step(rest[1:], unsure)
            return
        if program == "find" and "-exec" in rest:
            self._step(rest[rest.index("-exec") + 1 :], unsure)
            return
        if self._is_harmless(program, [*command[:1], *rest]):
            return
        if unsure:
            raise self.needs_shell(unsure)
        if program in ("pip", "uv"):
            for name, value in self._values.items():
                if _INDEX.fullmatch(name):
                    self._index(value)
        if program == "pdm" and rest[:1] in (["install"], ["sync"]):
            raise self._keep("pdm installs", "pdm export --prod -o requirements.txt")
        read = _PROGRAMS.get(program)
        if read and read(self, rest or [""]):
            return
        if program in INSTALLERS:
            raise self._keep(f"RUN {self._text}", "install packages without it")
        raise self._unknown()

    def _is_harmless(self, program: str, command: Sequence[str]) -> bool:
        """Whether a command leaves nothing that an image needs, or brings only what slimbake installs
        with. Raises UnknownError for one that changes the mode of a file that is copied.
        """
        arguments = list(command[1:])
        if program == "chmod" and self._changes_copy(arguments):
            raise self._unknown()
        if self._fetches(arguments) or self._is_installer(program, [*command]):
            return True
        return bool(_HARMLESS.fullmatch(program) or {"--version", "--help"} & {*arguments})

    def _changes_copy(self, paths: list[str]) -> bool:
        """Whether one of these paths is, or has, a file that comes from another stage or image."""
        for copy in self._needs.copies:
            place: str = copy["to"]
            if place.endswith("/"):
                place += posixpath.basename(copy["source"])
            if any(below(place, absolute(self._workdir, path)) for path in paths):
                return True
        return False

    def _fetches(self, arguments: list[str]) -> bool:
        """Whether a command downloads an installer of what slimbake itself installs with."""
        if not any(map(INSTALLER.match, arguments)):
            return False
        self._installers.add("-")
        for word in arguments:
            for name in (word, posixpath.basename(word)):
                self._installers.add(absolute(self._workdir, name))
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

    # Files that packages are installed from.

    def _source(self, path: str) -> str:
        """The file of the repository that something is installed from, by its path in the image; ""
        where it is none. Raises KeepError where the image may have another by then.
        """
        file = self._origins.of(self._stage, path, self._place.line)
        if file and self._origins.of(self._stage, path, self.unread_line):
            what = f"{file} may be changed by a RUN before it is installed"
            raise self._keep(what, "change it in the repository, or run that after the packages")
        return file

    def _folder(self, path: str) -> str:
        """The folder of the repository whose project lies at a path of the image; "" for none."""
        for name in ("pyproject.toml", "setup.py", "setup.cfg"):
            if file := self._source(posixpath.join(path, name)):
                return posixpath.dirname(file) or "."
        return ""

    def _around(self, path: str) -> str:
        """The same, or that of the nearest project around it, as uv and Poetry look for one."""
        while not (folder := self._folder(path)) and path != "/":
            path = posixpath.dirname(path)
        return folder

    def _table(self, folder: str) -> dict[str, Any]:
        """The pyproject.toml in a folder of the repository; empty where it cannot be read."""
        try:
            return toml_value(self._repository.text(joined(folder, "pyproject.toml")) or "")
        except (ValueError, RecursionError):
            return {}

    def _member(self, folder: str, package: str) -> str:
        """The folder of a workspace's member."""
        for path in self._repository.below(folder or "."):
            if posixpath.basename(path) == "pyproject.toml":
                inner = posixpath.dirname(path) or "."
                if self._table(inner).get("project", {}).get("name") == package:
                    return inner
        raise self._keep(f"the repository has no package {package}", "name one of the workspace")

    # Each of these returns whether it knows what its words do.

    def _pip(self, arguments: list[str]) -> bool:
        command, *words = arguments
        if command == "config" and "index-url" in " ".join(words):
            self._index(words[-1])
        if command not in ("install", "wheel", "sync"):
            return command in ("cache", "config", "list", "check", "freeze")
        while words:
            word = words.pop(0)
            if not word.startswith("-"):
                if command == "sync":
                    self._listed(word)
                else:
                    self._named(word)
                continue
            name, _, value = word.partition("=")
            if short := _SHORT.fullmatch(word):
                name, value = f"-{short[1]}", short[2]
            if not value and words and self._is_value(name, words[0]):
                value = words.pop(0)
            self._option(name, value)
        return True

    def _is_value(self, option: str, word: str) -> bool:
        """Whether a word belongs to the option before it: of one that is not known, what looks like a
        path, a number or an address, and is no project.
        """
        if _WITH_WORD.fullmatch(option) or _ENVIRONMENT.fullmatch(option):
            return True
        if not option.startswith("--"):
            return False
        if not re.match(r"(?!.*\.(?:whl|zip|gz)$)(?:[/\d:]|https?:)", word):
            return False
        return not self._folder(absolute(self._workdir, word.partition("[")[0]))

    def _option(self, name: str, value: str) -> None:
        if name in ("-r", "--requirement", "--requirements"):
            self._listed(value)
        elif name in ("-e", "--editable"):
            self._named(value)
            self._editable(self._folder(absolute(self._workdir, value.partition("[")[0])))
        elif name in ("-c", "--constraint"):
            file = self._source(absolute(self._workdir, value))
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
        self._expect_plain_build(value)
        if path in self._needs.made:
            self._needs.requirements |= dict.fromkeys(self._needs.made[path])
            return
        file = self._source(path)
        if not file or not self._repository.is_file(file):
            raise self._keep(f"the repository has no {value} to install from", "commit it")
        # Without an ending that says so, only a path is no package's name.
        name = file if file.endswith(FILE_ENDINGS) else f"./{file}"
        self._needs.requirements[name] = None
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
            self._read(joined(posixpath.dirname(file), name))

    def _named(self, word: str) -> None:
        """A package, by its name, its address, or its folder."""
        if _LOGIN.search(word):
            raise self._keep("a package is of an address with a login", "give uv the login")
        self._expect_plain_build(word)
        bare, bracket, extras = word.partition("[")
        has_slash = "/" in bare and "://" not in word and "@" not in word
        if has_slash or word.startswith((".", "/")):
            path = absolute(self._workdir, bare.rstrip("*"))
            if not word.endswith((".whl", "*")) and not self._needs.is_environment(path):
                self._project(path, bracket + extras, word)
            elif not self._needs.is_environment(path):
                raise self._keep(f"{word} is a built package", "require the folder of its sources")
            return
        name = re.split(r"[\s\[<>=!~;@]", word)[0].lower()
        if name not in INSTALLERS and not name.startswith("poetry-"):
            self._needs.requirements[word] = None

    def _expect_plain_build(self, word: str) -> None:
        """Raise KeepError where variables of this RUN alone may change how a package is built."""
        for name, value in self._values.items():
            if self._before.get(name) != value and not re.match("(?:PIP|UV|DEBIAN)_", name):
                what = f"{name} is set for this RUN alone, and may change how {word} is built"
                raise self._keep(what, "let its build do without")

    def _project(self, path: str, extras: str, word: str) -> None:
        folder = self._folder(path)
        if not folder:
            raise self._keep(f"the repository has no project to install as {word}", "copy it")
        self._needs.files[joined(folder, "pyproject.toml")] = None
        self._needs.requirements[f"{dotted(folder)}{extras}"] = None

    def _editable(self, folder: str) -> None:
        """Note a project that runs from its checkout. A wheel of setuptools may have less than that."""
        system = self._table(folder).get("build-system", {})
        if folder and system.get("build-backend", "setuptools").startswith("setuptools"):
            source = joined(folder, "src")
            self._needs.checkouts[source if self._repository.has(source) else folder] = None

    def _uv(self, arguments: list[str]) -> bool:
        command, *words = arguments
        if command == "pip":
            return self._pip(words or [""])
        if command == "venv":
            return self._venv(words or [".venv"])
        if command not in ("sync", "export"):
            return command in ("cache", "lock", "python")
        options = options_of(words)
        at = last_of(options, "--directory", "--project")
        folder = self._around(absolute(self._workdir, at))
        if package := last_of(options, "--package"):
            folder = self._member(folder, package)
        without_dev = self._values.get("UV_NO_DEV", "0") != "0"
        without_dev |= bool({"--no-dev", "--no-default-groups"} & options.keys())
        asked = asked_of_uv(self._table(folder), options, without_dev=without_dev)
        exports = command == "export"
        if asked.whole and not exports and "--no-editable" not in options:
            self._editable(folder)
        return self._install(folder, asked, options, exports=exports)

    def _poetry(self, arguments: list[str]) -> bool:
        command, *words = arguments
        if command not in ("install", "export", "sync"):
            return command in ("config", "self", "lock", "cache", "check", "env")
        options = options_of(words)
        folder = self._around(absolute(self._workdir, last_of(options, "--directory", "-C")))
        exports = command == "export"
        asked = asked_of_poetry(self._table(folder), options, exports=exports)
        return self._install(folder, asked, options, exports=exports)

    def _pipenv(self, arguments: list[str]) -> bool:
        command, *words = arguments
        if command not in ("install", "sync"):
            return command in ("lock", "verify")
        options = options_of(words)
        if {"-d", "--dev"} & options.keys():
            raise self._keep("pipenv installs packages for tests", "install without --dev")
        # A package, a file, or an option with a value: the lock alone does not say what is installed.
        if any(not word.startswith("--") or "=" in word for word in words):
            raise self._keep(f"RUN {self._text}", "add the package to the Pipfile")
        file = self._source(absolute(self._workdir, "Pipfile.lock"))
        if not file:
            raise self._keep("the repository has no Pipfile.lock to install from", "pipenv lock")
        self._needs.environments.add(absolute(self._workdir, ".venv"))
        self._needs.requirements[file] = None
        self._read(file)
        return True

    def _install(self, folder: str, asked: Asked, options: Options, *, exports: bool) -> bool:
        """Take what is asked of a project, or note the file that it is exported to."""
        if not folder:
            raise self._keep("the repository has no pyproject.toml to install from", "copy it")
        needs, file = self._needs, joined(folder, "pyproject.toml")
        needs.files[file] = None
        if exports:
            output = last_of(options, "-o", "--output", "--output-file")
            requirements = replace(asked, whole=False).requirements(folder)
            needs.made[absolute(self._workdir, output)] = tuple(requirements)
            return bool(output)
        needs.environments.add(absolute(self._workdir, ".venv"))
        if asked.whole:  # with all that was asked for without it
            for name in list(needs.requirements):
                if name.partition("[")[0] in (file, dotted(folder)):
                    del needs.requirements[name]
        needs.requirements |= dict.fromkeys(asked.requirements(folder))
        return True

    def _activate(self, arguments: list[str]) -> bool:
        folder, name = posixpath.split(absolute(self._workdir, arguments[0]))
        return name == "activate" and self._venv([posixpath.dirname(folder)])

    def _venv(self, arguments: list[str]) -> bool:
        for word in arguments:
            if not word.startswith("-"):
                self._needs.environments.add(absolute(self._workdir, word))
        return True

    def _apt(self, arguments: list[str]) -> bool:
        plain: list[str] = []
        before = ""
        for word in arguments:
            if not word.startswith("-") and not _APT_VALUE.fullmatch(before):
                plain.append(word)
            before = word
        command = plain[:1]
        for word in plain[1:]:
            if command == ["install"]:
                self._debian(word)
            elif command in (["remove"], ["purge"]):
                self._needs.system.pop(word, None)
        return bool(plain)

    def _debian(self, word: str) -> None:
        """Take a package of Debian."""
        if any(_APT_SOURCE.search(step.text) for step in self.unread):
            raise self._unknown()
        name = word.partition("=")[0].partition(":")[0]
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            raise self._keep(f"apt-get install {word}", "name Debian packages")
        if _DEBIAN_PYTHON.fullmatch(name):
            return
        if self._needs.image and name.startswith("python3-"):
            what = f"{name} is for the Python of its image, which slimbake does not use"
            raise self._keep(what, "require the package of PyPI")
        if self._last and not _FOR_WHEELS.fullmatch(name):
            self._needs.system[name] = None
        else:
            self._needs.wheels[name] = None

    def _apk(self, arguments: list[str]) -> bool:
        advice = "build from Debian: python:VERSION-slim"
        plain = [word for word in arguments if not word.startswith(("-", "."))]
        if self._needs.image:
            raise self._keep("its image is Alpine's", advice)
        needed = [word for word in plain[1:] if not _FOR_MUSL.fullmatch(word)]
        if plain[:1] == ["add"] and needed:
            raise self._keep(f"apk add {' '.join(needed)}", advice)
        return bool(plain)

    def _users(self, arguments: list[str]) -> bool:
        line, users = " ".join(arguments), self._needs.users
        name = ""
        for word in arguments:
            if re.fullmatch(r"[a-z_][\w-]*", word):
                name = word  # the last one: others are of options
        number = ""
        if match := re.search(r"(?:^| )(?:--uid[ =]|-[a-zA-Z]*u ?)(\d+)(?= |$)", line):
            number = match[1]
        elif not re.search(r"(?:^| )(?:--system|-[a-zA-Z]*[rS][a-zA-Z]*)(?= |$)", line):
            # Debian gives 1000 to the first user that is none of the system's.
            number = str(1000 + len(users))
        users.setdefault(name, number)
        home = re.search(r"(?:^| )(?:--home(?:-dir)?[ =]|-[a-zA-Z]*d ?)(/\S+)", line)
        self._needs.homes[home[1] if home else f"/home/{name}"] = None
        return True

    def _mkdir(self, arguments: list[str]) -> bool:
        for word in arguments:
            if self._last and not word.startswith("-") and "{" not in word:
                self._needs.folders[absolute(self._workdir, word)] = self._place
        return True

    def _link(self, arguments: list[str]) -> bool:
        """Images have a Python of their own: links to one, or to what installs packages, may go, as
        may other places of such a program.
        """
        programs = re.compile(rf"(?:python|pip)[\d.]*|uvx|{'|'.join(sorted(INSTALLERS))}")
        paths = [word for word in arguments if word.startswith("/")]
        names = [posixpath.basename(path) for path in paths if not path.endswith("/")]
        return bool(names) and all(map(programs.fullmatch, names))

    def _git(self, arguments: list[str]) -> bool:
        return arguments[:2] == ["lfs", "install"]


_PROGRAMS: Mapping[str, Callable[[Commands, list[str]], bool]] = {
    "pip": Commands._pip,
    "uv": Commands._uv,
    "poetry": Commands._poetry,
    "pipenv": Commands._pipenv,
    "venv": Commands._venv,
    "virtualenv": Commands._venv,
    ".": Commands._activate,
    "source": Commands._activate,
    "apt-get": Commands._apt,
    "apt": Commands._apt,
    "apk": Commands._apk,
    "mkdir": Commands._mkdir,
    "useradd": Commands._users,
    "adduser": Commands._users,
    "ln": Commands._link,
    "cp": Commands._link,
    "mv": Commands._link,
    "update-alternatives": Commands._link,
    "git": Commands._git,
}


def program_of(command: Sequence[str]) -> tuple[str, list[str]]:
    """The name of a program, and its arguments: of `python -m pip`, pip's."""
    program, rest = posixpath.basename(command[0]), list(command[1:])
    if _PYTHON.fullmatch(program) and rest and rest[0].startswith("-m"):
        module = rest.pop(0).removeprefix("-m")
        if module:
            program = module
        elif rest:
            program = rest.pop(0)
    return re.sub(r"^(pip)3?(?:\.\d+)?$", r"\1", program), rest
