"""The rule: what becomes of a service. Pure.

**own**: Python's image, packages of files that slimbake reads, sources as they lie in the repository,
a command. **own, with a shell**: its command is a script, or a shell's line. **kept**: all else; its
Dockerfile is baked as it is. Nothing is changed on a guess: the first thing that init does not know
keeps the Dockerfile, and is named.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from slimbake.adopt.code import APP, Code, code_of
from slimbake.adopt.differences import differences
from slimbake.adopt.dockerfile import OF_PLATFORM, absolute, find, stages
from slimbake.adopt.files import (
    Origins,
    Pair,
    below,
    is_plain_python,
    joined,
    python_of,
    version_of,
)
from slimbake.adopt.model import (
    Candidate,
    Command,
    ComposeService,
    Draft,
    Entry,
    Health,
    KeepError,
    Note,
    Place,
    Repository,
    Stage,
)
from slimbake.adopt.needs import RUNNERS, Needs, UnreadRun, needs_of
from slimbake.adopt.shell import plain_words, unset
from slimbake.config.naming import CPU, CUDA, HOME, NONROOT_HOME
from slimbake.config.secrecy import OF_A_FILE, hidden, looks_secret
from slimbake.config.shells import SHELLS, reaped

_OF_BUILDS = re.compile(r"(?:PIP|UV|POETRY|PIPENV|PDM)_|(?:PATH|VIRTUAL_ENV|HOME|DEBIAN_FRONTEND)$")
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
_HIDDEN = re.compile(r"/tmp/[\w./-]+")  # noqa: S108
_WRITE_ELSEWHERE = "a container begins with an empty /tmp and home: let it write elsewhere"
_FETCHERS = ("curl", "wget")  # which python:VERSION has without -slim
_OR_FAIL = re.compile(r"(?<!\s)\s*\|\|\s*(?:exit 1|false|kill 1)\s*$")
_ABSOLUTE = re.compile(r"/[A-Za-z0-9._@+/-]*")


def draft(candidate: Candidate, repository: Repository) -> Draft:
    """What a service becomes."""
    compose = candidate.compose
    kept = _kept(candidate)
    fallback = Draft(
        name=candidate.name,
        origin=candidate.origin,
        outcome="kept",
        entry=kept,
        kept=kept,
        kept_notes=(*candidate.notes, *_of_compose(compose)),
    )
    blockers: list[KeepError] = []
    try:
        own = _own(fallback, candidate, repository, blockers)
    except KeepError as error:
        if all(error.place != blocker.place for blocker in blockers):
            blockers.append(error)
    except RecursionError:
        what = "its stages are nested too deeply"
        blockers.append(KeepError(candidate.origin[-1], what, "flatten them"))
    if not blockers:
        return own
    notes = fallback.kept_notes
    text = repository.text(candidate.build.dockerfile) or ""
    if compose and compose.entrypoint and re.search(r"(?mi)^[ \t]*ENTRYPOINT\b", text):
        what = f"{fallback.name}: its `entrypoint` follows that of the Dockerfile"
        notes += (Note("breaks", compose.place, what, "write ENTRYPOINT there"),)
    why = (Note("other", each.place, each.what, each.advice) for each in blockers)
    return replace(fallback, why=tuple(dict.fromkeys(why)), notes=notes)


def _kept(candidate: Candidate) -> Entry:
    """The entry with its Dockerfile."""
    build, compose = candidate.build, candidate.compose
    entry: Entry = {"context": build.context, "dockerfile": build.dockerfile}
    entry["target"] = build.target
    entry["args"] = {name: v for name, v in build.args.items() if not looks_secret(name, v)}
    entry["contexts"] = {**build.contexts, **candidate.images}
    if compose:
        commands = filter(None, (compose.entrypoint, compose.command))
        entry["command"] = [word for command in commands for word in command.words]
        entry["port"] = next((inside for _, inside in compose.ports), "")
        entry |= _containers(compose, candidate.ready, {}, Code())
    if compose and (health := compose.health):
        test = [*health.command.shell, *health.command.words] if health.command else []
        settings = {**({"test": test} if test else {}), **health.times}
        entry["healthcheck"] = health.command is not None and settings
    return {key: value for key, value in entry.items() if value not in ("", {}, [])}


def _own(
    fallback: Draft, candidate: Candidate, repository: Repository, blockers: list[KeepError]
) -> Draft:
    """The same, built by slimbake, unless something is added to `blockers`. Raises KeepError, too."""
    build, compose = candidate.build, candidate.compose
    text = repository.text(build.dockerfile)
    if text is None:
        there = "is not there" if not repository.has(build.dockerfile) else "cannot be read"
        raise KeepError(
            fallback.origin[0], f"{build.dockerfile} {there}", "name one that is a text"
        )
    every = stages(text, build.dockerfile, build.args)
    stage = find(every, build.target)
    if stage is None:
        what = f"it has no stage {build.target}" if build.target else "it has no FROM"
        raise KeepError(Place(build.dockerfile), what, "name a stage of it")
    origins = Origins(every, build, repository)
    needs = needs_of(stage, origins, repository)
    blockers += needs.blockers
    service = _Service(stage, needs, compose, repository)
    named = [word for command in service.commands().values() for word in command.words]
    folders = (word.partition("[")[0] for word in needs.requirements if word.startswith("."))
    read = [*needs.files, *map(posixpath.normpath, folders)]
    pairs = [*_before_runs(needs, stage, origins), *origins.pairs(stage)]
    code = code_of(pairs, stage.workdir, named, read, build, repository)
    shell, entry = service.entry(code, build.context)
    if needs.image:
        entry["from"] = needs.image
    build_steps = _build_steps(needs, stage, service.code)
    if build_steps:
        entry["build"] = build_steps
    _expect_seen(needs, entry)
    if needs.copies:
        entry["copy"] = [*_copies(needs, service.code, fallback, candidate)]
    if compose:
        entry |= _containers(compose, candidate.ready, entry.get("env", {}), service.code)
    for key in ("entrypoint", "command", "healthcheck", "build"):
        text = " ".join(_texts(entry.get(key, "")))
        if hidden(text) != text:
            what = f"its {key} has what may be a secret"
            raise KeepError(stage.place, what, "take it from a variable: $NAME in a shell's line")
    torch, torch_notes = _torch(needs, stage, compose, repository)
    if torch != CPU:
        entry["torch"] = torch
    notes = [*fallback.kept_notes, *needs.notes, *service.notes, *torch_notes]
    notes += differences(code, build, entry, repository)
    what = "this RUN runs as it is, after packages and code, and as root"
    notes += [Note("other", step.run.place, what, _WRITE_ELSEWHERE) for step in needs.steps]
    if needs.image and python_of(needs.image) is None:
        what = f"packages that {needs.image} itself has for Python are not used, nor its ENTRYPOINT"
        notes.append(
            Note("breaks", stage.place, what, "require them; `slimbake lock` looks into it")
        )
    return replace(
        fallback,
        outcome="own, with a shell" if shell else "own",
        entry=entry,
        python=next(filter(None, (version_of(s.image) for s in (stage, *every))), ""),
        wants_python=tuple(_pythons(needs, service.code.context, repository)),
        notes=tuple(notes),
    )


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of an entry."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _links(links: Sequence[tuple[str, str]]) -> Entry:
    """A step that links what lies elsewhere than today to where the program looks for it."""
    program = (
        "import os; [(os.makedirs(os.path.dirname(place), exist_ok=True),"
        " os.path.lexists(place) and (os.rmdir if os.path.isdir(place) else os.remove)(place),"
        f" os.symlink(target, place)) for place, target in {[*links]!r}]"
    )
    return {"run": ["python", "-c", program]}


def _before_runs(needs: Needs, stage: Stage, origins: Origins) -> Iterator[Pair]:
    """The files of the repository that builder stages have before a RUN of theirs that runs as it is."""
    for step in needs.steps:
        if step.stage is stage:
            continue
        for pair in origins.pairs(step.stage):
            if pair.place.line < step.run.place.line:
                yield pair


def _build_steps(needs: Needs, stage: Stage, code: Code) -> list[Entry]:
    """What runs in the image: first what its builders run, and what is copied of that."""
    steps = [_links(code.links)] if code.links else []
    steps += [_build_step(step, stage, code) for step in needs.steps if step.stage is not stage]
    steps += _made_files(needs, code)
    steps += [_build_step(step, stage, code) for step in needs.steps if step.stage is stage]
    return steps


def _expect_seen(needs: Needs, entry: Entry) -> None:
    """Raise KeepError where a command or a variable names a file that a RUN may make, and that
    containers do not see.
    """
    started = [entry.get(key, "") for key in ("entrypoint", "command", "env")]
    for path in _HIDDEN.findall(" ".join(_texts(started))):
        for step in needs.steps:
            if path in step.text:
                what = f"{path}, which this RUN may make, is not in containers"
                raise KeepError(step.run.place, what, _WRITE_ELSEWHERE)


def _build_step(step: UnreadRun, stage: Stage, code: Code) -> Entry:
    """A RUN that runs as it is, in the image, after its packages and its code."""
    text, folder = code.moved(step.text), code.moved(step.run.workdir)
    if folder != APP:
        text = f"cd {shlex.quote(folder)} && {text}"
    arguments = {}
    for name, value in step.run.values.items():
        if OF_PLATFORM.search(value):  # the step has it itself
            continue
        if value and stage.env.get(name) != value and not _OF_BUILDS.match(name):
            arguments[name] = code.moved(value)
    if any(looks_secret(name, value) for name, value in arguments.items()):
        raise step.unknown
    entry: Entry = {"run": [*step.stage.shell, text], "network": True}
    return entry | ({"env": arguments} if arguments else {})


def _made_files(needs: Needs, code: Code) -> Iterator[Entry]:
    """Steps that copy what such a RUN of a builder made, to where the next stage has it."""
    for builder, stage, copy in needs.made_files:
        source = _in_folder(absolute("/", copy.source), builder.workdir, code)
        target = _in_folder(copy.target, stage.workdir, code)
        if copy.folder:
            target += "/"
        one, other = shlex.quote(source), shlex.quote(target)
        if source == target.rstrip("/"):
            yield {"run": [*stage.shell, f"test -e {one}"]}
            continue
        text = f"if [ -d {one} ]; then mkdir -p {other} && cp -a {one}/. {other}; else"
        text += f" mkdir -p $(dirname {other}x) && cp -a {one} {other}; fi"
        yield {"run": [*stage.shell, text]}


def _in_folder(path: str, workdir: str, code: Code) -> str:
    """A path of today's image as slimbake's has it. Commands may name it relative to their folder."""
    if below(path, workdir):
        return joined(code.moved(workdir), posixpath.relpath(path, workdir))
    return code.moved(path)


def _copies(needs: Needs, code: Code, draft: Draft, candidate: Candidate) -> Iterator[Entry]:
    """What an image has of stages and images, each stage built as today."""
    build = {key: draft.kept[key] for key in ("dockerfile", "context", "args") if key in draft.kept}
    for copy in needs.copies:
        if "target" in copy["from"]:
            lacks = build.get("args", {}) != candidate.build.args  # those that may be secret
            if lacks or candidate.images or candidate.build.contexts:
                what = "its stages need a secret, a context or an image of another build"
                raise KeepError(draft.origin[-1], what, "write `copy` yourself")
            copy["from"] = build | copy["from"]
        yield copy | {"to": code.moved(copy["to"])}


def _pythons(needs: Needs, folder: str, repository: Repository) -> Iterator[str]:
    """What the projects that a service installs, or is, say of Python's version."""
    for file in dict.fromkeys((*needs.files, joined(folder, "pyproject.toml"))):
        text = repository.text(file) or ""
        if file.endswith("pyproject.toml"):
            yield from re.findall(r'(?m)^(?:requires-python|python)\s*=\s*"([^"]+)"', text)


