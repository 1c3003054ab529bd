"""What the instructions of a Dockerfile say of each of its stages. Pure."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from slimbake.adopt.model import Command, Copy, Health, KeepError, Place, Run, Stage
from slimbake.adopt.shell import expand, whole_number
from slimbake.fingerprint.instructions import Instruction, instructions

_TIMES = {"interval": "interval", "timeout": "timeout", "start-period": "start_period"}
_ADDRESS = re.compile(r"(?:https?|git|ssh)(?:://|@)")
INSTALLER = re.compile(
    r"https?://(?:install\.python-poetry\.org|astral\.sh/uv/(?:[\d.]+/)?install"
    r"|bootstrap\.pypa\.io/(?:[\w./-]+/)?get-pip\.py)"
)
# Folders of Debian, which hold more than what is copied there.
SYSTEM = re.compile(
    r"/|/(?:bin|dev|etc|home|lib|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"|/usr(?:/local)?/(?:bin|lib|sbin|share|src)|/var/(?:cache|lib|log|tmp)"
)
_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|tbz2?|txz)$")
# Arguments that BuildKit sets. Nothing here knows their values: such a variable stays as it is.
_PLATFORM = re.compile(r"(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)")
OF_PLATFORM = re.compile(rf"\$\{{?{_PLATFORM.pattern}\b")
_MOST = (
    1000  # instructions: each stage has what all before it say; the longest of 308 files has 254
)
_KEEP = "slimbake builds the service itself where its Dockerfile does without"


def stages(text: str, file: str, arguments: Mapping[str, str]) -> list[Stage]:
    """The stages of a Dockerfile, in its order. `arguments`: what its build is given."""
    reader = _Reader(file, arguments)
    for number, instruction in enumerate(instructions(text)):
        if number < _MOST:
            reader.take(instruction)
            continue
        if reader.stages:
            what = f"more than {_MOST:,} instructions"
            reader.stages[-1].odd.append(KeepError(Place(file, instruction.line), what, _KEEP))
        break
    return reader.stages


def find(stages: list[Stage], name: str) -> Stage | None:
    """The stage of this name or number; "" is the last."""
    if name.isdecimal():
        return stages[int(name)] if len(name) < 6 and int(name) < len(stages) else None
    named = (stage for stage in reversed(stages) if not name or stage.name == name.lower())
    return next(named, None)


class _Reader:
    def __init__(self, file: str, arguments: Mapping[str, str]) -> None:
        self._file = file
        self._given = arguments
        self._before: dict[str, str] = {}  # ARG before the first FROM
        self.stages: list[Stage] = []

    def take(self, instruction: Instruction) -> None:
        place = Place(self._file, instruction.line)
        if instruction.word == "FROM":
            self._from(instruction, place)
        elif not self.stages:
            self._before |= dict(self._arguments(instruction, self._before))
        elif read := _READERS.get(instruction.word):
            read(self, instruction, self.stages[-1], place)
        elif instruction.word not in ("LABEL", "MAINTAINER"):
            self._odd(self.stages[-1], place, instruction.word)

    def _odd(self, stage: Stage, place: Place, what: str, advice: str = _KEEP) -> None:
        stage.odd.append(KeepError(place, what, advice))

    def _from(self, instruction: Instruction, place: Place) -> None:
        parts = expand(instruction.rest, self._before).split() or [""]
        name = parts[2].lower() if len(parts) > 2 else ""
        stage = find(self.stages, parts[0]) if parts[0] and not parts[0].isdecimal() else None
        if stage is None:
            self.stages.append(Stage(name, parts[0], place))
            return
        own = replace(stage, name=name)
        # What is in them never changes.
        for key in ("values", "env", "copies", "takes", "runs", "ports", "volumes", "odd"):
            setattr(own, key, getattr(stage, key).copy())
        self.stages.append(own)

    def _arguments(
        self, instruction: Instruction, values: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        for word in _shell_words(instruction.rest):
            name, equals, default = word.partition("=")
            if name in self._given:
                yield name, self._given[name]
            elif equals:
                yield name, expand(default, values)
            elif _PLATFORM.fullmatch(name):
                yield name, f"${name}"
            else:
                yield name, self._before.get(name, "")

    def _arg(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        for name, value in self._arguments(instruction, stage.values):
            if name not in stage.env:  # which wins
                stage.values[name] = value

    def _env(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        values = dict(stage.values)  # one instruction sees what those before it set
        for name, text in _settings(instruction.rest):
            stage.values[name] = stage.env[name] = expand(text, values)

    def _workdir(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        folder = expand(_unquoted(instruction.rest), stage.values)
        stage.workdir = absolute(stage.workdir, folder)

    def _user(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        stage.user = expand(instruction.rest, stage.values).strip()

    def _stop(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        stage.stop_signal = expand(instruction.rest, stage.values).strip()

    def _expose(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        for word in expand(instruction.rest, stage.values).split():
            number = whole_number(word.partition("/")[0])
            if number and not word.endswith("/udp"):
                stage.ports.append(number)

    def _volume(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        stage.volumes += [expand(path, stage.values) for path in _words(instruction.rest)]

    def _by(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        stage.shell = exact(instruction.rest) or stage.shell

    def _cmd(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        stage.command = _command(instruction.rest, stage, place)

    def _entrypoint(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        stage.entrypoint, stage.command = _command(instruction.rest, stage, place), None

    def _health(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        kind, _, rest = instruction.rest.partition(" ")
        given = dict(instruction.flags)
        times: dict[str, Any] = {_TIMES[key]: given[key] for key in _TIMES if key in given}
        if retries := whole_number(given.get("retries", "")):
            times["retries"] = retries
        command = _command(rest.strip(), stage, place) if kind.upper() == "CMD" else None
        stage.health = Health(command, times, place)

    def _run(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        secret = False
        for flag, value in instruction.flags:
            if flag == "mount":
                secret |= self._mount(expand(value, stage.values), stage, place)
        text = "".join(instruction.documents) or instruction.rest
        if instruction.documents and not re.match(r"<<-?\S+$", instruction.rest.strip()):
            self._odd(stage, place, "a RUN with a here-document", "run plain commands")
        arguments = exact(instruction.rest)
        match arguments:
            case (shell, "-c", script, *_) if posixpath.basename(shell) in ("sh", "bash"):
                text, arguments = script, ()
        values = dict(stage.values)
        stage.runs.append(Run(text, stage.workdir, place, values, arguments, secret))

    def _mount(self, value: str, stage: Stage, place: Place) -> bool:
        """Take a mount, and tell whether it is a secret."""
        options: dict[str, str] = {}
        for part in value.split(","):
            key, _, text = part.partition("=")
            options[key.lower()] = text
        source = options.get("source") or options.get("src") or ""
        target = options.get("target") or options.get("dst") or options.get("destination") or ""
        kind = options.get("type", "bind")
        if kind in ("secret", "ssh"):
            return True
        if kind == "bind" and target:
            copy = Copy(source or ".", absolute(stage.workdir, target), False, place, mount=True)
            if origin := options.get("from"):
                stage.takes.append((origin, copy))
            else:
                stage.copies.append(copy)
        return False

    def _copy(self, instruction: Instruction, stage: Stage, place: Place) -> None:
        given = dict(instruction.flags)
        paths = [expand(word, stage.values) for word in _words(instruction.rest)]
        *sources, target = paths or [""]
        where = absolute(stage.workdir, target)
        address = next((source for source in sources if _ADDRESS.match(source)), "")
        what = ""
        if instruction.documents:
            what, advice = "a file that stands in the Dockerfile", "put it beside it"
        elif INSTALLER.match(address):
            words = ("curl", "-o", where, address)
            stage.runs.append(Run("", where, place, dict(stage.values), words))
            return
        elif address:
            what = f"a download: {address.partition('?')[0]}"
            advice = "keep it in the repository, or let a RUN fetch it"
        elif instruction.word == "ADD" and any(map(_ARCHIVE.search, sources)):
            what, advice = "ADD unpacks an archive", "COPY the files"
        elif "parents" in given:
            what, advice = "COPY --parents", "name the folder as the target, too"
        if what:
            self._odd(stage, place, what, advice)
            return
        into = target.endswith(("/", "/.")) or len(sources) > 1 or _is_folder(where, stage)
        for source in sources:
            copy = Copy(source, where, into, place, mode=given.get("chmod", ""))
            if "from" in given:
                stage.takes.append((expand(given["from"], stage.values | self._before), copy))
            else:
                stage.copies.append(copy)


_READERS: Mapping[str, Callable[[_Reader, Instruction, Stage, Place], None]] = {
    "ARG": _Reader._arg,
    "ENV": _Reader._env,
    "WORKDIR": _Reader._workdir,
    "USER": _Reader._user,
    "STOPSIGNAL": _Reader._stop,
    "EXPOSE": _Reader._expose,
    "VOLUME": _Reader._volume,
    "SHELL": _Reader._by,
    "CMD": _Reader._cmd,
    "ENTRYPOINT": _Reader._entrypoint,
    "HEALTHCHECK": _Reader._health,
    "RUN": _Reader._run,
    "COPY": _Reader._copy,
    "ADD": _Reader._copy,
}


def exact(rest: str) -> tuple[str, ...]:
    """The words of exec form; () where it is none."""
    try:
        parsed = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        return ()
    if not isinstance(parsed, list) or not all(isinstance(word, str) for word in parsed):
        return ()
    return tuple(parsed)


def absolute(folder: str, path: str) -> str:
    """A path of an image, as a folder in it sees it."""
    return posixpath.normpath("/" + posixpath.join(folder, path).lstrip("/"))


def _is_folder(path: str, stage: Stage) -> bool:
    """Whether an image is known to have this folder: it is Debian's, or has the working folder or
    files that were copied.
    """
    if SYSTEM.fullmatch(path):
        return True
    folders = [stage.workdir]
    for copy in stage.copies:
        folders.append(copy.target if copy.folder else posixpath.dirname(copy.target))
    return any(f"{folder}/".startswith(f"{path}/") for folder in folders)


def _command(rest: str, stage: Stage, place: Place) -> Command | None:
    if arguments := exact(rest):
        return Command(arguments, place)
    if rest.replace(" ", "") in ("", "[]"):
        return None
    return Command((rest,), place, stage.shell)


def _settings(rest: str) -> Iterator[tuple[str, str]]:
    """Of ENV: `A=b C="d e"`, or the old `A b c`."""
    if re.match(r"[^\s=]+\s", rest):
        name, _, value = rest.partition(" ")
        yield name, _unquoted(value.strip())
        return
    for word in _shell_words(rest):
        name, _, value = word.partition("=")
        yield name, value


def _shell_words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError:
        return rest.split()


def _words(rest: str) -> tuple[str, ...]:
    return exact(rest) or tuple(map(_unquoted, rest.split()))


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
