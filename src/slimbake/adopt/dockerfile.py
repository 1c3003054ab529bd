"""What a Dockerfile makes: the facts of its last stage, and of those that this one takes from. Pure."""

from __future__ import annotations

import copy
import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from slimbake.adopt.code import path_in
from slimbake.adopt.listed import OF_MACHINE
from slimbake.adopt.model import (
    BuildFacts,
    Command,
    Copy,
    Healthcheck,
    ImageFacts,
    Made,
    Note,
    Place,
    Said,
    Step,
    Taken,
)
from slimbake.adopt.shell import BLOCKS, LITERAL, SimpleCommand, expand, simple_commands
from slimbake.adopt.stages import made_files, without_packages
from slimbake.config.shells import SHELLS
from slimbake.fingerprint.instructions import Instruction, instructions

_WORD = re.compile(r"(?:[^\s\"'\\]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+")
_QUOTED = re.compile(r"\\(.)|\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")
_INSTALLER = re.compile(
    r"(?:pip|python)(?:3(?:\.\d+)?)?|uv|poetry|pipenv|pdm|conda|(?:micro)?mamba"
)
_UV_IMAGE = re.compile(r"(?:^|/)uv(?:[:@]|$)")
_HEALTH_FLAGS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "retries": "retries",
}
_OF_INSTALLERS = re.compile(r"(?:PIP|UV|POETRY|PIPENV|PDM)_")
_ARCHIVE = re.compile(r"\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz)$")
# What means nothing for another image, or says nothing that a build depends on.
_NEEDLESS = frozenset({"MAINTAINER"})
# The text of the Dockerfile that builds an image, and how; None for an image from outside.
Below = Callable[[str], tuple[str, BuildFacts] | None]