def _torch(
    needs: Needs, stage: Stage, compose: ComposeService | None, repository: Repository
) -> tuple[str, tuple[Note, ...]]:
    """The build of torch that a service gets, and what that changes for it."""
    if needs.torch == CPU or re.fullmatch(r"cu\d+", needs.torch):
        return needs.torch, ()
    if needs.torch:
        what = f"torch is its CPU build, not `{needs.torch}`"
        return CPU, (Note("breaks", stage.place, what, "`torch: cuda` in the service for CUDA"),)
    place = _plain_torch(needs, stage, repository)
    if place is None:
        return CPU, ()
    if (compose and compose.gpu) or "cuda" in needs.image:
        return CUDA, ()
    what = "torch is its CPU build, and PyPI's has CUDA"
    return CPU, (Note("breaks", place, what, "`torch: cuda` in the service for CUDA"),)


def _plain_torch(needs: Needs, stage: Stage, repository: Repository) -> Place | None:
    """Where a service asks for torch by its name; None where it does not."""
    for requirement in needs.requirements:
        if re.fullmatch(r"torch(?:[=<>~!\[ ].*)?", requirement):
            return stage.place
    for file in needs.files:
        text = repository.text(file) or ""
        if match := re.search(r"(?m)^[ \t\"']*torch\b(?![-_\w])", text):
            return Place(file, text.count("\n", 0, match.end()) + 1)
    return None


