"""What the steps of a Dockerfile install: Python packages, Debian packages, a build of torch. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from slimbake.adopt.listed import OF_INSTALLERS, OF_MACHINE, index_note
from slimbake.adopt.model import Note, Place, Said, Step
from slimbake.adopt.shell import BLOCKS
from slimbake.adopt.steps import DJANGO
from slimbake.fleet.resolve import DEBIAN

_PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
_WITH_VALUE = frozenset(
    {
        *("-t", "--target", "--prefix", "--root", "--python", "-p", "--trusted-host", "--timeout"),
        *("--retries", "--cache-dir", "--platform", "--python-version", "--implementation"),
        *("--abi", "--only-binary", "--no-binary", "--progress-bar", "--src", "--index-strategy"),
        *("--upgrade-strategy", "--log", "--proxy", "--cert", "--client-cert", "--report"),
        *("-w", "--wheel-dir", "-d", "--dest", "--link-mode", "--keyring-provider", "-o"),
        *("--output", "--output-file", "--format", "--without", "--with", "--only"),
        *("--no-install-package", "--directory", "--config-settings", "--config-setting", "-C"),
        *("--global-option", "--build-option", "--root-user-action", "--use-feature", "--color"),
        *(
            "--use-deprecated",
            "--exists-action",
            "--resume-retries",
            "--resolution",
            "--prerelease",
        ),
        *("--fork-strategy", "--exclude-newer", "--exclude-newer-package", "--python-platform"),
        *("--no-build-isolation-package", "-P", "--upgrade-package", "--reinstall-package"),
        *("--refresh-package", "--no-build-package", "--no-binary-package", "--build-constraints"),
        *("-b", "--build-constraint", "--allow-insecure-host", "--project", "--config-file"),
    }
)
# What installs the rest, and is no part of a service.
_TOOLS = frozenset(
    {
        *("pip", "setuptools", "wheel", "uv", "poetry", "poetry-core", "poetry-plugin-export"),
        *("pipenv", "pdm", "virtualenv", "build", "hatch", "hatchling", "flit", "pip-tools"),
    }
)
_INSTALLS = frozenset({"install", "wheel", "download", "sync"})
_INSTALLER = re.compile(r"poetry|/uv/|get-pip")  # of these, in its address
_ENDINGS = re.compile(r"s(\W)(?:\\r|\r|\^M)\$?\1\1g?")
_BUILDERS = frozenset({"poetry", "uv", "pdm", "hatch", "flit"})  # of wheels
PIP_INSTALL = ("pip", "install")  # how a step begins that installs such
_TORCH = re.compile(r"/whl/(cpu|cu\d+)\b")
_PYPI = re.compile(r"https://pypi\.\w+/simple/?$")  # the public index; pip's default
_NAMED = frozenset(
    {
        *("-r", "--requirement", "--requirements", "-e", "--editable", "-c", "--constraint"),
        *("--constraints", "--override", "--overrides", "--extra", "--group", "--torch-backend"),
    }
)
_INDEXES = frozenset(
    {
        *("-i", "--index-url", "--extra-index-url", "--index", "--default-index"),
        *("-f", "--find-links"),
    }
)
# Options that variables of pip and uv give as well: PIP_INDEX_URL is --index-url.
_SETTINGS = (*_INDEXES, "--constraint", "--override", "--torch-backend")
# Programs that compile and fetch. A Debian section would say it, and none is known offline.
_FETCH_SOURCES = frozenset({"unzip", "xz-utils", "git", "git-lfs"})
_BUILD_TOOLS = _FETCH_SOURCES | frozenset(
    {
        *("gcc", "g++", "build-essential", "make", "cmake", "ninja-build", "pkg-config"),
        *("pkgconf", "autoconf", "automake", "libtool", "gfortran", "clang", "rustc", "cargo"),
    }
)
# Debian's Python, of which images have another build.
_OWN_PYTHON = re.compile(r"python3(?:\.\d+)?(?:-(?:pip|venv|dev|distutils|minimal|full))?")
# In every image of slimbake, or what it does in their place; what only adds sources to apt.
_THERE = frozenset(
    {
        *("ca-certificates", "tzdata", "tini", "dumb-init", "gosu", "python-is-python3"),
        *("libc6", "locales"),
        *("apt-transport-https", "apt-utils", "dirmngr", "gnupg", "gnupg2", "lsb-release"),
        *("software-properties-common",),
    }
)
# Of the build or a health check, as a rule; a service may call them as well.
_FETCHERS = _FETCH_SOURCES | frozenset(
    {"curl", "wget", "netcat-openbsd", "netcat-traditional", "netcat"}
)
# Steps that prepare what slimbake's images have anyway, or clean what they never had.
_NEEDLESS = frozenset(
    {
        *("rm", "mkdir", "chown", "chmod", "useradd", "adduser", "groupadd", "addgroup", "usermod"),
        *("echo", "true", "set", "ldconfig", "touch", "find", "test", "install", "export", ":"),
        *("apt-mark", "dpkg-reconfigure", "locale-gen", "update-ca-certificates", "virtualenv"),
        *("update-alternatives", "strip"),
        *("cp", "mv", "ln", "cat", "ls", "pwd", "whoami", "which", "[", "printf"),
    }
)
_WRITERS = frozenset({"cp", "mv", "install", "ln", "touch"})  # of these
# Options of xargs with a word of their own.
_XARGS = frozenset({"-a", "-d", "-E", "-I", "-L", "-n", "-P", "-s", "--max-args", "--max-procs"})
# Where files lie that say how the build installs, and names of programs and time zones.
_OF_BUILDS = (
    *("/dev/", "/proc/", "/tmp/", "/etc/apt/", "/etc/dpkg/", "/etc/pip.conf/"),  # noqa: S108
    *("/bin/", "/usr/bin/", "/usr/local/bin/", "/etc/localtime/", "/etc/locale.gen/", "/usr/lib/"),
    *("/etc/ld.so.conf.d/", "/etc/default/locale/", "/var/lib/apt/", "/var/cache/"),
    *("/etc/timezone/", "/usr/local/sbin/", "/usr/sbin/", "/sbin/", "/usr/share/keyrings/"),
)
_OF_BUILD = re.compile(
    "|".join(map(re.escape, _OF_BUILDS))
    # what shells, Git, SSH and installers read; programs have settings of theirs there, too
    + r"|/root/(?:[^./]|\.(?:\w*rc|netrc|profile|bash\w*|git[\w-]*|ssh|pip|docker|cache|cargo|local"
    r"|config/(?:pip|uv|pypoetry))/)"
)
_ZONES = "/usr/share/zoneinfo/"
_UTC = frozenset({"UTC", "UCT", "Zulu", "Universal", "GMT", ""})
_QUIET_OF = {
    "apt-get": {"update", "clean", "upgrade", "dist-upgrade", "autoremove", "purge", "autoclean"},
    "apt": {"update", "clean", "upgrade", "autoremove", "purge", "autoclean"},
    "apk": {"update", "upgrade", "del", "cache"},
    "poetry": {"config", "cache", "self", "check", "lock", "--version"},
    "uv": {"venv", "cache", "python", "--version", "lock", "self", "tool"},
    "pip": {"cache", "config", "check", "list", "freeze", "--version"},
    "conda": {"clean", "config", "init"},
    "pipenv": {"--version", "lock", "--clear"},
}
_STEP_ADVICE = (
    "if it makes files, write it as a step of `build` with its outputs (docs/how-to/build-steps.md), or"
    " keep the Dockerfile with `dockerfile:`"
)

# Libraries that load a model by its name, and their commands
_LOADS_MODEL = re.compile(
    r"\b(?:sentence_transformers|transformers|huggingface_hub|snapshot_download|from_pretrained"
    r"|huggingface-cli|hf download|torch\.hub|faster_whisper|WhisperModel)\b"
)
_MODEL_ADVICE = (
    "a model: download it into a folder of the repository, and write `weights: {path: FOLDER}`, which"
    " images have at /weights; other files: "
)
_PACKAGE_ADVICE = (
    "it installs a package: require that by the address of its wheel,"
    " `NAME @ https://github.com/explosion/spacy-models/releases/download/...`; "
)
_PYTHON_INSTALLERS = frozenset({"pip", "uv-pip", "uv", "poetry", "pdm", "pipenv"})
_FOR_A_STEP = (
    "a step of `build` that needs it has an `image` and installs it in its `run`; or make the files"
    " in a package, whose [build-system] requires it (docs/how-to/build-steps.md)"
)
_APART = f"the image takes files of that stage, and no packages: {_FOR_A_STEP}"


@dataclass(slots=True)
class Needs:
    """What a service's Dockerfile installs. Paths are those of the image."""

    files: dict[str, Place] = field(default_factory=dict)  # requirements files
    specs: dict[str, Place] = field(default_factory=dict)
    folders: dict[str, Place] = field(default_factory=dict)  # packages from the repository
    projects: dict[str, Place] = field(default_factory=dict)  # folders with a pyproject.toml
    whole: dict[str, None] = field(default_factory=dict)  # those that are installed themselves
    member: str = ""  # of a uv workspace
    extras: tuple[str, ...] = ()  # "*": all of them
    groups: dict[str, Place] = field(default_factory=dict)  # of dependencies, or extras, for PDM
    # the groups that Poetry leaves out where it installs those that are not optional
    poetry: frozenset[str] | None = None
    constraints: dict[str, Place] = field(default_factory=dict)
    built: dict[str, Place] = field(default_factory=dict)  # wheels: folders, files, patterns
    pipfile: str = ""  # a folder
    environment: str = ""  # a file of conda
    system: dict[str, Place] = field(default_factory=dict)
    build: dict[str, None] = field(default_factory=dict)  # Debian packages that compile
    fetchers: dict[str, Place] = field(default_factory=dict)  # programs that it may call, or not
    there: dict[str, Place] = field(default_factory=dict)  # packages that slimbake has no need of
    zone: Said | None = None  # the image's time
    torch: str = ""
    django: list[Step] = field(default_factory=list)  # what makes files
    notes: list[Note] = field(default_factory=list)
    unread: dict[Note, Step] = field(default_factory=dict)  # what may make files, by its note
    # files that lose the line ends of Windows, and what is said where they have such
    endings: list[tuple[str, Note]] = field(default_factory=list)
    needless: list[Step] = field(default_factory=list)  # what prepares, or cleans up