@dataclass(slots=True)
class _Stage:
    """A stage as far as it is read, with all that the stages below it have said."""

    image: Said
    name: str
    outside: Said  # the image from outside at the bottom
    values: dict[str, str] = field(default_factory=dict)  # ARG and ENV
    env: dict[str, Said] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    starts_in: Said | None = None
    copies: list[Copy] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    ports: list[Said] = field(default_factory=list)
    volumes: list[Said] = field(default_factory=list)
    user: Said | None = None
    stop_signal: Said | None = None
    healthcheck: Healthcheck | None = None
    entrypoint: Command | None = None
    command: Command | None = None
    shell: tuple[str, ...] = ("sh", "-c")  # what runs a command that is no list
    inherited: bool = False  # whether the command is that of the stage below
    scripts: dict[str, tuple[str, Place]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    # stages and images that it copies from
    takes: dict[str, list[Copy]] = field(default_factory=dict)
    runs: list[tuple[str, str]] = field(default_factory=list)
    unset: set[str] = field(default_factory=set)  # arguments without a value
    odd: str = ""  # what a step of `build` cannot do
    # instructions for images that are built FROM it, each with its file
    onbuild: list[tuple[str, Instruction]] = field(default_factory=list)

    @property
    def python(self) -> bool:
        """Whether Python is in it: by the image's name, or by what its steps call."""
        named = "python" in self.outside.value.rpartition("/")[2] or bool(
            re.search(r"(?:^|/)(?:mini|micro)?(?:conda|mamba|forge)", self.outside.value)
        )
        return named or any(
            _INSTALLER.fullmatch(posixpath.basename(step.words[0]))
            for step in self.steps
            if step.words
        )


def _outside(image: str) -> None:
    """No image is this repository's."""


def dockerfile_facts(
    text: str,
    file: str,
    target: str = "",
    arguments: Mapping[str, str] = {},
    below: Below = _outside,
    contexts: Mapping[str, str] = {},
) -> ImageFacts | None:
    """The facts of a Dockerfile's stage `target`, by default its last; None where it has none.

    `arguments`: what its build is given; `below`: the images that this repository builds;
    `contexts`: its further contexts, name -> folder.
    """
    reader = _Reader(file, dict(arguments), below)
    reader.contexts = dict(contexts)
    chosen = reader.read(text, target)
    return _facts(chosen, reader, file) if chosen else None


def _facts(chosen: _Stage, reader: _Reader, file: str) -> ImageFacts:
    named = [stage for stage in (*reader.lower, *reader.stages) if stage.name]
    by_name = {stage.name.lower(): stage for stage in named} | {
        str(number): stage for number, stage in enumerate(reader.stages)
    }
    steps, copies, notes = list(chosen.steps), list(chosen.copies), list(chosen.notes)
    for where, each in chosen.onbuild:
        advice = "it is for images that are built on this one"
        notes.append(Note(Place(where, each.line), each.source, advice))
    python = chosen.python or _runs_taken(chosen, by_name)
    seen = {id(chosen)}
    taken, builders = [], []
    made: list[Made] = []
    waiting = [(name, takes, _apart(name, chosen, by_name)) for name, takes in chosen.takes.items()]
    while waiting:
        waiting.sort(key=lambda each: bool(each[2]))  # what has packages first
        name, takes, apart = waiting.pop(0)
        place = takes[0].place
        stage = by_name.get(name.lower())
        if stage is None and (folder := reader.contexts.get(name)):
            copies += [replace(each, context=folder) for each in takes]
        elif stage is None:
            if not _UV_IMAGE.search(name):
                notes.append(
                    Note(
                        place,
                        f"files of the image {name} are copied",
                        "slimbake carries Python packages and Debian packages: name the package"
                        " that has them in `requirements` or `system`, or use `dockerfile:`",
                    )
                )
        elif id(stage) not in seen:
            seen.add(id(stage))
            directly = takes is chosen.takes.get(name)
            if stage.python:
                builders.append(stage.outside)
                older = [replace(each, last=False, apart=apart) for each in stage.steps]
                steps = [_as_taken(each, takes if directly else []) for each in older] + steps
                into = [take for found in stage.takes.values() for take in found]
                here = takes if directly else ()
                made += made_files(name, stage.steps, into, stage.copies, here)
                handed = _handed_on(stage.copies, takes) if directly else ()
                copies = [*stage.copies, *handed, *copies]
                notes += stage.notes
                waiting += [
                    (other, each, apart or _apart(other, stage, by_name))
                    for other, each in stage.takes.items()
                ]
            elif stage.runs or not _UV_IMAGE.search(stage.outside.value):
                taken.append(_taken(name, stage, takes, directly))
    return ImageFacts(
        place=Place(file, chosen.image.place.line),
        parent=chosen.outside,
        python=python,
        builders=tuple(builders),
        workdir=chosen.workdir,
        starts_in=chosen.starts_in,
        env=chosen.env,
        labels=chosen.labels,
        copies=tuple(dict.fromkeys(copies)),
        steps=tuple(dict.fromkeys(steps)),
        ports=tuple(chosen.ports),
        volumes=tuple(chosen.volumes),
        user=chosen.user,
        stop_signal=chosen.stop_signal,
        healthcheck=chosen.healthcheck,
        entrypoint=chosen.entrypoint,
        command=chosen.command,
        scripts=chosen.scripts,
        taken=tuple(taken),
        handed=tuple(
            take.target
            for name, takes in chosen.takes.items()
            if (stage := by_name.get(name.lower())) and stage.python
            for take in takes
        ),
        made=tuple(made),
        below=reader.own,
        notes=tuple(dict.fromkeys(notes)),
    )


def _runs_taken(chosen: _Stage, by_name: Mapping[str, _Stage]) -> bool:
    """Whether an image runs the Python, or the virtual environment, that it takes of another stage."""
    path = chosen.env.get("PATH")
    programs = [*(path.value.split(":") if path else ())]
    programs += [
        each.words[0] for each in (chosen.entrypoint, chosen.command) if each and each.words
    ]
    taken = [
        take.target.rstrip("/")
        for name, takes in chosen.takes.items()
        if (stage := by_name.get(name.lower())) and stage.python
        for take in takes
    ]
    return any(each.startswith(f"{at}/") for each in programs for at in taken)


def _apart(name: str, above: _Stage, by_name: Mapping[str, _Stage]) -> str:
    """The name of a stage where what is taken of it are surely no packages; "" otherwise."""
    stage = by_name.get(name.lower())
    if stage is None or not stage.python:
        return ""
    takes = [
        each
        for other, found in above.takes.items()
        if by_name.get(other.lower()) is stage
        for each in found
    ]
    into = [each for found in stage.takes.values() for each in found]
    return name if without_packages(stage.steps, into, takes) else ""


def _as_taken(step: Step, takes: list[Copy]) -> Step:
    """A step of an earlier stage, with paths as the image has them that takes files of it."""
    places = {
        posixpath.normpath(posixpath.join("/", take.sources[0])): take.target
        for take in takes
        if len(take.sources) == 1 and not take.folder
    }
    places.pop("/", None)
    if not places:
        return step

    def moved(text: str) -> str:
        return path_in(places).sub(lambda found: places[found[1]], text)

    return replace(
        step,
        words=tuple(map(moved, step.words)),
        written=step.written or step.words,
        workdir=moved(step.workdir),
        env=tuple((name, moved(value)) for name, value in step.env),
    )


def _handed_on(copies: list[Copy], takes: list[Copy]) -> Iterator[Copy]:
    """What a stage copies of the context, as the image has it that takes these files of the stage."""
    for take in takes:
        for written in take.sources:
            source = posixpath.normpath(posixpath.join("/", written))
            file = take.folder and bool(posixpath.splitext(source)[1])
            target = (
                posixpath.join(take.target, posixpath.basename(source)) if file else take.target
            )
            for each in copies:
                if f"{each.target}/".startswith(f"{source.rstrip('/')}/"):
                    inner = posixpath.relpath(each.target, source)
                    there = posixpath.normpath(posixpath.join(target, inner))
                    yield replace(each, target=there)
                elif source.startswith(f"{each.target.rstrip('/')}/"):
                    inner = posixpath.relpath(source, each.target)
                    parts = tuple(posixpath.join(part, inner) for part in each.sources)
                    yield replace(
                        each, sources=parts, target=target, folder=take.folder and not file
                    )


@dataclass(slots=True)
class _Branches:
    """Which commands a shell reaches between `if` and `fi`, where the values of arguments say it."""

    holds: bool | None = None  # the last condition; None: it is not known
    known: bool = True  # whether those before it are
    inside: str = ""  # if, then, else; over: after a branch that is reached

    def reached(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """A command without its keyword; () for one that is not reached, and for a condition. Of
        one that may be reached the keyword stays, so that nothing takes it for one that is.
        """
        if words[0] == "if":
            self.holds, self.known, self.inside = _condition(words[1:]), True, "if"
            return ()
        if not self.inside:
            return words
        if words[0] == "fi":
            self.inside = ""
            return ()
        if words[0] in {"elif", "else"} and self.known and self.holds:
            self.inside = "over"
        if words[0] == "elif" and self.inside != "over":
            self.known = self.known and self.holds is not None
            self.holds, self.inside = _condition(words[1:]), "if"
        elif words[0] in {"then", "else"} and self.inside != "over":
            self.inside, words = words[0], words[1:]
        if self.inside in {"if", "over"} or not words:
            return ()
        if self.holds is None or not self.known:
            return (self.inside, *words)
        return words if self.holds == (self.inside == "then") else ()


_TESTS = frozenset({"if", "elif", "[", "[[", "test"})
_MADE = re.compile(r"\$\(|`")  # by another command
_GOES_ON = re.compile(r"(\b(?:do|then|else|in)|[;)&|])\s*\n")  # a line with more of its command
_LINE_END = re.compile(r"(\S)[ \t]*\n")
_LEADS = frozenset({"then", "else", "do", "!", "{"})


def _blocks(text: str) -> Iterator[SimpleCommand]:
    """The simple commands of a text, with each loop and each `case` as one, in words as they are
    written.
    """
    depth, first = 0, None
    for command in simple_commands(text):
        words = list(command.words)
        while words[1:] and words[0] in _LEADS:
            del words[0]
        word = words[0] if words else ""
        first = command if not depth else first
        depth += (word in BLOCKS) - (depth > 0 and word in {"done", "esac"})
        if first is command and not depth:
            yield command
        elif first and not depth:
            yield _block(first, text[first.offset : command.offset + len(word)])
    if first and depth:  # its end is not seen
        yield _block(first, text[first.offset :])


def _block(first: SimpleCommand, text: str) -> SimpleCommand:
    whole = _LINE_END.sub(r"\1; ", _GOES_ON.sub(r"\1 ", text))
    return replace(first, words=tuple(whole.split()), plain=False)


def _pipes(
    commands: Iterable[SimpleCommand],
) -> Iterator[tuple[SimpleCommand, tuple[SimpleCommand, ...]]]:
    """Each command with all of the pipe that it is in."""
    pipes: list[list[SimpleCommand]] = []
    for command in commands:
        if pipes and command.before in {"|", "|&"}:
            pipes[-1].append(command)
        else:
            pipes.append([command])
    return ((each, tuple(pipe)) for pipe in pipes for each in pipe)


def _expanded(command: SimpleCommand, values: Mapping[str, str]) -> tuple[str, ...]:
    """The words of a command with its variables filled in; a shell splits those outside of quotes."""
    if BLOCKS & {*command.words[:2]}:  # it has variables of its own
        return command.words
    tests = bool(_TESTS & {*command.words[:2]})
    found: list[str] = []
    for word in command.words:
        text = expand(word, values)[0]
        parts = text.split() if word in command.split and not tests else [text]
        found += [part.replace(LITERAL, "$") for part in parts]
    return tuple(found)


def _condition(words: tuple[str, ...]) -> bool | None:
    """Whether `[ a = b ]`, `[ -n a ]` and the like hold; None for another condition."""
    if words[:1] not in (("[",), ("[[",)) or words[-1] not in {"]", "]]"}:
        return None
    match words[1:-1]:
        case (one, "=" | "==", other):
            return one == other
        case (one, "!=", other):
            return one != other
        case ("-n", text):
            return bool(text)
        case ("-z", text):
            return not text
    return None


def _taken(name: str, stage: _Stage, takes: list[Copy], directly: bool) -> Taken:
    refused = stage.odd or ("" if directly else "another stage takes them")
    if stage.takes:
        refused = "it takes files of another stage"
    elif stage.notes and not refused:
        refused = stage.notes[0].what
    return Taken(
        name=name,
        place=takes[0].place,
        image=stage.outside,
        workdir=next((folder for folder, _ in stage.runs if folder != "/"), stage.workdir),
        copies=tuple(stage.copies),
        runs=tuple(stage.runs),
        env={name: value for name, value in stage.values.items() if value and name != "PATH"},
        takes=tuple(takes),
        refused=refused or ("it runs nothing" if not stage.runs else ""),
    )


_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash"})


class _Reader:
    def __init__(
        self, file: str, given: dict[str, str], below: Below, above: frozenset[str] = frozenset()
    ) -> None:
        self._file = file
        self._given = given
        self._below = below
        self._above = above | {file}  # the Dockerfiles that are being read
        self._before: dict[str, str] = {}  # arguments before the first FROM
        self.contexts: dict[str, str] = {}
        self.stages: list[_Stage] = []
        self.lower: list[_Stage] = []  # of the repository's images that it is built FROM
        self.own: dict[str, BuildFacts] = {}  # these images

    def read(self, text: str, target: str) -> _Stage | None:
        """The stage of this name, by default the last one."""
        for instruction in instructions(text):
            self.take(instruction)
        named = [each for each in self.stages if each.name == target.lower()]
        found = named[:1] if target else self.stages[-1:]
        return found[0] if found else None

    def take(self, instruction: Instruction) -> None:
        if instruction.word == "FROM":
            self._from(instruction)
        elif not self.stages:
            if instruction.word == "ARG":
                for name, default in _pairs(instruction.rest):
                    self._before[name] = self._given.get(name, expand(default, self._before)[0])
        else:
            self._within(instruction, self.stages[-1])

    def _from(self, instruction: Instruction) -> None:
        words = instruction.rest.split()
        place = Place(self._file, instruction.line)
        image = Said(expand(words[0] if words else "", self._before)[0], place)
        name = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else ""
        below = next((s for s in reversed(self.stages) if s.name == image.value.lower()), None)
        below = below or self._of_this_repository(image)
        if below is None:
            self.stages.append(_Stage(image, name, image))
            return
        stage = copy.deepcopy(below)
        stage.image, stage.name, stage.inherited = image, name, True
        stage.values |= {key: said.value for key, said in below.env.items()}
        stage.onbuild = []
        self.stages.append(stage)
        for file, each in below.onbuild:
            _Reader(file, {}, self._below)._within(_triggered(each), stage)

    def _of_this_repository(self, image: Said) -> _Stage | None:
        """The stage of another Dockerfile that makes an image; None where none here does."""
        found = self._below(image.value)
        if found is None or found[1].dockerfile in self._above:
            return None
        text, build = found
        inner = _Reader(build.dockerfile, dict(build.args), self._below, self._above)
        chosen = inner.read(text, build.target)
        if chosen is None:
            return None
        names = {
            key: f"{stage.name or number} of {build.dockerfile}"
            for number, stage in enumerate(inner.stages)
            for key in (str(number), stage.name)
        }
        for number, stage in enumerate(inner.stages):
            stage.name = names[str(number)]
            stage.takes = {names.get(key.lower(), key): each for key, each in stage.takes.items()}
            stage.copies = [
                each if each.context else replace(each, context=build.context)
                for each in stage.copies
            ]
        self.lower += [*inner.lower, *inner.stages]
        self.own |= {**inner.own, image.value: build}
        chosen.values, chosen.unset = {}, set()  # arguments end with a build
        what = f"{image.value} is built by {build.dockerfile}"
        advice = "init reads that Dockerfile as the stage below: its image is no service"
        chosen.notes.insert(0, Note(image.place, what, advice))
        return chosen

    def _within(self, instruction: Instruction, stage: _Stage) -> None:
        place = Place(self._file, instruction.line)
        read = _READERS.get(instruction.word)
        if read is not None:
            read(self, instruction, stage, place)
        elif instruction.word == "ONBUILD":
            stage.onbuild += [(self._file, instruction)] if instruction.rest else []
        elif instruction.word not in _NEEDLESS:
            what = f"the unknown instruction {instruction.word}"
            stage.notes.append(Note(place, what, "slimbake does not read it"))

    def _arg(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        for name, default in _pairs(instruction.rest):
            value = self._given.get(name, self._before.get(name, default))
            stage.values[name] = expand(value, stage.values)[0]
            if not value and name not in stage.env:
                stage.unset.add(name)

    def _env(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        known = dict(stage.values)  # one instruction sees what those before it set
        for name, text in _settings(instruction.rest):
            value = expand(text, known)[0].replace(LITERAL, "$")
            if not self._lacks(name, text, stage, place):
                stage.unset.discard(name)
            stage.values[name] = value
            stage.env[name] = Said(value, place)

    def _lacks(self, name: str, text: str, stage: _Stage, place: Place) -> bool:
        """Note that a value has that of an argument which this build is not given."""
        if _OF_INSTALLERS.match(name):  # their steps say what is lost
            return False
        known = {key: value for key, value in stage.values.items() if key not in stage.unset}
        lacking = [each for each in expand(text, known)[1] if each in stage.unset]
        if lacking:
            advice = (
                "slimbake's builds have no arguments: set it where containers start, or in `env`"
            )
            what = f"{name} has its value from the build argument {', '.join(lacking)}"
            stage.notes.append(Note(place, what, advice))
        return bool(lacking)

    def _label(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        for name, text in _settings(instruction.rest):
            if not self._lacks(name, text, stage, place):
                stage.labels[name] = expand(text, stage.values)[0].replace(LITERAL, "$")

    def _workdir(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        folder = expand(_unquoted(instruction.rest), stage.values)[0]
        stage.workdir = posixpath.normpath(posixpath.join(stage.workdir, folder))
        stage.starts_in = Said(folder, place)

    def _user(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        stage.user = Said(expand(instruction.rest, stage.values)[0], place)

    def _stop_signal(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        stage.stop_signal = Said(expand(instruction.rest, stage.values)[0], place)

    def _expose(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        ports = expand(instruction.rest, stage.values)[0].split()
        stage.ports += [Said(port, place) for port in ports]

    def _volume(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        for path in _words(instruction.rest):
            stage.volumes.append(Said(expand(path, stage.values)[0], place))

    def _by(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        stage.shell = _exec(instruction.rest) or stage.shell

    def _cmd(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        stage.command, stage.inherited = _command(instruction.rest, place, stage.shell), False

    def _entrypoint(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        stage.entrypoint = _command(instruction.rest, place, stage.shell)
        if stage.inherited:  # Docker clears the command of the image below
            stage.command = None

    def _healthcheck(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        stage.healthcheck = _healthcheck(instruction, place)

    def _run(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        for flag, value in instruction.flags:
            if flag == "mount":
                self._mount(value, instruction, stage)
        words = _exec(instruction.rest)
        if words[2:] and words[:2] in (
            ("sh", "-c"),
            ("bash", "-c"),
            ("/bin/sh", "-c"),
            ("/bin/bash", "-c"),
        ):
            stage.runs.append((stage.workdir, words[2]))
            self._shell(words[2], stage, [instruction.line])
            return
        stage.runs.append((stage.workdir, shlex.join(words) if words else instruction.rest))
        if words:
            env = tuple(stage.values.items())
            stage.steps.append(Step(words, True, stage.workdir, place, last=True, env=env))
            return
        if instruction.documents:
            stage.odd = "it has a here-document"
            document = instruction.documents[0]
            first = next(iter(simple_commands(instruction.rest)), None)
            if first and first.words and first.words[0] not in _SHELLS:
                into = tuple(self._written(first.into, stage.workdir, stage))
                stage.steps.append(
                    Step(first.words, False, stage.workdir, place, last=True, into=into)
                )
                return
            self._shell(document.body, stage, [document.line])
            return
        self._shell(instruction.rest, stage, instruction)

    def _shell(self, text: str, stage: _Stage, where: Instruction | list[int]) -> None:
        workdir, branches, values = stage.workdir, _Branches(), dict(stage.values)
        for command, piped in _pipes(_blocks(text)):
            given = {name: expand(value, values)[0] for name, value in command.assignments}
            if not command.words:
                values |= {name: value for name, value in given.items() if not _MADE.search(value)}
                continue
            offset = piped[0].offset
            if isinstance(where, list):
                line = where[0] + text.count("\n", 0, offset)
            else:
                line = where.line_at(offset)
            words = branches.reached(_expanded(command, values))
            if not words:
                continue
            inner = posixpath.basename(words[0]) in {"sh", "bash"} and len(words) > 2
            if inner and re.fullmatch(r"-\w*c", words[1]):
                self._shell(words[2], stage, [line])
                continue
            if words[0] == "cd" and len(words) == 2:
                workdir = posixpath.normpath(posixpath.join(workdir, words[1]))
                continue
            env = tuple({**values, **given}.items())
            at = Place(self._file, line)
            into = tuple(self._written(command.into, workdir, stage))
            shown = [" ".join(_expanded(each, values)) for each in piped if len(piped) > 1]
            step = Step(words, command.plain, workdir, at, True, env, into, " | ".join(shown))
            stage.steps.append(step)

    def _written(self, names: Iterable[str], workdir: str, stage: _Stage) -> Iterator[str]:
        """The files that a step writes, as far as their names are known; root's home is its own."""
        for name in names:
            text, missing = expand(name, {"HOME": "/root", **stage.values})
            if not missing and "$" not in text:
                path = text.replace(LITERAL, "$")
                yield posixpath.normpath(
                    posixpath.join(workdir, re.sub(r"^~(?=/|$)", "/root", path))
                )

    def _mount(self, value: str, instruction: Instruction, stage: _Stage) -> None:
        said = {key.lower(): text for key, _, text in (p.partition("=") for p in value.split(","))}
        target = said.get("target") or said.get("dst") or said.get("destination") or ""
        source = said.get("source") or said.get("src") or "."
        if said.get("type", "bind") not in {"bind", "cache", "tmpfs"} or "from" in said:
            stage.odd = f"a RUN mounts a {said.get('type', 'stage')}"
        if said.get("type") in {"secret", "ssh"}:
            place = Place(self._file, instruction.line)
            stage.notes.append(Note(place, f"RUN --mount={value}", OF_MACHINE))
        if said.get("type", "bind") == "bind" and target:
            place = Place(self._file, instruction.line)
            where = posixpath.normpath(posixpath.join(stage.workdir, target))
            if "from" in said:
                name = expand(said["from"], stage.values | self._before)[0]
                source = said.get("source") or said.get("src") or "/"
                stage.takes.setdefault(name, []).append(Copy((source,), where, False, place))
            else:
                stage.copies.append(Copy((source,), where, False, place))

    def _copy(self, instruction: Instruction, stage: _Stage, place: Place) -> None:
        given = dict(instruction.flags)
        *sources, target = [expand(word, stage.values)[0] for word in _words(instruction.rest)] or [
            ""
        ]
        where = posixpath.normpath(posixpath.join(stage.workdir, target))
        if "from" in given:
            name = expand(given["from"], stage.values | self._before)[0]
            folder = target.endswith(("/", "/.")) or target in {".", ""}
            stage.takes.setdefault(name, []).append(Copy(tuple(sources), where, folder, place))
            return
        if instruction.documents:
            document = instruction.documents[0]
            stage.scripts[where] = document.body, Place(self._file, document.line)
            return
        if any(re.match(r"(?:https?|git|ssh)(?:://|@)", source) for source in sources):
            stage.notes.append(
                Note(
                    place,
                    instruction.source,
                    "slimbake downloads nothing into an image: put the files into the repository, a"
                    " package, or `weights`",
                )
            )
            return
        folder = target.endswith(("/", "/.")) or target in {".", ""} or len(sources) > 1
        unpacked = [each for each in sources if instruction.word == "ADD" and _ARCHIVE.search(each)]
        for each in unpacked:
            advice = (
                f"Docker unpacks it into {where}, and slimbake copies files as they are: put what is in"
                " it into the repository, a package, or `weights`"
            )
            stage.notes.append(Note(place, f"ADD {each}", advice))
            sources.remove(each)
        stage.copies.append(Copy(tuple(sources), where, folder, place, "parents" in given))


_READERS: Mapping[str, Callable[[_Reader, Instruction, _Stage, Place], None]] = {
    "ARG": _Reader._arg,
    "LABEL": _Reader._label,
    "ENV": _Reader._env,
    "WORKDIR": _Reader._workdir,
    "USER": _Reader._user,
    "STOPSIGNAL": _Reader._stop_signal,
    "EXPOSE": _Reader._expose,
    "VOLUME": _Reader._volume,
    "SHELL": _Reader._by,
    "CMD": _Reader._cmd,
    "ENTRYPOINT": _Reader._entrypoint,
    "HEALTHCHECK": _Reader._healthcheck,
    "RUN": _Reader._run,
    "COPY": _Reader._copy,
    "ADD": _Reader._copy,
}


def _triggered(onbuild: Instruction) -> Instruction:
    """The instruction that stands behind ONBUILD, with its lines."""
    inner = next(instructions(onbuild.rest))
    at = len(onbuild.rest) - len(inner.rest)
    return replace(
        inner,
        line=onbuild.line,
        documents=onbuild.documents,
        starts=tuple((max(0, offset - at), line) for offset, line in onbuild.starts),
    )


def _pairs(rest: str) -> Iterator[tuple[str, str]]:
    for word in _shell_words(rest):
        name, _, value = word.partition("=")
        yield name, value


def _settings(rest: str) -> Iterator[tuple[str, str]]:
    """Of ENV: `A=b C="d e"`, or the old `A b c`."""
    if re.match(r"[^\s=]+\s", rest) and "=" not in rest.split(maxsplit=1)[0]:
        name, _, value = rest.partition(" ")
        yield name, value.strip()
        return
    yield from _pairs(rest)


def _shell_words(rest: str) -> list[str]:
    return [
        _QUOTED.sub(lambda part: part[1] or part[2] or (part[3] or "").replace("$", LITERAL), word)
        for word in _WORD.findall(rest)
    ]


def _exec(rest: str) -> tuple[str, ...]:
    """The words of exec form; () where it is none."""
    if not rest.startswith("["):
        return ()
    try:
        words = json.loads(rest)
    except ValueError:
        return ()
    good = isinstance(words, list) and all(isinstance(word, str) for word in words)
    return tuple(words) if good else ()


def _words(rest: str) -> tuple[str, ...]:
    return _exec(rest) or tuple(_unquoted(word) for word in rest.split())


def _unquoted(text: str) -> str:
    same = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if same else text


def _command(rest: str, place: Place, by: tuple[str, ...] = ("sh", "-c")) -> Command | None:
    """`by`: the words of SHELL."""
    if rest.startswith("[") and rest.replace(" ", "") == "[]":
        return None
    if words := _exec(rest):
        return Command(words, False, place)
    names = [posixpath.basename(word) for word in by]
    at = next((number for number, name in enumerate(names) if name in SHELLS), None)
    if at is None:  # such as `python -c`
        return Command((*by, rest), False, place)
    return Command((rest,), True, place, (names[at], *by[at + 1 :]))


def _healthcheck(instruction: Instruction, place: Place) -> Healthcheck:
    word, _, rest = instruction.rest.partition(" ")
    settings = tuple(
        (_HEALTH_FLAGS[name], value) for name, value in instruction.flags if name in _HEALTH_FLAGS
    )
    command = _command(rest.strip(), place) if word.upper() == "CMD" else None
    return Healthcheck(command, settings, place)