class _Service:
    """A service that slimbake builds: how it is started, and what its image has."""

    def __init__(
        self, stage: Stage, needs: Needs, compose: ComposeService | None, repository: Repository
    ) -> None:
        self._stage, self._needs, self._compose = stage, needs, compose
        self._repository = repository
        self._system = dict(needs.system)
        self._shell = False
        self._script = False
        self.code = Code()
        self.notes: list[Note] = []

    def commands(self) -> dict[str, Command]:
        """What is started, by its key: the program first. Raises KeepError where nothing is."""
        compose, stage = self._compose, self._stage
        entrypoint = (compose and compose.entrypoint) or stage.entrypoint
        command = compose.command if compose else None
        if command is None and not (compose and compose.entrypoint):
            command = stage.command
        if not command and not entrypoint and is_plain_python(stage.image):
            command = Command(("python3",), stage.place)
        if entrypoint and entrypoint.shell:  # Docker takes no arguments then
            command = None
        by_key: dict[str, Command | None] = {"entrypoint": entrypoint, "command": command}
        if entrypoint and not command and compose:  # else it would be a tool that people start
            by_key = {"command": entrypoint}
        if not any(item and item.words for item in by_key.values()):
            what = "it has no CMD and no ENTRYPOINT: it starts nothing"
            raise KeepError(stage.place, what, "write CMD, or `command` in the compose file")
        started = {key: item for key, item in by_key.items() if item and item.words}
        if len(started) == 1:
            return {key: _as_text(item) for key, item in started.items()}
        return started

    def entry(self, code: Code, folder: str) -> tuple[bool, Entry]:
        """The entry, and whether a shell runs its command. `folder`: today's context."""
        stage = self._stage
        user, home = self._user()
        code = self.code = replace(code, moves=(*code.moves, *self._homes(code, home)))
        workdir = (self._compose and self._compose.workdir) or stage.workdir
        there = code.moved(workdir)
        if not code.context and there != "/" and not self._needs.copies:
            there = APP
        entry: Entry = {"context": code.context} if code.context else {}
        if code.include:
            entry["include"] = list(code.include)
        commands = self.commands()
        for key, item in commands.items():
            first = item is next(iter(commands.values()))
            entry[key] = self._words(item, code, there, first=first)
        if there != APP:
            entry["workdir"] = there
        env = self._env(code)
        if env:
            entry["env"] = env
        entry |= self._ports()
        if user:
            entry["user"] = user
        volumes = {
            re.sub(r"\W+", "-", path).strip("-") or "data": code.moved(path)
            for path in stage.volumes
        }
        mounted = (self._compose and self._compose.volumes) or {}
        folders = self._folders(code, [*volumes.values(), *map(code.moved, mounted.values())])
        if folders:
            what = f"what is written to {', '.join(folders)}, at each restart"
            advice = "`volumes` in place of `tmpfs` keeps it"
            place = next(iter(self._needs.folders.values()))
            self.notes.append(Note("lost", place, what, advice))
        more = {"volumes": volumes, "tmpfs": folders, "stop_signal": stage.stop_signal}
        entry |= {key: value for key, value in more.items() if value}
        self._health(code, there, entry)
        self._unset(entry)
        entry |= self._packages(code)
        if self._shell and not self._needs.image:
            entry["shell"] = True
        return self._script, entry

    def _user(self) -> tuple[str, str]:
        """The user in numbers, "" for slimbake's own; and its home."""
        for user in (self._compose.user if self._compose else "", self._stage.user):
            name, _, group = user.partition(":")
            number = name if name.isdecimal() else self._needs.users.get(name, "")
            if number.isdecimal() and number != "0":
                return (f"{number}:{group}" if group.isdecimal() else number), HOME
        return "", HOME if self._needs.image else NONROOT_HOME

    def _homes(self, code: Code, home: str) -> Iterator[tuple[str, str]]:
        """Where homes of today's users are: a writable folder of slimbake's image."""
        moves = dict(code.moves)
        for path in ("/root", *self._needs.homes):
            if path not in moves and path.count("/") <= 2:
                yield path, home

    def _words(self, command: Command, code: Code, workdir: str, *, first: bool) -> list[str]:
        """The words of a command; a shell's text stays one, and keeps its shell."""
        words = command.words
        if command.shell:
            words = tuple(plain_words(words[0]))
            if not words:
                text = _RUNNER.sub(lambda found: "python " if found[1] else "", command.words[0])
                words = (posixpath.basename(command.shell[0]), *command.shell[1:], text)
        arguments = [self._moved(word, code) for word in words]
        return self._started(arguments, command, code, workdir) if first else arguments

    def _started(
        self, arguments: list[str], original: Command, code: Code, workdir: str
    ) -> list[str]:
        """The words of a command with a program that the image has, behind tini or dumb-init, too."""
        command = list(reaped(arguments))
        before = arguments[: len(arguments) - len(command)]
        command = self._program(command, original, code, workdir)
        module = command[command.index("-m") + 1 :][:1] if "-m" in command else []
        for name in (command[0], *module):
            if python_of(self._needs.image) is None and _is_of(name, self._needs.image):
                what = f"{name} is of its image, {self._needs.image}, as are packages that it needs"
                raise KeepError(original.place, what, "require its packages")
        if posixpath.basename(command[0]) in SHELLS:
            self._needs_shell(posixpath.basename(command[0]), " ".join(command), original.place)
        return [*before, *command]

    def _moved(self, text: str, code: Code) -> str:
        """A text with its paths as slimbake's image has them; programs are on PATH."""
        text = code.moved(text)
        environments = self._needs.environments | {"/usr/local", "/root/.local"}
        inner = {posixpath.relpath(folder, self._stage.workdir) for folder in environments}
        for folder in {*environments, *map(code.moved, environments), *inner}:
            text = re.sub(rf"(?<![\w./-])(?:\./)?{re.escape(folder)}/bin/(?=\w)", "", text)
        return text

    def _program(
        self, arguments: list[str], original: Command, code: Code, workdir: str
    ) -> list[str]:
        """The words with a program that slimbake's image has."""
        while arguments[1:] and arguments[0] in RUNNERS and arguments[1] == "run":
            arguments = arguments[2:]
            while arguments and arguments[0].startswith("-"):
                if not _FLAG.fullmatch(arguments[0]):
                    what = f"`run {arguments[0]}`: init does not know this option"
                    raise KeepError(original.place, what, "start the program itself")
                arguments = arguments[1:]
            if arguments and arguments[0].endswith(".py"):
                arguments = ["python", *arguments]
        if not arguments:
            raise KeepError(original.place, "its command has no program", "write one")
        arguments[0] = code.program(arguments[0])
        if re.fullmatch(rf"(?:.*/bin/)?{_PYTHON.pattern}", arguments[0]):
            named = next((word for word in arguments[1:] if not word.startswith("-")), "")
            if (
                named.endswith(".py")
                and "-m" not in arguments
                and not self._source(named, code, workdir)
            ):
                what = f"the image has no {named}: a compose file mounts it"
                raise KeepError(original.place, what, "name a `target` that copies it")
            return ["python", *arguments[1:]]
        script = next((w for w in arguments if self._source(w, code, workdir)), "")
        source = self._source(script, code, workdir) if script else ""
        if source and (arguments[0] == script or posixpath.basename(arguments[0]) in SHELLS):
            return self._scripted(arguments, script, source, original)
        if arguments[0].startswith(("/", "./")) and not arguments[0].startswith(
            ("/usr/", "/bin/", "/sbin/")
        ):
            raise KeepError(
                original.place, f"{arguments[0]} is no file of the repository", "copy it from there"
            )
        return arguments

    def _source(self, word: str, code: Code, workdir: str) -> str:
        """The file of the repository that a word names; "" for none."""
        path = joined(workdir, word)
        source = code.source(dict(code.links).get(path, path))
        return source if self._repository.is_file(source) else ""

    def _scripted(self, arguments: list[str], script: str, source: str, said: Command) -> list[str]:
        """A command that is a script of the repository."""
        text = self._repository.text(source) or ""
        line = text.partition("\n")[0]
        begins = line[:2] == "#!"
        by = map(posixpath.basename, line[2:].split() if begins else ())
        default = "sh" if source.endswith(".sh") else ""
        program = next((w for w in by if w != "env" and not w.startswith("-")), default)
        if "\r" in line:
            raise KeepError(Place(source, 1), "its lines end with CR LF", "save it with LF")
        if _PYTHON.fullmatch(program):
            return ["python", script, *arguments[1:]] if arguments[0] == script else arguments
        if program not in SHELLS:
            raise KeepError(
                Place(source, 1), f"it is run by {program or 'nothing known'}", "name a shell"
            )
        self._needs_shell(program, text, Place(source))
        if arguments[0] == script and not (begins and self._repository.executable(source)):
            arguments = [program, *arguments]
        if arguments[0] == script and "/" not in script:
            arguments = [f"./{script}", *arguments[1:]]
        return arguments

    def _needs_shell(self, name: str, text: str, place: Place) -> None:
        """Have a shell in the image, and what its text calls of essentials. An image of the user's
        has what its own Dockerfile installs.
        """
        self._shell = self._script = True
        runner = rf"(?<![\w./-])(?:(?:{'|'.join(RUNNERS)}) run|pip3? install)\b"
        if match := re.search(runner, text):
            raise KeepError(place, f"`{match[0]}`: the image does not have it", "start the program")
        if self._needs.image:
            return
        if name not in ("sh", "dash"):
            self._system["bash" if name == "bash" else name] = None
        called = (
            package
            for tool, package in _TOOLS.items()
            if re.search(rf"(?<![\w./-]){tool}(?= )", text)
        )
        self._system |= dict.fromkeys(called)

    def _env(self, code: Code) -> dict[str, str]:
        variables: dict[str, str] = {}
        for name, value in self._stage.env.items():
            if _OF_BUILDS.match(name):
                if name == "PATH":
                    self._path(value, code)
            elif OF_PLATFORM.search(value):
                what = f"ENV {name} is another on each platform"
                raise KeepError(self._stage.place, what, "write its value")
            elif looks_secret(name, value) and not OF_A_FILE.search(name) and len(value) > 1:
                what = f"ENV {name} looks like a secret"
                advice = f"`environment: {{{name}: ${{{name}}}}}` takes it from the shell"
                self.notes.append(Note("lost", self._stage.place, what, advice))
            else:
                variables[name] = self._moved(value, code)
        paths = variables.get("PYTHONPATH", "").split(":")
        for folder in self._needs.checkouts:
            if code.context and below(folder, code.context):
                paths.append(joined(APP, posixpath.relpath(folder, code.context)))
                variables["PYTHONPATH"] = ":".join(filter(None, dict.fromkeys(paths)))
        return variables

    def _path(self, value: str, code: Code) -> None:
        for folder in filter(None, value.split(":")):
            in_environment = self._needs.is_environment(folder) or self._needs.is_environment(
                posixpath.dirname(folder)
            )
            usual = re.fullmatch(r"(?:/usr(?:/local)?)?/s?bin|.*(?:poetry|uv|cargo)\b.*", folder)
            if not in_environment and not usual and folder.startswith("/"):
                what = f"PATH has {code.moved(folder)}"
                raise KeepError(self._stage.place, what, "name programs with their folder")

    def _ports(self) -> Entry:
        compose, entry = self._compose, Entry()
        numbers = [target for _, target in compose.ports] if compose else []
        numbers += compose.expose if compose else ()
        if not numbers and not (compose and (compose.command or compose.entrypoint)):
            numbers = self._stage.ports
        if ports := list(dict.fromkeys(numbers)):
            entry["port"], *more = ports
            if more:
                entry["expose"] = more
        return entry

    def _folders(self, code: Code, volumes: Sequence[str]) -> list[str]:
        """Folders that the Dockerfile makes for its program to write to."""
        folders: list[str] = []
        targets = [old for old, _ in code.moves] + [self._stage.workdir]
        for path in self._needs.folders:
            moved = code.moved(path)
            covered = any(f"{target}/".startswith(f"{path}/") for target in targets)
            home = moved.startswith((NONROOT_HOME, HOME, "/tmp", "/var/lib", "/etc", "/usr"))  # noqa: S108
            source = code.source(moved)
            kept = any(f"{moved}/".startswith(f"{volume}/") for volume in volumes)
            inner = source and self._repository.below(source)
            if not (
                covered or home or inner or kept or self._needs.is_environment(path)
            ) and _ABSOLUTE.fullmatch(moved):
                folders.append(moved)
        return [p for p in folders if not any(p != e and p.startswith(f"{e}/") for e in folders)]

    def _health(self, code: Code, workdir: str, entry: Entry) -> None:
        """The compose file's health check, or the Dockerfile's for the command that it is for."""
        compose, health = self._compose, self._stage.health
        if compose and compose.health:
            self._healthcheck(compose.health, code, workdir, entry)
        elif health and compose and (compose.command or compose.entrypoint) and "port" not in entry:
            what = "HEALTHCHECK is for the command that the compose file replaces"
            self.notes.append(Note("lost", health.place, what, "`healthcheck:` there says another"))
        elif health:
            self._healthcheck(health, code, workdir, entry)

    def _healthcheck(self, health: Health, code: Code, workdir: str, entry: Entry) -> None:
        if health.command is None:
            if "port" in entry:
                entry["healthcheck"] = False
            return
        check: Entry = {}
        if health.command.words:
            words = tuple(_OR_FAIL.sub("", word) for word in health.command.words)
            command, script = replace(health.command, words=words), self._script
            check["test"] = self._words(command, code, workdir, first=True)
            self._script = script  # its command is none
            if not self._needs.image:
                self._system |= {word: None for word in check["test"][:1] if word in _FETCHERS}
        elif "port" not in entry:
            return
        check |= health.times
        if check:
            entry["healthcheck"] = check["test"] if [*check] == ["test"] else check

    def _unset(self, entry: Entry) -> None:
        """Note the variables that a shell's line needs and nothing sets."""
        variables = {**self._stage.env, **(self._compose.environment if self._compose else {})}
        if self._compose and self._compose.env_files:
            return
        for command in self.commands().values():
            text = command.words[-1] if "-c" in (*command.shell, *command.words) else ""
            if names := unset(text, variables):
                shown = ", ".join(names)
                what = f"its command needs {shown}, and nothing sets it"
                given = ", ".join(f"{name}: VALUE" for name in names)
                advice = f"`start: {{env: {{{given}}}}}` sets it for checks, `env` in the image"
                self.notes.append(Note("breaks", command.place, what, advice))

    def _packages(self, code: Code) -> Entry:
        needs, entry = self._needs, Entry()
        listed = list(needs.requirements)
        if len(listed) == 1 and code.context and not listed[0].startswith("."):
            inner = posixpath.relpath(listed[0].partition("[")[0], code.context)
            if self._repository.is_file(listed[0].partition("[")[0]) and not inner.startswith(".."):
                bracket = listed[0][len(listed[0].partition("[")[0]) :]
                entry["requirements"] = f"{inner}{bracket}"
                listed = []
        if listed:
            entry["requirements"] = listed
        elif "requirements" not in entry and code.context:
            entry["requirements"] = []
        if self._system:
            entry["system"] = list(self._system)
        if wheels := [name for name in needs.wheels if name not in self._system]:
            entry["wheels"] = {"system": wheels}
        return entry