def needs_of(steps: tuple[Step, ...], service: str, handed: Iterable[str] = ()) -> Needs:
    """What steps install; steps that install nothing and matter become notes. `handed`: what the
    image takes of earlier stages.
    """
    reader, apart = _Reader(service, tuple(handed)), _Reader(service, ())
    for step in dict.fromkeys(e if _installs(e) else replace(e, apart="") for e in steps):
        (apart if step.apart else reader).take(step)
    needs = reader.needs
    alone = not (_required(needs) or needs.environment or needs.pipfile)
    if alone and any(each.apart for each in steps):  # what else would the service run on?
        return needs_of(tuple(replace(each, apart="") for each in steps), service, handed)
    needs.notes += [note for file, note in reader.edited if file not in needs.files]
    needs.needless += apart.needs.needless
    needs.notes[:0] = _apart(apart.needs, needs, steps, service)
    return needs


def _installs(step: Step) -> bool:
    """Whether a step installs Python packages, by a program that says which."""
    program, *rest = program_of(step.words) or ("",)
    return program in _PYTHON_INSTALLERS and bool(_INSTALLS & {*rest[:1]})


def _required(needs: Needs) -> dict[str, Place]:
    """What is installed of Python, as a reader knows it: name -> place."""
    return {
        **{posixpath.basename(file): place for file, place in needs.files.items()},
        **{f"pyproject.toml of {folder}": place for folder, place in needs.projects.items()},
        **{f"the group '{name}'": place for name, place in needs.groups.items()},
        **needs.folders,
        **needs.specs,
    }