def _is_of(program: str, image: str) -> bool:
    """Whether an image is called after a program, or after the package of a module."""
    name = posixpath.basename(program).partition(".")[0]
    return name not in ("python", *SHELLS) and name in re.split(r"[/:@_-]", image)


def _as_text(command: Command) -> Command:
    """A command whose words start a shell, as that shell's text."""
    shell, text = command.words[:-1], command.words[-1]
    if len(shell) == 2 and posixpath.basename(shell[0]) in SHELLS and shell[1] == "-c":
        return Command((text,), command.place, shell)
    return command


def _containers(
    compose: ComposeService, ready: Sequence[str], env: Mapping[str, str], code: Code
) -> Entry:
    """How a compose file runs the containers of a service."""
    entry: Entry = {}
    published = next((host for host, target in compose.ports[:1] if host and host != target), None)
    if published:
        entry["publish"] = published
    if compose.volumes:
        entry["volumes"] = {name: code.moved(path) for name, path in compose.volumes.items()}
    if compose.tmpfs:
        entry["tmpfs"] = [code.moved(path) for path in compose.tmpfs]
    if compose.stop_signal:
        entry["stop_signal"] = compose.stop_signal
    if compose.env_files:
        entry["env_file"] = list(compose.env_files)
    if compose.profiles:
        entry["up"] = False
    if compose.depends_on:
        conditions = dict(compose.depends_on)
        entry["depends_on"] = [*conditions]
        if any(conditions.values()):
            long = {n: {"condition": how or "service_started"} for n, how in conditions.items()}
            entry["depends_on"] = long
    if ready:
        entry["start"] = {"with": list(ready)}
    elif environment := {n: code.moved(v) for n, v in compose.environment.items() if _shown(n, v)}:
        entry["environment"] = {n: v for n, v in environment.items() if env.get(n) != v}
    return {key: value for key, value in entry.items() if value not in ({}, [])}


def _shown(name: str, value: str) -> bool:
    """Whether a variable of a compose file may stand in the manifest."""
    filled = re.sub(r"\$\{\w+(?::?[-?+]([^${}]*))?\}|\$\w+", r"\1", value)
    return not filled or not looks_secret(name, filled)


def _of_compose(compose: ComposeService | None) -> Iterator[Note]:
    """What stays in the compose file."""
    if compose is None:
        return
    yield from compose.notes
    if compose.stays:
        yield Note("compose", compose.place, ", ".join(compose.stays))
    hidden = [name for name, value in compose.environment.items() if not _shown(name, value)]
    if hidden:
        what = f"{', '.join(hidden)} may be secret"
        yield Note("compose", compose.place, what, "`start: {env: ...}` sets a value for checks")