def _apart(apart: Needs, needs: Needs, steps: Iterable[Step], service: str) -> Iterator[Note]:
    """Notes on packages that are installed for a stage alone."""
    names = {each.place: each.apart for each in steps if each.apart}
    known = {*_required(needs)}
    lacking: dict[Place, list[str]] = {}
    for name, place in _required(apart).items():
        if name not in known and not (needs.projects and name.startswith("pyproject.toml of ")):
            lacking.setdefault(place, []).append(name)
    for place, found in lacking.items():
        what = f"{', '.join(found)}: only in stage {names[place]}"
        yield Note(place, what, _APART, service)


class _Reader:
    def __init__(self, service: str, handed: tuple[str, ...]) -> None:
        self._service, self._handed = service, handed
        self.edited: list[tuple[str, Note]] = []  # a file that `sed` edits, and what is said of it
        self._made: list[str] = []  # folders of wheels that steps made
        self._set: set[tuple[str, str]] = set()  # variables of installers that were read
        self._installer = False  # whether the step before fetched that of Poetry or uv
        self.needs = Needs()

    def take(self, step: Step) -> None:
        words = program_of(step.words)
        if not words:
            return
        program, rest = words[0], list(words[1:])
        self._from_variables(program, rest, step)
        match program:
            case "pip" | "uv-pip":
                self._pip(rest, step)
            case "apt-get" | "apt" | "aptitude":
                self._apt(rest, step)
            case "apk" if "add" in rest:
                self._apk(rest, step)
            case "build-wheel":
                self._builds(self._folder(rest, step), rest, step)
            case "uv" if rest[:1] in (["sync"], ["export"]):
                self._uv(rest, step)
            case "poetry" if rest[:1] in (["install"], ["export"], ["sync"]):
                self._poetry(rest, step)
            case "pdm" if rest[:1] in (["install"], ["sync"], ["export"]):
                self._in_project(step.workdir, rest, {"--no-self"}, step)
                self._exactly("--clean" in rest, rest, step)
                self._groups(_values(rest, {"-G", "--group", "--with"}), step)
            case "pipenv" if rest[:1] in (["install"], ["sync"], ["requirements"]):
                self._pipenv(rest, step)
            case "conda" | "mamba" | "micromamba" if "-f" in rest or "--file" in rest:
                at = (_values(rest, {"-f", "--file"}) or ("environment.yml",))[0]
                self.needs.environment = posixpath.join(step.workdir, at)
            case _:
                self._other(program, rest, step)

    def _pip(self, rest: list[str], step: Step) -> None:
        if rest[:2] == ["config", "set"] and len(rest) == 4:
            self._setting(f"--{rest[2].rpartition('.')[2]}", rest[3], step)
        if rest[:1] and rest[0] in _QUIET_OF["pip"]:
            self.needs.needless.append(step)
            return
        if not rest or rest[0] not in _INSTALLS:
            self._other("pip", rest, step)
            return
        if (
            {"--no-deps", "--no-dependencies"} & {*rest}
            and rest[0] == "install"
            and "--no-index" not in rest
        ):
            self._without_theirs(rest[1:], step)
        sync = rest.pop(0) == "sync"
        rest += ["requirements.txt"] if sync and not any(not o for o, _ in _options(rest)) else []
        tools = [value for option, value in _options(rest) if not option and _tool(value)]
        if tools:
            self.needs.needless.append(
                replace(step, words=(*PIP_INSTALL, *tools), into=(), written=())
            )
        for option, value in _options(rest):
            if not option:
                self._wanted(value, step, sync)
            elif option in {"-r", "--requirement"}:
                self._wanted(value, step, True)
            elif option in {"-e", "--editable"}:
                self._wanted(value, step, False)
            elif option == "--extra":
                self.needs.extras += (value,)
            elif option == "--group":
                self._groups((value.rpartition(":")[2],), step)
            else:
                self._setting(option, value, step)
        self.needs.extras += ("*",) if "--all-extras" in rest else ()

    def _without_theirs(self, rest: list[str], step: Step) -> None:
        """A note on packages that are installed without what they require. Of a project and of built
        packages, the steps before have that.
        """
        named = [
            value
            for option, value in _options(rest)
            if option in {"-r", "--requirement"}
            or "://" in value
            or (
                not option and re.fullmatch(r"[A-Za-z0-9][\w.-]*(?:\[.*\])?(?:[=<>~!@ ].*)?", value)
            )
        ]
        if named:
            advice = "slimbake installs what these require, too: check in bake/locks what comes"
            self._note(step, f"--no-deps of {', '.join(named)}", advice)

    def _setting(self, option: str, value: str, step: Step) -> None:
        """An option that says from where packages come, and of which version they are."""
        far = "://" in value
        path = value if far else posixpath.normpath(posixpath.join(step.workdir, value))
        if option in {"-w", "--wheel-dir", "-d", "--dest"}:
            self._made.append(path)
        elif option in {"-c", "--constraint", "--constraints"}:
            self.needs.constraints.setdefault(path, step.place)
        elif option in {"--override", "--overrides"}:
            self._note(step, f"{option} {value}", "require these versions where they are listed")
        elif option == "--pre":
            self._note(step, "--pre", "name a requirements file that has it as a line")
        elif option == "--torch-backend":
            self.needs.torch = value
        elif option in _INDEXES and (found := _TORCH.search(value)):
            self.needs.torch = found[1]
        elif option in _INDEXES and _PYPI.match(value):
            return
        elif option in _INDEXES and (far or option not in {"-f", "--find-links"}):
            self.needs.notes.append(index_note(step.place, value, self._service))
        elif option in _INDEXES:
            self._built(path, step)

    def _from_variables(self, program: str, rest: Sequence[str], step: Step) -> None:
        """The settings that variables of an installer give it, at its first step that has them."""
        prefix = {"pip": "PIP_", "uv": "UV_", "uv-pip": "UV_"}.get(program, "")
        installs = prefix and rest and rest[0] in _INSTALLS
        for name, value in step.env if installs else ():
            option = f"--{name.removeprefix(prefix).lower().replace('_', '-')}"
            if name.startswith(prefix) and option in _SETTINGS and (name, value) not in self._set:
                self._set.add((name, value))
                for each in re.split(r"[\s,]+", value) if value else ():
                    self._setting(option, each, step)
                if not value and "index" in option:
                    note = index_note(step.place, f"that {name} names", self._service)
                    self.needs.notes.append(note)

    def _builds(self, folder: str, rest: list[str], step: Step) -> None:
        """A project whose wheel is built, for a later step to install."""
        to = _values(rest, {"-o", "--out-dir", "--outdir", "--output", "-d", "--dest"})
        self._made.append(posixpath.normpath(posixpath.join(folder, (to or ("dist",))[0])))
        self.needs.folders.setdefault(folder, step.place)

    def _built(self, path: str, step: Step) -> None:
        """Built packages, which may be a pattern; those that a step before made are of its lists."""
        places, at = (*self._made, *self._handed), path.partition("*")[0].rstrip("/")
        if not any(f"{at}/".startswith(f"{each.rstrip('/')}/") for each in places):
            self.needs.built.setdefault(path, step.place)

    def _note(self, step: Step, what: str, advice: str) -> None:
        self.needs.notes.append(Note(step.place, what, advice, self._service))

    def _wanted(self, word: str, step: Step, file: bool) -> None:
        path, bracket, _ = word.partition("[")
        absolute = posixpath.normpath(posixpath.join(step.workdir, path))
        if found := re.fullmatch(r"(?:[\w.-]+\s*(\[.*\])?\s*@\s*)?file:/*(/[^#\s]*).*", word):
            self._wanted(f"{found[2]}{found[1] or ''}", step, file)
            return
        local = (
            path in {".", "..", ""}
            or path.startswith(("./", "../", "/"))
            or ("/" in path and "@" not in word and ":" not in word)
        )
        if file and word.endswith("pyproject.toml"):
            self.needs.projects.setdefault(posixpath.dirname(absolute), step.place)
        elif file or (local and path.endswith((".txt", ".in"))):
            self.needs.files.setdefault(absolute, step.place)
        elif "://" in word:
            self.needs.specs.setdefault(word, step.place)
        elif word.endswith(".whl") or re.search(r"\*(?!\d|$)|/.*\*|^\*", word):
            self._built(absolute, step)
        elif local:
            self.needs.folders.setdefault(absolute, step.place)
            if bracket:
                self.needs.extras += tuple(word.partition("[")[2].rstrip("]").split(","))
        elif re.match(r"[A-Za-z0-9][\w.-]*", word) and not _tool(word):
            self.needs.specs.setdefault(word, step.place)

    def _apt(self, rest: list[str], step: Step) -> None:
        verb = next((word for word in rest if not word.startswith("-")), "")
        if verb != "install":
            self._other("apt-get", [verb, *rest], step)
            return
        found: list[str] = []
        skip = False
        for word in rest[rest.index("install") + 1 :]:
            if skip or word.startswith("-"):
                skip = word in {"-o", "-t", "--target-release"}
                continue
            found.append(word)
        for word in found:
            name, *version = re.split(r"[=/]", word.lower(), maxsplit=1)
            own = name in _THERE or _OWN_PYTHON.fullmatch(name) is not None
            build = not own and (name.endswith("-dev") or name in _BUILD_TOOLS)
            if build:
                self.needs.build[name] = None
            if not step.last:
                continue
            if name in _FETCHERS:
                self.needs.fetchers.setdefault(name, step.place)
            elif own:
                self.needs.there.setdefault(name, step.place)
            elif not build and re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
                self.needs.system.setdefault(name, step.place)
                if version:
                    advice = (
                        f"images have the version of Debian {DEBIAN}, and `slimbake lock` pins it"
                    )
                    self._note(step, f"the version of {word}", advice)

    def _apk(self, rest: list[str], step: Step) -> None:
        """Alpine's packages have other names than Debian's."""
        names = [word for word in rest[rest.index("add") + 1 :] if re.match(r"[a-z0-9]", word)]
        wanted = [name for name in names if not name.endswith("-dev") and name not in _BUILD_TOOLS]
        if step.last and wanted:
            advice = "images are Debian's: name its packages for these under `system`, where needed"
            self._note(step, f"the Alpine packages {', '.join(wanted)}", advice)

    def _uv(self, rest: list[str], step: Step) -> None:
        without = {"--no-install-project", "--no-install-workspace"}
        self._in_project(self._folder(rest, step), rest, without, step)
        self._exactly(rest[0] == "sync" and "--inexact" not in rest, rest, step)
        self.needs.member = (_values(rest, {"--package"}) or (self.needs.member,))[0]
        self.needs.extras += _values(rest, {"--extra"})
        self.needs.extras += ("*",) if "--all-extras" in rest else ()
        self._groups(_values(rest, {"--group", "--only-group"}), step)

    def _poetry(self, rest: list[str], step: Step) -> None:
        self._in_project(self._folder(rest, step), rest, {"--no-root"}, step)
        self._exactly(rest[0] == "sync" or "--sync" in rest, rest, step)
        self.needs.extras = _values(rest, {"--extras", "-E"})
        self.needs.extras += ("*",) if {"--all-extras"} & {*rest} else ()
        only = _values(rest, {"--only"})
        self._groups((*_values(rest, {"--with"}), *(each for each in only if each != "main")), step)
        if not only and rest[0] != "export" and not {"--no-dev", "--only-root"} & {*rest}:
            self.needs.poetry = frozenset(_values(rest, {"--without"}))

    def _pipenv(self, rest: list[str], step: Step) -> None:
        self.needs.pipfile = step.workdir
        named = list(_values(rest, {"--categories"}))
        named += ["dev-packages"] if {"--dev", "-d"} & {*rest} else []
        for name in (each for each in named if each not in {"packages", "default"}):
            self._note(step, f"[{name}] of the Pipfile", "list these in `requirements`")

    def _in_project(self, folder: str, rest: list[str], without: set[str], step: Step) -> None:
        """A folder whose dependencies are installed, and itself unless one of these words is there."""
        self.needs.projects.setdefault(folder, step.place)
        if rest[0] != "export" and not without & {*rest}:
            self.needs.whole[folder] = None

    def _groups(self, names: tuple[str, ...], step: Step) -> None:
        self.needs.groups.update(dict.fromkeys(names, step.place))

    def _exactly(self, exact: bool, rest: list[str], step: Step) -> None:
        """Forget the groups and extras of earlier steps where a step takes out what it does not
        install.
        """
        if not exact:
            return
        for name, place in self.needs.groups.items():
            if not any(name in re.split(r"[,=]", word) for word in rest):
                what = f"the group '{name}': {step.place} takes it out again"
                self.needs.notes.append(Note(place, what, _FOR_A_STEP, self._service))
        self.needs.groups, self.needs.extras, self.needs.poetry = {}, (), None

    def _folder(self, rest: list[str], step: Step) -> str:
        named = _values(rest, {"--project", "--directory", "-C"})
        return posixpath.normpath(posixpath.join(step.workdir, named[0] if named else "."))

    def _other(self, program: str, rest: list[str], step: Step) -> None:
        if step.last and (zone := _zone(step)):
            self.needs.zone = Said(zone, step.place)
            return
        if any(map(OF_INSTALLERS.search, step.into)):
            self.needs.notes.append(replace(not_run(step, self._service), advice=OF_MACHINE))
            return
        if program in _NEEDLESS or (rest and rest[0] in _QUIET_OF.get(program, ())):
            if step.last and _makes(program, rest, step):
                self.needs.notes.append(not_run(step, self._service))
            elif not step.piped:
                self.needs.needless.append(step)
            return
        module = program in {"python", "uv"} and rest[:2] in (["-m", "venv"], ["-m", "ensurepip"])
        if module or (program.startswith("uv") and rest[:1] == ["venv"]):
            return
        if program in {"curl", "wget"} and any(_INSTALLER.search(w) for w in rest):
            self._installer = True
            return
        piped = not step.plain and rest in ([], ["-"])
        if (program in {"sh", "bash"} and piped) or (
            program == "python" and piped and self._installer
        ):
            return
        if (
            program == "python"
            and rest[1:2]
            and rest[0].endswith("manage.py")
            and rest[1] in DJANGO
        ):
            self.needs.django.append(step)
            return
        if program == "pip" and rest[:1] == ["uninstall"]:
            self._uninstall(rest[1:], step)
            return
        if program == "xargs" and _called(rest) in _NEEDLESS - _WRITERS:
            self.needs.needless.append(replace(step, words=(step.piped or " ".join(step.words),)))
            return
        self._unread(program, rest, step)

    def _uninstall(self, rest: list[str], step: Step) -> None:
        if all(_tool(each) for each in rest if not each.startswith("-")):
            self.needs.needless.append(step)  # images do not have these in the first place
        else:
            self._note(step, f"RUN {' '.join(step.words)}", "leave these out of what is required")

    def _unread(self, program: str, rest: list[str], step: Step) -> None:
        """A note on a step that installs nothing as far as is known."""
        if program in BLOCKS:
            advice = (
                "init follows no such block: list what it installs in `requirements` or `system`"
            )
            self.needs.notes.append(replace(not_run(step, self._service), advice=advice))
            self._from_variables("pip", ("install",), step)
            return
        note = not_run(step, self._service)
        edited = posixpath.normpath(posixpath.join(step.workdir, rest[-1])) if rest else ""
        if program == "dos2unix" or (program == "sed" and any(map(_ENDINGS.fullmatch, rest))):
            self.needs.endings.append((edited, note))
        elif program == "sed" and f"{edited}/".startswith(_OF_BUILDS):
            self.needs.needless.append(step)
        elif program == "sed" and rest:
            self.edited.append((edited, note))
        else:
            self.needs.unread[note] = step
            self.needs.notes.append(note)


def _called(words: Sequence[str]) -> str:
    """The program that `xargs` starts with these words behind it."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in _XARGS:
            rest = rest[1:]
    return posixpath.basename(rest[0]) if rest else ""


def _zone(step: Step) -> str:
    """The time zone that a step gives the image; "" for none, and for UTC, which it has anyway."""
    *_, source, target = ("", "", *(w for w in step.words[1:] if not w.startswith("-")))
    zone = ""
    if step.words[0] in {"ln", "cp"} and target == "/etc/localtime":
        zone = source.removeprefix(_ZONES) if source.startswith(_ZONES) else ""
    elif step.words[0] in {"echo", "printf"} and step.into == ("/etc/timezone",):
        zone = target.strip()
    return "" if zone.rpartition("/")[2] in _UTC else zone


def _makes(program: str, rest: Sequence[str], step: Step) -> bool:
    """Whether a step puts files into the image that are not for the build alone."""
    made = list(step.into)
    words = [word for word in rest if not word.startswith("-")]
    folders = program == "install" and any(re.match(r"-\w*d", word) for word in rest)
    if program in _WRITERS and words and not folders:
        alone = [posixpath.basename(words[0])] if len(words) == 1 and program == "ln" else words
        made += words if program == "touch" else alone[-1:]
    paths = (posixpath.normpath(posixpath.join(step.workdir, each)) for each in made)
    return any(not _OF_BUILD.match(f"{path}/") for path in paths)


def not_run(step: Step, service: str, why: str = "") -> Note:
    """The note on a step that slimbake does not run."""
    into = (f"> {each}" for each in step.into if not each.startswith("/dev/"))
    shown = step.piped or " ".join((*(step.written or step.words), *into))
    shown = shown if len(shown) < 70 else f"{shown[:66]} ..."
    reason = f"{why}: " if why else ""
    if _LOADS_MODEL.search(" ".join(step.words)):
        reason += _MODEL_ADVICE
    elif step.words[1:4] == ("-m", "spacy", "download"):
        reason += _PACKAGE_ADVICE
    return Note(step.place, f"RUN {shown}", f"{reason}{_STEP_ADVICE}", service)


def _tool(spec: str) -> bool:
    """Whether a requirement is of what only installs others."""
    found = re.match(r"[A-Za-z0-9][\w.-]*(?=$|[^\w./-])", spec)
    return found is not None and found[0].lower() in _TOOLS


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Of pip's words, each option with its value, and each other word with no option."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            yield "", word
            continue
        if re.match(r"-[rcei]\S", word):
            option, value, equals = word[:2], word[2:], "="
        if not equals and (option in _WITH_VALUE or option in _INDEXES or option in _NAMED):
            value = rest.pop(0) if rest else ""
        yield option, value


def program_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """A command's words without what it is called through: `python -m pip`, `/venv/bin/pip`, `sudo`."""
    while words and (words[0] in {"sudo", "env", "exec", "time"} or "=" in words[0]):
        words = words[1:]
    if not words or (words[0] in {".", "source"} and "".join(words[1:2]).endswith("bin/activate")):
        return ()
    name = posixpath.basename(words[0])
    if _PYTHON.fullmatch(name) and words[1:2] == ("-m",) and len(words) > 2:
        inner = words[2]
        if inner == "build":
            return ("build-wheel", *words[3:])
        if inner in {"pip", "uv", "poetry", "pipenv", "pdm"}:
            return program_of(words[2:])
        return ("python", *words[1:])
    if _PYTHON.fullmatch(name) and words[1:3] in (("setup.py", "install"), ("setup.py", "develop")):
        return (*PIP_INSTALL, ".")
    if name in _BUILDERS and words[1:2] == ("build",):
        return ("build-wheel", *words[2:])
    if name == "pip-sync":  # of pip-tools
        return ("pip", "sync", *words[1:])
    if re.fullmatch(r"pip3?(?:\.\d+)?", name):
        return ("pip", *words[1:])
    if name == "uv" and words[1:2] == ("pip",):
        return ("uv-pip", *words[2:])
    if name in {"poetry", "uv", "pipenv"} and words[1:2] == ("run",):
        return program_of(words[2:])
    return ("python" if _PYTHON.fullmatch(name) else name, *words[1:])


def _values(words: list[str], options: set[str]) -> tuple[str, ...]:
    found: list[str] = []
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in options:
            following = value if equals else (words[number + 1 : number + 2] or [""])[0]
            found += [each for each in re.split(r"[ ,]+", following) if each]
    return tuple(found)
