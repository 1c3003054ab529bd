"""One service's facts as an entry of the manifest, and notes on what did not come along. Pure."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from slimbake.adopt.code import APP, Code, NeedsShell, Placed, Unreadable, code_of, path_in
from slimbake.adopt.commands import (
    ACTIVATES,
    Plainly,
    Shellless,
    is_shell_script,
    only_debians,
    port_of,
    reaper_of,
    served,
)
from slimbake.adopt.dockerfile import dockerfile_facts
from slimbake.adopt.fetches import Fetch, fetch_of, with_variables
from slimbake.adopt.listed import OF_INSTALLERS, OF_MACHINE, lines_of, one_file
from slimbake.adopt.model import (
    BuildFacts,
    Command,
    ComposeService,
    Draft,
    Entry,
    Healthcheck,
    ImageFacts,
    Note,
    Place,
    Repository,
    Said,
    Step,
)
from slimbake.adopt.needs import Needs, needs_of, not_run
from slimbake.adopt.shell import simple_commands
from slimbake.adopt.steps import django_step, stage_step
from slimbake.config.compose import dotenv
from slimbake.config.containers import mountable, overlap
from slimbake.config.specs import name_of

# As Docker's own check SecretsUsedInArgOrEnv has them.
_SECRET = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.I
)
_WITH_PASSWORD = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")
_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
# Settings of what builds, or of what slimbake's images set themselves.
_BUILD_ENV = re.compile(
    r"(?:PIP|POETRY|UV|PIPENV|PDM|CONDA|DEBIAN|APT|LANG|LC)_\w+|LANG|PATH|VIRTUAL_ENV|HOME"
    r"|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|PYTHONFAULTHANDLER|PYTHONHASHSEED|PYTHON_VERSION"
    r"|SHELL|GPG_KEY|VENV_PATH|PYSETUP_PATH"
)
_LOCALE = (
    "slimbake's images have the locale C.UTF-8 alone: code that formats by locale names it, for"
    " example with babel; or `system: [locales-all]`, of 235 MB, has all locales"
)
_LOCAL_ENV = {
    "LANG": _LOCALE,
    "LC_ALL": _LOCALE,
    "HOME": "images have a home of their own: if the service writes to it, name the folder under"
    " `tmpfs` or `volumes`",
}
_SAME_LOCALE = ("C", "C.UTF-8", "C.utf8", "POSIX")
_VERSION = re.compile(r"python:?(3\.\d+)")
# subprocess and asyncio, os; in code, as far as a line shows it
_SHELL_CALL = re.compile(
    r"^[^#\n]*(?:\bshell *= *True\b|\bos\.(?:system|popen)\(|\bcreate_subprocess_shell\(|"
    r"\bsubprocess\.getoutput\(|\bsubprocess\.getstatusoutput\()",
    re.MULTILINE,
)
_TESTS = re.compile(
    r"(?:^|/)(?:tests?/|test_[^/]*$|conftest\.py$|[^/]*_test\.py$|noxfile|setup\.py$)"
)
_PROGRAMS = {"xz-utils": "xz", "netcat-openbsd": "nc", "netcat-traditional": "nc"}
# What says how a project is built or what it requires, whoever reads it.
_BUILDS = re.compile(r"\.(?:toml|lock|cfg|sh)$|requirements[\w.-]*$|Pipfile[\w.]*$|/setup\.py$")
_NOT_READING = frozenset({"chown", "chmod", "chgrp", "mkdir", "rm", "ls", "touch"})
_USUAL_SIGNAL = ("SIGTERM", "15")
_CHECKED_PORT = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)")
# What a model's files end in.
_WEIGHTS = (
    *(".safetensors", ".onnx", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".keras"),
    *(".tflite", ".joblib", ".pkl", ".pb", ".npz"),
)
_ELSEWHERE = "move it there, or make `context` the folder around both"
# Groups that no image is meant to have.
_DEVELOPMENT = frozenset({"dev", "test", "tests", "lint", "docs", "doc", "typing", "type", "ci"})
# A volume there would hide what the image has; below /app, where that has files.
_TAKEN = ("/app", "/usr", "/etc", "/lib", "/bin", "/sbin", "/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108


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


def draft(candidate: Candidate, repository: Repository) -> Draft:
    """A service's entry; one that cannot be read keeps its Dockerfile."""
    try:
        try:
            made = _Drafter(candidate, repository).own()
        except NeedsShell as why:
            made = _Drafter(candidate, repository, why.note).own()
    except Unreadable as why:
        return _Drafter(candidate, repository).kept(replace(why.note, service=candidate.name))
    return replace(made, kept=_Drafter(candidate, repository).kept())


def _placeholder(value: str) -> str:
    """In place of a variable's value, which may be a secret, one that is read alike."""
    if re.fullmatch(r"\d+", value):
        return "1" * len(value)
    if re.fullmatch(r"true|false|yes|no|on|off", value, re.I):
        return value
    if address := re.match(r"([a-z][a-z0-9+.-]*)://(/?)", value):
        return f"{address[1]}://{'/smoke' if address[2] else 'localhost'}"
    if re.fullmatch(r"[\w.-]+:\d{1,5}", value):
        return "localhost:1"
    return "smoke"


class _Drafter:
    def __init__(
        self, of: Candidate, repository: Repository, needs_shell: Note | None = None
    ) -> None:
        self._of, self._repository, self._needs_shell = of, repository, needs_shell
        self._notes: list[Note] = []
        self._entry: Entry = {}
        self._comments: dict[str, str] = {}
        self._left_env: dict[str, str] = {}
        self._in_scripts: set[str] = set()  # the paths that scripts have a note for

    def own(self) -> Draft:
        """The entry of a service that slimbake builds itself."""
        of, facts = self._of, self._of.facts
        if facts is None:
            raise Unreadable(
                Note(
                    of.origin[0], f"{of.build.dockerfile} cannot be read", "name one that is there"
                )
            )
        if not facts.python:
            raise Unreadable(
                Note(
                    facts.parent.place,
                    f"its base image is {facts.parent.value}, and slimbake finds no Python there",
                    "slimbake bakes it from its Dockerfile, beside the others",
                )
            )
        needs = needs_of(facts.steps, of.name, facts.handed)
        code = code_of(
            facts,
            of.build.context,
            self._repository,
            frozenset((*needs.folders, *needs.projects)) - {facts.workdir},
        )
        code = self._narrowed(code, needs, facts)
        env = self._env(facts, code)
        env |= self._zone(needs, env)
        plain, fixed = self._command(facts, code, env)
        env |= self._exported(plain, code)
        compose = of.compose
        said = (compose and (compose.command or compose.entrypoint)) or facts.command
        self._entry["context"] = code.context
        words = self._program(plain.words, said.place if said else facts.place)
        if not words:
            raise Unreadable(
                Note(
                    said.place if said else facts.place,
                    "the command is empty, so nothing would start",
                    "write `command` in its entry; until then the service keeps its Dockerfile",
                )
            )
        requirements, system = self._requirements(needs, code, words)
        if requirements:
            self._entry["requirements"] = requirements
        system += [each for each in needs.fetchers if self._calls(each, code)]
        if system := [*self._entry.get("system", []), *system]:
            self._entry["system"] = list(dict.fromkeys(system))
        if needs.build and requirements:
            self._entry["wheels"] = {"system": list(needs.build)}
        self._starts_a_shell(code)
        self._hidden(code)
        for path, note in needs.endings:
            text = self._repository.texts.get(code.source(path, self._repository), "\r")
            self._notes += [note] if "\r" in text else []
        self._steps(facts, needs, code)
        self._start(facts, words, fixed)
        self._misplaced(code, {*needs.folders, *needs.projects}, facts)
        self._reaped(facts)
        if workdir := self._workdir(facts, code, plain):
            self._entry["workdir"] = workdir
        if env:
            self._entry["env"] = env
        self._volumes(facts, code)
        self._made_folders(needs, code)
        self._rest(facts, needs, code)
        self._in_memory(code)
        needs.needless += self._uninstalled(needs)
        self._needs_variables(code)
        self._start_beside()
        noted = (*code.notes, *facts.notes, *needs.notes)
        self._notes += [replace(each, service=of.name) for each in noted]
        self._notes += plain.notes
        return self._draft(
            served=tuple(
                replace(each, folder=posixpath.normpath(posixpath.join(code.inner, each.folder)))
                if code.inner
                else each
                for each in served(words, lambda m, at: self._known(self._at(code, at), m))
            ),
            python=_python(facts),
            torch=needs.torch or self._torch(needs, code),
            needless=tuple(needs.needless),
        )

    def kept(self, why: Note | None = None) -> Draft:
        """The entry of a service that keeps its Dockerfile."""
        of, facts = self._of, self._of.facts
        self._entry["context"] = of.build.context
        self._entry["dockerfile"] = of.build.dockerfile
        if why:
            self._notes.append(why)
            self._comments["dockerfile"] = f"{why.place}: {why.what}"
        if of.build.args:
            self._entry["args"] = dict(of.build.args)
        if of.build.target and not self._last_stage():
            self._notes.append(
                Note(
                    of.origin[0],
                    f"the target '{of.build.target}'",
                    "slimbake builds the last stage: put this one last, or into a file of its own",
                    of.name,
                )
            )
        if of.compose:
            self._of_containers(of.compose)
            self._in_memory(None)
        ports = self._ports(facts, ())
        if ports:
            self._entry["port"] = ports[0]
        env = self._env(None, None)
        if env:
            self._entry["env"] = env
        if facts and not facts.python and not facts.user:
            self._note(
                facts.place,
                "it may run as root",
                "containers of `slimbake up` have no capabilities: a program that changes owner or"
                " user, as nginx does, needs `cap_add: [CHOWN, SETGID, SETUID]`, and `tmpfs` for"
                " what it writes",
            )
        asks = [each for each in of.compose.beside if each not in of.ready] if of.compose else []
        if asks and not (facts and facts.python):  # such as a proxy, which looks names up at once
            self._entry["start"] = "none"
            self._comments["start"] = f"it may need {', '.join(asks)} beside it"
        self._start_beside()
        return self._draft(python=_python(facts) if facts and facts.python else None)

    def _of_containers(self, compose: ComposeService) -> None:
        """What containers of an image get, whoever made it."""
        self._mounted(compose, None)
        if said := compose.entrypoint:
            whole = " ".join(each.text for each in (said, compose.command) if each)
            self._note(
                said.place,
                f"the command `{whole}`",
                "an image of a Dockerfile has the ENTRYPOINT that stands there; this one stays in the"
                " compose file",
            )
        if (said := compose.command) and said.text and not compose.entrypoint:
            self._entry["command"] = ["sh", "-c", said.text] if said.shell else list(said.words)
        for source, kept in compose.volumes:
            if source.startswith((".", "/", "~")):
                advice = (
                    "it stays in the compose file: `slimbake up` mounts nothing of this machine"
                )
                self._note(kept.place, f"the mount of {source} at {kept.value}", advice)
                continue
            name = _volume(source or f"{self._of.name}{kept.value.replace('/', '-')}")
            if name in self._entry.setdefault("volumes", {}):
                advice = "it stays in the compose file: here a volume has one place in a container"
                self._note(kept.place, f"the volume at {kept.value}", advice)
            self._entry["volumes"].setdefault(name, kept.value)
        check = compose.healthcheck
        if check and check.command is None:
            self._entry["healthcheck"] = False
        if check and (said := check.command):
            words = ["sh", "-c", said.text] if said.shell else list(said.words)
            settings = _settings(check)
            self._entry["healthcheck"] = {"test": words, **settings} if settings else words
        if (signal := compose.stop_signal) and signal.value not in _USUAL_SIGNAL:
            self._entry["stop_signal"] = signal.value

    def _last_stage(self) -> bool:
        """Whether the compose file's target is what a build makes anyway."""
        build, facts = self._of.build, self._of.facts
        text = self._repository.texts.get(build.dockerfile, "")
        last = dockerfile_facts(text, build.dockerfile, "", dict(build.args))
        return bool(facts and last and last.place == facts.place)

    def _draft(self, **more: Any) -> Draft:
        of = self._of
        compose = of.compose.notes if of.compose else ()
        return Draft(
            name=of.name,
            origin=of.origin,
            entry=self._entry,
            comments=self._comments,
            left_env=tuple(self._left_env.items()),
            build=of.build,
            image=of.compose.image if of.compose else "",
            notes=tuple(dict.fromkeys((*self._notes, *compose))),
            **more,
        )

    def _note(self, place: Place, what: str, advice: str) -> None:
        self._notes.append(Note(place, what, advice, self._of.name))

    def _command(
        self, facts: ImageFacts, code: Code, env: Mapping[str, str]
    ) -> tuple[Plainly, int]:
        """The command, and how many of its words are those of the entrypoint."""
        compose = self._of.compose
        entrypoint = (compose and compose.entrypoint) or facts.entrypoint
        command = (compose and compose.command) or (
            None if compose and compose.entrypoint else facts.command
        )
        if entrypoint is None and command is None:
            raise Unreadable(
                Note(
                    facts.place,
                    "there is neither CMD nor ENTRYPOINT",
                    "write `command` in its entry; until then the service keeps its Dockerfile",
                )
            )
        reader = Shellless(code, env, lambda path: self._script(path, facts, code), self._of.name)
        if self._needs_shell:
            return self._shelled(reader, entrypoint, command, self._needs_shell)
        if entrypoint and command and reader.chooses(entrypoint):
            words = ("sh", "-c", command.text) if command.shell else command.words
            command = replace(entrypoint, words=(*entrypoint.words, *words))
            entrypoint = None
        first = reader.plainly(entrypoint) if entrypoint else Plainly((), passes=True)
        if first.passes and command is None and not first.words:
            raise Unreadable(
                Note(
                    (entrypoint or facts.command or Command((), False, facts.place)).place,
                    "the entrypoint starts what CMD names, and there is no CMD",
                    "write `command` in its entry; until then the service keeps its Dockerfile",
                )
            )
        if command is None or (entrypoint and entrypoint.shell):  # Docker drops CMD then
            self._filled_in(first)
            return first, len(first.words)
        last = reader.plainly(command) if first.passes else _as_is(command, code)
        both = Plainly(
            (*first.words, *last.words),
            (*first.env, *last.env),
            last.workdir or first.workdir,
            False,
            (*first.notes, *last.notes),
            (*first.filled, *last.filled),
        )
        self._filled_in(both)
        return both, len(first.words)

    def _shelled(
        self, reader: Shellless, entrypoint: Command | None, command: Command | None, why: Note
    ) -> tuple[Plainly, int]:
        """The same in an image with a shell, as they are written."""
        first, one = reader.shelled(entrypoint) if entrypoint else ((), "")
        drops = command is None or bool(entrypoint and entrypoint.shell)
        last, other = ((), "") if command is None or drops else reader.shelled(command)
        self._entry["shell"] = True
        if "bash" in {one, other}:
            self._entry["system"] = ["bash"]
        self._note(
            why.place,
            why.what,
            "`shell: true` brings a small shell and coreutils; other programs that it calls are"
            " packages for `system`. Without a shell the image is smaller",
        )
        scripts: dict[Place, str] = {}
        for each in (entrypoint, None if drops else command):
            scripts |= reader.scripts(each) if each else {}
        self._moved_in(scripts, reader.code)
        return Plainly((*first, *last)), len(first)

    def _moved_in(self, scripts: Mapping[Place, str], code: Code) -> None:
        """A note on each path of today's image that scripts name, and that is elsewhere in slimbake's."""
        found: dict[tuple[str, str], list[Place]] = {}
        for begin, text in scripts.items():
            for number, line in enumerate(text.split("\n"), begin.line):
                if activates := ACTIVATES.match(line.strip()):
                    self._note(
                        Place(begin.file, number),
                        f"the script names {activates['path']}",
                        "slimbake's images have one environment for all packages: remove the line",
                    )
                for move in {} if line.lstrip().startswith("#") else code.moves(line).items():
                    found.setdefault(move, []).append(Place(begin.file, number))
        for (path, here), places in found.items():
            lines = ", ".join(map(str, places))
            advice = f"slimbake's image has it at {here}: change the path in {lines}"
            self._note(places[0], f"the script names {path}", advice)
        self._in_scripts = {path for path, _ in found}

    def _filled_in(self, plain: Plainly) -> None:
        """Say which variables of the command have no effect any more, where something sets them."""
        if not plain.filled:
            return
        self._comments["command"] = f"init filled in {', '.join(word for word, _ in plain.filled)}"
        facts, compose = self._of.facts, self._of.compose
        named = {*(facts.env if facts else ())}
        if compose:
            texts = (self._repository.texts.get(said.value, "") for said in compose.env_files)
            named |= {
                *compose.env,
                *compose.filled,
                *compose.passed,
                *(name for text in texts for name in dotenv(text)),
            }
        frozen = {
            name: place
            for word, place in plain.filled
            for name in re.findall(r"\$\{?(\w+)", word)
            if name in named
        }
        if frozen:
            self._note(
                next(iter(frozen.values())),
                f"`command` has the values of {', '.join(frozen)}",
                "another value has no effect when a container starts: let the service's own code"
                " read it, or write `shell: true` and the command as it was",
            )

    def _narrowed(self, code: Code, needs: Needs, facts: ImageFacts) -> Code:
        """Of a workspace, the member that is installed: its packages are what the command names."""
        folder = self._member(needs.member, "") if needs.member else ""
        compose = self._of.compose
        said = (
            compose and (compose.command or compose.entrypoint),
            facts.command,
            facts.entrypoint,
        )
        words = [word for command in said if command for word in command.text.split()]
        named = any(
            posixpath.normpath(posixpath.join(code.context, word)) in self._repository.files
            for word in words
        )
        if not folder or named or folder == code.context:
            return code
        root = code.root if code.source(code.root, self._repository) == folder else "/"
        return replace(code, context=folder, root=root, inner="", paths=(), notes=())

    def _folder(self, facts: ImageFacts) -> str:
        """Where the command starts."""
        said = self._of.compose and self._of.compose.workdir
        return posixpath.join(facts.workdir, said.value) if said else facts.workdir

    def _script(self, path: str, facts: ImageFacts, code: Code) -> tuple[str, Place] | None:
        where = posixpath.normpath(posixpath.join(self._folder(facts), path))
        for each, document in facts.scripts.items():
            if each == where or posixpath.basename(each) == path:
                return document
        source = code.source(where, self._repository)
        if not source and "/" not in path:  # found on PATH
            said = facts.env.get("PATH")
            folders = (
                *(said.value.split(":") if said else ()),
                "/usr/local/bin",
                "/usr/bin",
                "/bin",
            )
            for folder in folders:
                source = source or code.source(f"{folder}/{path}", self._repository)
        if not source:
            inside = posixpath.relpath(where, code.root)
            guess = posixpath.normpath(posixpath.join(code.context, inside))
            source = guess if guess in self._repository.texts else ""
        found = self._repository.texts.get(source)
        return (found, Place(source, 1)) if found is not None else None

    def _program(self, words: tuple[str, ...], place: Place) -> tuple[str, ...]:
        """The words, less what cannot be in an image that nobody edits and writes to."""
        if "--reload" in words:
            self._note(place, "--reload", "an image's code does not change: it is left out")
            words = tuple(word for word in words if word != "--reload")
        beat = words[:1] == ("celery",) and "beat" in words
        if beat and (stored := self._stores_schedule(words, place)):
            self._entry["start"] = "none"
            self._comments["start"] = "beat reads its schedule from tables that `migrate` makes"
            self._note(
                stored,
                "DatabaseScheduler: beat reads its schedule from the database",
                "a start check begins with an empty one, so it is off; run `migrate` before beat",
            )
        elif beat and not any(
            w.startswith(("-s", "--schedule", "-S", "--scheduler")) for w in words
        ):
            words = (*words, "-s", "/tmp/celerybeat-schedule")  # noqa: S108 - in the container
            self._comments["command"] = (
                "init added -s: beat writes its schedule, and /app is read-only"
            )
        return words

    def _stores_schedule(self, words: tuple[str, ...], place: Place) -> Place | None:
        """Where it says that beat has its schedule in a database."""
        if any("DatabaseScheduler" in word for word in words):
            return place
        inside = _in(self._entry["context"])
        for path, text in sorted(self._repository.texts.items()):
            if path.startswith(inside) and path.endswith(".py") and "DatabaseScheduler" in text:
                return Place(path, text[: text.index("DatabaseScheduler")].count("\n") + 1)
        return None

    def _start(self, facts: ImageFacts, words: tuple[str, ...], fixed: int) -> None:
        if fixed:
            self._entry["entrypoint"] = list(words[:fixed])
        if fixed < len(words):
            self._entry["command"] = list(words[fixed:])
        elif "command" in self._comments:
            self._comments["entrypoint"] = self._comments.pop("command")
        ports = self._ports(facts, words)
        if ports:
            self._entry["port"], *others = ports
            if others:
                self._entry["expose"] = others
        self._by_hand(ports)
        alone = fixed == len(words) and not ports
        if alone and self._of.compose and self._of.compose.starts:
            # Compose starts it without arguments, and `slimbake up` starts what has a command.
            self._entry["command"] = self._entry.pop("entrypoint")
            if why := self._comments.pop("entrypoint", ""):
                self._comments["command"] = why
        if self._of.job:
            self._entry["start"] = "none"
            self._comments["start"] = "a job: it ends, and may need what runs beside it"
        elif fixed and words[fixed:] in (("--help",), ("-h",)):
            self._entry["start"] = list(words[fixed:])
            self._comments["start"] = "an entrypoint that waits for arguments"
            del self._entry["command"]
        elif alone and not self._of.compose:
            self._entry["start"] = ["--help"]
            self._comments["start"] = "an entrypoint that waits for arguments"

    def _reaped(self, facts: ImageFacts) -> None:
        """Have the same first process as today's image: tini, or another that does what it does."""
        compose = self._of.compose
        said = (compose and compose.entrypoint) or facts.entrypoint
        own = reaper_of(said, (compose and compose.command) or facts.command)
        if reaper := own or (("tini",) if compose and compose.init else ()):
            self._entry["system"] = [*self._entry.get("system", []), reaper[0]]
            self._entry["entrypoint"] = [*reaper, "--", *self._entry.get("entrypoint", [])]

    def _by_hand(self, ports: Collection[int]) -> None:
        if self._of.compose and not self._of.compose.starts:
            self._entry["up"] = False
            if not ports:
                self._entry["start"] = "none"
                self._comments["start"] = "people start it, on what is there by then"

    def _ports(self, facts: ImageFacts | None, words: tuple[str, ...]) -> list[int]:
        compose = self._of.compose
        own = port_of(words)
        published = [said.value for _, said in compose.ports] if compose else []
        exposed = [said.value for said in compose.expose] if compose else []
        overridden = bool(compose and (compose.command or compose.entrypoint))
        image = [] if facts is None or (overridden and not published) else list(facts.ports)
        found = [str(own)] if own else []
        found += published + exposed
        numbers = []
        for port in found:
            number = port.partition("/")[0]
            if number.isdigit():
                numbers.append(int(number))
        for said in image:
            number, _, protocol = said.value.partition("/")
            if number.isdigit() and protocol in {"", "tcp"}:
                numbers.append(int(number))
            else:
                self._note(said.place, f"EXPOSE {said.value}", "slimbake takes TCP ports by number")
        check = (compose and compose.healthcheck) or (
            None if overridden or not facts else facts.healthcheck
        )
        asked = _CHECKED_PORT.search(check.command.text) if check and check.command else None
        if asked and not numbers:
            numbers.append(int(asked[1]))
        if compose and numbers:
            for host, said in compose.ports:
                if said.value == str(numbers[0]) and host and int(host) != numbers[0]:
                    self._entry["publish"] = int(host)
                elif host and said.value.isdigit() and said.value != str(numbers[0]):
                    self._note(
                        said.place,
                        f"port {said.value} is published at {host}, too",
                        "`slimbake up` publishes `port` alone; the others are for containers, and"
                        " your compose file can publish them",
                    )
        return list(dict.fromkeys(numbers))

    def _env(self, facts: ImageFacts | None, code: Code | None) -> dict[str, str]:
        said = {
            **(facts.env if facts else {}),
            **(self._of.compose.env if self._of.compose else {}),
        }
        found = {}
        for name in self._started_with():
            if _SECRET.search(name):
                self._left_env[name] = "smoke"
        for name, each in said.items():
            if _BUILD_ENV.fullmatch(name):
                if (advice := _LOCAL_ENV.get(name)) and each.value not in _SAME_LOCALE:
                    self._note(each.place, f"{name}={each.value}", advice)
                continue
            value = code.moved(each.value) if code else each.value
            if name == "PYTHONPATH":
                found[name] = _python_path(value, code)
            elif facts and facts.env.get(name) is each:
                found[name] = value  # it is in today's image, too
                if each.value and (_SECRET.search(name) or _WITH_PASSWORD.search(value)):
                    self._note(
                        each.place,
                        f"{name} looks like a secret, and is in the image",
                        "whoever has an image can read its variables: take it out of `env`, and put"
                        " it where the containers are started",
                    )
            elif _SECRET.search(name) or _WITH_PASSWORD.search(value):
                self._left_env[name] = (
                    _PASSWORD.sub(r"\1:smoke@", value)
                    if (_WITH_PASSWORD.search(value))
                    else "smoke"
                )
                self._note(
                    each.place,
                    f"{name} looks like a secret",
                    "whoever has an image can read its variables, so it stays where it is. For"
                    f" `slimbake up`, write {name} into `.env`, and `environment: {{{name}:"
                    f' "${{{name}}}"}}`',
                )
            else:
                found[name] = value
        if code and code.paths:
            parts = [*code.paths, *found.get("PYTHONPATH", "").split(":")]
            found["PYTHONPATH"] = ":".join(dict.fromkeys(filter(None, parts)))
        return found

    def _started_with(self) -> tuple[str, ...]:
        """The variables that only its containers have."""
        compose = self._of.compose
        return (*compose.filled, *compose.passed) if compose else ()

    def _zone(self, needs: Needs, env: Mapping[str, str]) -> dict[str, str]:
        """The time zone that a step of the Dockerfile sets, as the variable that programs read."""
        if needs.zone is None or "TZ" in {*env, *self._started_with()}:
            return {}
        self._comments["env"] = f"TZ: {needs.zone.place} sets the time zone"
        return {"TZ": needs.zone.value}

    def _uninstalled(self, needs: Needs) -> Iterator[Step]:
        """What is installed and slimbake has no need of, as steps of apt-get."""
        noted = {note.what for note in self._notes}
        kept = {*self._entry.get("system", ()), *noted}
        for name, place in {**needs.there, **needs.fetchers}.items():
            if name not in kept:
                words = f"apt-get install {name}".split()
                yield Step(tuple(words), True, "/", place, last=True)

    @staticmethod
    def _exported(plain: Plainly, code: Code) -> dict[str, str]:
        """What the shell that started the command set."""
        env = {name: code.moved(value) for name, value in plain.env}
        if "PYTHONPATH" in env:
            env["PYTHONPATH"] = _python_path(env["PYTHONPATH"], code)
        return env

    def _steps(self, facts: ImageFacts, needs: Needs, code: Code) -> None:
        """The steps of `build`, in the order of their lines."""
        found: list[tuple[Place, dict[str, Any]]] = []
        for taken in facts.taken:
            env = {k: v for k, v in taken.env.items() if not _BUILD_ENV.fullmatch(k)}
            kept = replace(taken, env=env)
            step, why = stage_step(kept, self._of.build.context, code, self._repository)
            if step:
                found.append((taken.place, step))
            else:
                self._note(
                    taken.place,
                    f"the stage '{taken.name}', on {taken.image.value}, builds files that are"
                    " copied",
                    f"{why}: write it as a step of `build` with its outputs (docs/how-to/build-steps.md),"
                    " or keep the Dockerfile with `dockerfile:`",
                )
        for each in needs.django:
            step, why = django_step(each, code, needs.system, self._repository)
            if step:
                found.append((each.place, step))
            else:
                self._notes.append(not_run(each, self._of.name, why))
        if found:
            self._entry["build"] = [step for _, step in sorted(found, key=lambda one: one[0])]

    def _workdir(self, facts: ImageFacts, code: Code, plain: Plainly) -> str:
        here = posixpath.join(self._folder(facts), plain.workdir)
        moved = posixpath.normpath(code.moved(here))
        inside = moved == APP or not moved.startswith(f"{APP}/")
        return "" if inside else moved

    def _requirements(
        self, needs: Needs, code: Code, words: tuple[str, ...]
    ) -> tuple[Any, list[str]]:
        files: dict[str, None] = {}
        context = code.context
        for path, place in needs.files.items():
            source = code.source(path, self._repository) or self._beside(path, context)
            if source:
                files[source] = None
            elif not (needs.projects or needs.pipfile):
                self._note(
                    place, f"{path} is not in the repository", "add it, or list what it requires"
                )
        if needs.pipfile:
            found = code.source(posixpath.join(needs.pipfile, "Pipfile"), self._repository)
            files[found or posixpath.join(context, "Pipfile")] = None
        if needs.environment:
            found = code.source(needs.environment, self._repository)
            files[found or posixpath.join(context, posixpath.basename(needs.environment))] = None
        self._constrained(needs, code, files)
        self._built(needs, code)
        self._of_own(needs, code)
        folders: dict[str, None] = {}
        projects: dict[str, None] = {}
        extras = self._extras(needs, code)
        for path, place in {**needs.projects, **needs.folders}.items():
            folder = self._project(path, code) or (
                posixpath.join(code.context, code.inner).rstrip("/") if path == code.root else ""
            )
            if needs.member and path in needs.projects:
                folder = self._member(needs.member, folder) or folder
            if not folder:
                self._note(
                    place, f"{path} is not in the repository", "require its package by its name"
                )
            elif self._installs_itself(
                folder, words, context, path in needs.folders, path in needs.whole
            ):
                folders[f"./{folder}{extras}" if folder != "." else f".{extras}"] = None
            elif f"{_in(folder)}pyproject.toml" in self._repository.files:
                projects[f"{_in(folder)}pyproject.toml{extras}"] = None
        projects |= dict.fromkeys(self._groups(needs, code))
        if not files and not folders and not projects and not needs.specs:
            files |= self._found(context)
        return self._written(files, projects, folders, list(needs.specs), context), list(
            needs.system
        )

    def _constrained(self, needs: Needs, code: Code, files: Iterable[str]) -> None:
        """A note on each file of constraints that pip is given, and that no requirements file has."""
        texts = self._repository.texts
        said = {
            posixpath.normpath(posixpath.join(posixpath.dirname(line.place.file), line.value))
            for file in files
            for line in lines_of(file, texts)
            if line.option in {"-c", "--constraint"}
        }
        for path, place in needs.constraints.items():
            source = code.source(path, self._repository)
            exported = not source and "://" not in path and (needs.projects or needs.pipfile)
            if source not in said and not exported:  # of what the projects' locks pin
                advice = "put a line `-c FILE` with its path from there into the requirements file"
                advice = advice if source else f"put the file into the repository, and {advice[4:]}"
                self._note(place, f"the constraints of {source or path}", advice)

    def _built(self, needs: Needs, code: Code) -> None:
        """A note on built packages that pip is given, and that no step made."""
        for path, place in needs.built.items():
            self._note(
                place,
                f"the built packages {code.source(path, self._repository) or path}",
                "slimbake installs from sources, an index or an address: require the folder of the"
                " sources, or put them on an index (docs/how-to/private-index.md)",
            )

    def _of_own(self, needs: Needs, code: Code) -> None:
        """Take packages by the names of the projects that are installed as those, with their extras."""
        names = {_name(text) for text in self._projects(needs, code).values()} - {""}
        for spec in [each for each in needs.specs if name_of(each) in names]:
            del needs.specs[spec]
            if extras := re.match(r"[^\[;@]*\[([^\]]*)\]", spec):
                needs.extras += tuple(map(str.strip, extras[1].split(",")))

    def _extras(self, needs: Needs, code: Code) -> str:
        """The extras of the projects, in brackets."""
        texts = self._projects(needs, code).values()
        known = {name for text in texts for name in _extras_of(_toml(text))}
        named = [*needs.extras, *(group for group in needs.groups if group in known)]
        if "*" in named:
            named = [each for each in (*named, *sorted(known)) if each != "*"]
        return f"[{','.join(dict.fromkeys(named))}]" if named else ""

    def _groups(self, needs: Needs, code: Code) -> Iterator[str]:
        """The groups of the projects that are installed, too; a note for what no project has."""
        lacking = dict(needs.groups)
        for file, text in self._projects(needs, code).items():
            data = _toml(text)
            groups = _groups_of(data)
            wanted = [name for name in needs.groups if name in groups]
            if needs.poetry is not None:
                poetry = data.get("tool", {}).get("poetry", {}).get("group", {})
                left = needs.poetry | _DEVELOPMENT
                wanted += [n for n, g in poetry.items() if not g.get("optional") and n not in left]
            yield from (f"{file}:{name}" for name in dict.fromkeys(wanted))
            for name in (*groups, *_extras_of(data)):
                lacking.pop(name, None)
        for name, place in lacking.items():
            advice = "no pyproject.toml of the service has it: add what it lists to `requirements`"
            self._note(place, f"the group '{name}' is installed, too", advice)

    def _projects(self, needs: Needs, code: Code) -> dict[str, str]:
        """The texts of the projects that are installed, by their pyproject.toml."""
        member = self._member(needs.member, "") if needs.member else ""
        folders = (
            member or self._project(path, code) or code.context
            for path in (*needs.projects, *needs.folders)
        )
        files = (f"{_in(posixpath.normpath(each))}pyproject.toml" for each in folders)
        return {each: self._repository.texts.get(each, "") for each in files}

    def _project(self, path: str, code: Code) -> str:
        """The folder of the repository that a project's folder in the image comes from."""
        if found := code.source(path, self._repository):
            return found
        file = code.source(posixpath.join(path, "pyproject.toml"), self._repository)
        return (posixpath.dirname(file) or ".") if file else ""

    def _written(
        self,
        files: Mapping[str, None],
        projects: Mapping[str, None],
        folders: Mapping[str, None],
        specs: list[str],
        context: str,
    ) -> Any:
        """The value of `requirements`: one file by its name where it says all, else a list."""
        texts = self._repository.texts
        if not projects and not folders and (file := one_file(files, specs, texts)):
            return posixpath.relpath(file, context)
        if len(projects) == 1 and not files and not folders and not specs:
            return posixpath.relpath(next(iter(projects)), context)
        return list(dict.fromkeys((*files, *projects, *folders, *specs)))

    def _beside(self, path: str, context: str) -> str:
        name = posixpath.basename(path)
        for folder in dict.fromkeys((context, self._of.build.context)):
            if f"{_in(folder)}{name}" in self._repository.files:
                return f"{_in(folder)}{name}"
        return ""

    def _found(self, context: str) -> dict[str, None]:
        for name in ("requirements.txt", "pyproject.toml", "Pipfile", "environment.yml"):
            if f"{_in(context)}{name}" in self._repository.files:
                return {f"{_in(context)}{name}": None}
        return {}

    def _member(self, name: str, folder: str) -> str:
        for file in sorted(self._repository.texts):
            if posixpath.basename(file) == "pyproject.toml" and _name(
                self._repository.texts[file]
            ) == name.lower().replace("_", "-"):
                return posixpath.dirname(file) or "."
        return folder

    def _installs_itself(
        self, folder: str, words: tuple[str, ...], context: str, installed: bool, whole: bool
    ) -> bool:
        """Whether a project is needed as a package: for its programs or metadata, or for modules
        that are not in the context itself.

        `installed`: whether pip installs it; `whole`: whether Poetry or uv does, with what it needs.
        """
        text = self._repository.texts.get(f"{_in(folder)}pyproject.toml")
        if text is None or not _name(text):
            setup = (f"{_in(folder)}{name}" for name in ("setup.py", "setup.cfg"))
            return installed and any(each in self._repository.files for each in setup)
        table, tool = _toml(text), _toml(text).get("tool")
        tables = (table.get("project"), tool.get("poetry") if isinstance(tool, dict) else None)
        scripts = {name for t in tables if isinstance(t, dict) for name in t.get("scripts") or ()}
        if words and words[0] in scripts:
            return True
        if folder != context:
            return installed or "build-system" in table
        if (
            (installed or whole)
            and "build-system" in table
            and (scripts or self._asks_for(_name(text), folder))
        ):
            return True
        return any(each.startswith("src/") for each in self._repository.below(folder)) and not any(
            each.count("/") == 1 and each.endswith("/__init__.py")
            for each in self._repository.below(folder)
        )

    def _asks_for(self, name: str, folder: str) -> bool:
        """Whether code asks for the metadata of a distribution, such as its version."""
        call = re.compile(rf"(?:version|metadata|distribution)\(\s*[\"']{re.escape(name)}[\"']")
        return any(
            call.search(text)
            for path, text in self._repository.texts.items()
            if path.endswith(".py") and (folder == "." or path.startswith(f"{folder}/"))
        )

    def _torch(self, needs: Needs, code: Code) -> str:
        """The build of torch that requirements name the index of."""
        for path in (*needs.files, *needs.projects):
            source = code.source(path, self._repository)
            for name in (source, f"{_in(source)}pyproject.toml" if source else ""):
                found = re.search(r"/whl/(cpu|cu\d+)\b", self._repository.texts.get(name, ""))
                if found:
                    return found[1]
        facts = self._of.facts
        gpu = self._of.compose and self._of.compose.gpu
        cuda = facts and ("cuda" in facts.parent.value or "nvidia" in facts.parent.value)
        return "pypi" if gpu or cuda else ""

    def _volumes(self, facts: ImageFacts, code: Code) -> None:
        found: dict[str, str] = {}
        compose = self._of.compose
        mounted = {said.value for _, said in compose.volumes} if compose else set()
        wanted = [
            (f"{self._of.name}{said.value.replace('/', '-')}", said)
            for said in facts.volumes
            if said.value not in mounted
        ]
        for source, said in compose.volumes if compose else ():
            if source.startswith((".", "/", "~")):
                self._note(
                    said.place,
                    f"the mount of {source} at {said.value}",
                    "it stays in the compose file: an image holds the code, and `slimbake bake"
                    " --watch` rebuilds it",
                )
            else:
                wanted.append((source or f"{self._of.name}{said.value.replace('/', '-')}", said))
        for name, said in wanted:
            path = code.moved(said.value)
            taken = any(f"{path}/".startswith(f"{each}/") for each in _TAKEN)
            if taken and not self._free(path, code):
                self._note(
                    said.place,
                    f"the volume at {said.value}",
                    "a volume there would hide what the image has: let the service write to /data,"
                    " and name that under `volumes`",
                )
            else:
                found[_volume(name)] = path
        if found:
            self._entry["volumes"] = found

    def _free(self, path: str, code: Code) -> bool:
        """Whether a path lies below /app, where neither the context nor a step has files."""
        there = posixpath.normpath(posixpath.join(code.context, posixpath.relpath(path, APP)))
        made = (
            posixpath.normpath(posixpath.join(step.get("context", code.context), each))
            for step in self._entry.get("build", ())
            for each in step["outputs"]
        )
        return (
            path.startswith(f"{APP}/")
            and there not in self._repository.files
            and not self._repository.below(there)
            and not any(overlap(there, each) for each in made)
        )

    def _made_folders(self, needs: Needs, code: Code) -> None:
        """Folders that a Dockerfile makes for its service, and that a container will not have."""
        volumes: Mapping[str, str] = self._entry.get("volumes", {})
        memory = self._of.compose.tmpfs if self._of.compose else ()
        mounted = {*volumes.values(), *(code.moved(said.value.rstrip("/")) for said in memory)}
        last = [step for step in needs.needless if step.last]
        own = [
            posixpath.normpath(posixpath.join(step.workdir, word))
            for step in last
            for word in step.words
            if step.words[0] == "chown"
        ]
        for step in (each for each in last if each.words[0] == "mkdir"):
            for written in (w for w in step.words[1:] if not w.startswith("-")):
                folder = posixpath.normpath(posixpath.join(step.workdir, written))
                path = f"{code.moved(folder)}/"
                inner = path.rstrip("/")
                if inner.startswith("/tmp/") and self._names(folder, code):  # noqa: S108
                    known = self._entry.setdefault("tmpfs", [])
                    known += [] if inner in known else [inner]
                    continue
                advice = ""
                if any(path != f"{v}/" and path.startswith(f"{v}/") for v in volumes.values()):
                    advice = "a new volume is empty: let the code make the folder"
                elif (
                    folder in own
                    and not path.startswith(("/tmp/", "/home/", "/root/"))  # noqa: S108
                    and not any(f"{v}/".startswith(path) for v in (*mounted, code.app))
                ):
                    advice = "the service may write to `tmpfs` and `volumes`: name it there"
                elif inner in mounted or not self._lacks(path, code):
                    continue
                if path.startswith(f"{APP}/"):
                    advice = (
                        "/app is read-only: let the service write to /data, and name that under"
                        " `volumes`, or below /tmp"
                    )
                self._note(step.place, f"RUN mkdir {written}", advice)
                needs.needless = [each for each in needs.needless if each is not step]

    def _lacks(self, path: str, code: Code) -> bool:
        """Whether the command or the code names a folder by its path from today's root, which the
        image has not.
        """
        made = [each for step in self._entry.get("build", ()) for each in step["outputs"]]
        inner = posixpath.relpath(path, APP)
        there = posixpath.join(code.context, inner)
        if not path.startswith(f"{code.app}/") or inner in made:
            return False
        if posixpath.normpath(there) in self._repository.folders:
            return False
        name = re.escape(posixpath.relpath(path, code.app))
        words = [*self._entry.get("entrypoint", ()), *self._entry.get("command", ())]
        quoted = re.compile(rf"[\"'](?:\./)?{name}(?=[\"'/])")
        started = re.compile(rf"(?:^|=)(?:\./|{code.app}/)?{name}(?=$|/)")
        return any(map(started.search, words)) or any(
            quoted.search(text) for _, text in self._modules(code)
        )

    def _names(self, folder: str, code: Code) -> bool:
        """Whether a variable or the code has the path of a folder."""
        texts = (*self._entry.get("env", {}).values(), *(text for _, text in self._modules(code)))
        path = re.compile(rf"(?<![\w./-]){re.escape(folder)}(?![\w.-])")
        return any(path.search(each) for each in texts)

    def _user(self, user: Said, steps: Iterable[Step]) -> None:
        """A volume has its files by number, so a user's name is carried over as its number."""
        name, _, group = user.value.partition(":")
        number = _number(name, steps, ("useradd", "adduser"), "uid")
        if number and int(number):
            found = _number(group, steps, ("groupadd", "addgroup"), "gid")
            self._entry["user"] = f"{number}:{found}" if found else number
            if group and not found:
                why = (
                    f"no `groupadd` says its number: write `user: {number}:NUMBER` if files need it"
                )
                self._note(user.place, f"the group {group} of USER {user.value}", why)
        elif number or name == "root":
            why = "slimbake's images run as 65532, without root"
            self._note(user.place, f"USER {user.value}", why)
        elif "volumes" in self._entry:
            why = "no `useradd` says its number: write that as `user:`, since it owns the volumes"
            self._note(user.place, f"USER {user.value}", why)

    def _rest(self, facts: ImageFacts, needs: Needs, code: Code) -> None:
        compose = self._of.compose
        signal = (compose and compose.stop_signal) or facts.stop_signal
        if signal and signal.value not in _USUAL_SIGNAL:
            self._entry["stop_signal"] = signal.value
        if user := (compose and compose.user) or facts.user:
            self._user(user, facts.steps)
        if labels := {k: v for k, v in facts.labels.items() if not k.startswith("slimbake.")}:
            self._entry["labels"] = labels
        if compose:
            self._mounted(compose, code)
        check = compose and compose.healthcheck
        if facts.healthcheck and not check:
            overridden = bool(compose and (compose.command or compose.entrypoint))
            if not overridden or "port" in self._entry:
                check = facts.healthcheck
            elif not self._of.job:
                self._note(
                    facts.healthcheck.place,
                    "HEALTHCHECK",
                    f"it asks what CMD starts, and {self._of.name} has another command: write"
                    " `healthcheck` where it can be asked, too",
                )
        command = check and check.command and self._followed(check.command, facts, code)
        self._healthcheck(check or None, command or None, needs)

    def _mounted(self, compose: ComposeService, code: Code | None) -> None:
        """What its containers have in memory, and of variables. Those of Compose's `environment` win
        over files there, and of slimbake's `env`, the image's, they do not.
        """
        if tmpfs := [s.value for s in compose.tmpfs if s.value.rstrip("/") != "/tmp"]:  # noqa: S108
            known = self._entry.get("tmpfs", [])
            self._entry["tmpfs"] = list(dict.fromkeys([*known, *tmpfs]))
        given = {name: each.written for name, each in compose.filled.items()}
        for file in compose.env_files:
            for name, value in dotenv(self._repository.texts.get(file.value, "")).items():
                mine = self._entry.get("env", {}).get(name, value) if name in compose.env else value
                given |= {name: mine.replace("$", "$$")} if mine != value else {}
        if given := {
            name: value for name, value in given.items() if not _BUILD_ENV.fullmatch(name)
        }:
            self._entry["environment"] = {
                name: code.moved(value) if code else value for name, value in given.items()
            }
        if files := [said.value for said in compose.env_files]:
            self._entry["env_file"] = files

    def _needs_variables(self, code: Code) -> None:
        """Give the start check those variables that the code reads and no image holds: they have no
        defaults, so nothing starts without them.
        """
        compose = self._of.compose
        names = [*self._left_env, *self._started_with()]
        given: dict[str, str] = {}
        if compose:
            given |= {name: each.value for name, each in compose.filled.items()}
            for said in compose.env_files:
                given |= dotenv(self._repository.texts.get(said.value, ""))
        names = [
            name
            for name in dict.fromkeys((*names, *given))
            if name not in self._entry.get("env", {})
        ]
        found = dict(self._readers(code, names))
        for name in found:
            self._left_env.setdefault(name, _placeholder(given.get(name, "")))
        if compose and self._of.ready and not self._of.lacks:
            # its start check has the compose file's variables
            found = {name: place for name, place in found.items() if name in compose.passed}
        if found and "start" not in self._entry:
            name, place = next(iter(found.items()))
            self._entry["start"] = {"env": {name: self._left_env[name] for name in found}}
            self._comments["start"] = f"{place} reads {name}, which no image holds"
            self._note(
                place,
                f"the code reads {', '.join(found)}, which no image holds",
                "smoke and start check have placeholders: write better ones, or `start: none` where"
                " it does not start without the real ones",
            )

    def _start_beside(self) -> None:
        """Start it in its start check beside what it depends on."""
        ready, lacks, alone = self._of.ready, self._of.lacks, self._of.alone
        if alone and self._of.compose:
            self._note(
                self._of.compose.place,
                f"depends_on: {', '.join(alone)}",
                "`slimbake up` and start checks start ready-made services that the compose file of"
                " this folder itself defines: define them there, or start them before",
            )
        said = self._entry.get("start", {})
        if not ready or not isinstance(said, dict):
            return
        if lacks is None:
            self._entry["start"] = {"with": list(ready), **said}
            return
        self._note(
            lacks.place,
            f"{lacks.value} is not there",
            f"without it, Compose starts nothing: write it, and `start: {{with:"
            f" [{', '.join(ready)}]}}` where a service does not start without these",
        )

    def _readers(self, code: Code, names: list[str]) -> Iterator[tuple[str, Place]]:
        """Which of these variables the code cannot do without, and the line that reads each."""
        if not names:
            return
        one_of = "|".join(map(re.escape, names))
        reads = re.compile(
            rf"(?:environ\[|\b(?:config|env(?:\.\w+)?)\()\s*[\"']({one_of})[\"']\s*[\])]"
        )
        field = re.compile(rf"^[ \t]+({one_of})[ \t]*:[ \t]*[^=\n]+$", re.I | re.M)
        by_lower = {name.lower(): name for name in names}
        seen: set[str] = set()
        for path, text in self._modules(code):
            patterns = (reads, field) if "BaseSettings" in text else (reads,)
            for match in (m for pattern in patterns for m in pattern.finditer(text)):
                name = by_lower[match[1].lower()]
                if name not in seen:
                    seen.add(name)
                    yield name, Place(path, text[: match.start(1)].count("\n") + 1)

    def _calls(self, package: str, code: Code) -> bool:
        """Whether the code has a program of this Debian package as the first word of a string."""
        program = _PROGRAMS.get(package, package)
        called = re.compile(rf"[\"'](?:/usr/bin/)?{re.escape(program)}(?:[\"']|\s)")
        return any(called.search(text) for _, text in self._modules(code))

    def _starts_a_shell(self, code: Code) -> None:
        """Ask for a shell where the code starts one."""
        for path, text in self._modules(code):
            if "shell" not in self._entry and (found := _SHELL_CALL.search(text)):
                self._entry["shell"] = True
                place = Place(path, text.count("\n", 0, found.start()) + 1)
                self._comments["shell"] = f"{place} starts one"

    def _hidden(self, code: Code) -> None:
        """A note on each dot file or folder that the code names, or that has the name of a package that
        it imports.
        """
        for path in sorted(self._repository.hidden):
            name = path.rpartition("/")[2]
            stem = re.escape(name.lstrip("."))
            word = re.compile(
                rf"^\s*(?:import|from)\s(?:[^#\n]*\W)?{stem}\b|[\"'/]\.{stem}\b", re.MULTILINE
            )
            inside = f"{path}/".startswith(_in(code.context)) and not name.startswith(".env")
            if inside and any(word.search(text) for _, text in self._modules(code)):
                self._note(
                    Place(path),
                    f"{name} is not in the image",
                    "slimbake copies no dot files: if the service reads it, the line"
                    f" `!{path.removeprefix(_in(code.context))}` in {_in(code.context)}.dockerignore"
                    " keeps it",
                )

    def _misplaced(self, code: Code, installed: set[str], facts: ImageFacts) -> None:
        """A note on each file and folder that the code names where the Dockerfile copies it to, and
        that is not there in slimbake's image; and on each file that is nowhere in it, and that no
        step of the build reads.
        """
        noted = {each.place for each in code.notes}
        for each in code.placed:
            target, root = each.target, code.root.rstrip("/")
            below = target.startswith(f"{root}/") and root != ""
            relative = posixpath.relpath(target, code.root) if below else ""
            here = code.here(each)
            if target in {*installed, code.root} or each.place in noted:
                continue
            if target == "/":
                self._spread(each, here, code, facts)
                continue
            if here == (posixpath.join(code.app, relative) if below else target):
                continue
            if OF_INSTALLERS.search(target):
                self._note(each.place, f"{each.source} is copied to {target}", OF_MACHINE)
                continue
            words = re.escape(relative or target.rstrip("/"))
            named = re.compile(rf"[\"'](?:\./)?{words}(?=[\"'/])|/{words}(?=[\"'])")
            for path, text in self._modules(code):
                if found := named.search(text):
                    line = Place(path, text.count("\n", 0, found.start()) + 1)
                    advice = (
                        f"slimbake's image has it at {here}: change the path in {line}"
                        if here
                        else f"it is not in {code.context}, and {line} names it: "
                        + (self._as_weights(each) or _ELSEWHERE)
                    )
                    self._note(each.place, f"{each.source} is copied to {target}", advice)
                    break
            else:
                for_build = posixpath.dirname(target) in installed or _BUILDS.search(target)
                modules = each.folder and any(
                    path.endswith(".py") for path in self._repository.below(each.source)
                )
                weights = "" if here else self._as_weights(each)
                read = _read_by(facts, target) and not weights
                moves = target in self._in_scripts or self._moves(facts, target)
                if modules or for_build or read or (here and moves):
                    continue
                advice = (
                    f"slimbake's image has it at {here}: where the service reads it, change the path"
                    if here
                    else f"it is not in {code.context}, so it is not in slimbake's image: "
                    + (weights or "if the service reads it, move it there")
                )
                self._note(each.place, f"{each.source} is copied to {target}", advice)
        runs = [*self._entry.get("entrypoint", ()), *self._entry.get("command", ())]
        made = {posixpath.normpath(posixpath.join(facts.workdir, word)) for word in runs}
        for path, (_, place) in facts.scripts.items():
            starts = [
                word for each in (facts.entrypoint, facts.command) if each for word in each.words
            ]
            followed = _read_by(facts, path) or posixpath.basename(path) in starts
            if path in made or not followed:
                why = (
                    ", and the command names it:" if path in made else ": if the service reads it,"
                )
                advice = f"it is not in slimbake's image{why} write it as a file"
                self._note(place, f"a here-document is copied to {path}", advice)

    def _spread(self, each: Placed, here: str, code: Code, facts: ImageFacts) -> None:
        """A note on a folder whose files a Dockerfile puts where each belongs in the file system, and
        that no step of the build reads.
        """
        files = (f"/{file}" for file in self._repository.below(each.source))
        read = each.folder and any(_read_by(facts, file) for file in files)
        if each.folder and each.source != code.context and not read:
            has = f"has its files at {here}" if here else "does not have its files"
            advice = f"slimbake's image {has}: where the service reads them, change the path"
            self._note(each.place, f"{each.source} is copied to /", advice)

    def _as_weights(self, each: Placed) -> str:
        """How a model that lies outside of the service's folder comes into the image; "" for what is
        none.
        """
        folder = each.source if each.folder else posixpath.dirname(each.source)
        model = [*self._repository.below(folder)] if each.folder else [each.source]
        if not folder or not any(name.endswith(_WEIGHTS) for name in model):
            return ""
        return f"`weights: {{path: {folder}}}` has it at /weights, so change the path to that"

    def _moves(self, facts: ImageFacts, target: str) -> bool:
        """Whether a variable or the command has a path of today's image: these get the new one."""
        compose = self._of.compose
        said = [*facts.env.values(), *(compose.env.values() if compose else ())]
        commands = [facts.entrypoint, facts.command]
        commands += [compose.entrypoint, compose.command] if compose else []
        texts = [each.value for each in said] + [each.text for each in commands if each]
        path = path_in([target.rstrip("/")])
        return any(path.search(text) for text in texts)

    def _modules(self, code: Code) -> Iterator[tuple[str, str]]:
        """The Python files of the context that are no tests."""
        for path, text in sorted(self._repository.texts.items()):
            inside = path.startswith(_in(code.context)) and path.endswith(".py")
            if inside and not _TESTS.search(path):
                yield path, text

    def _in_memory(self, code: Code | None) -> None:
        """Leave out each tmpfs at a path where slimbake mounts none, with a note."""
        compose = self._of.compose
        places = {said.value: said.place for said in compose.tmpfs} if compose else {}
        kept = []
        for said in self._entry.pop("tmpfs", []):
            path = (code.moved(said) if code else said).rstrip("/")
            if mountable(path) or (code and self._free(path, code)):
                kept.append(path)
            else:
                advice = "slimbake mounts nothing there: let the service write below /tmp"
                self._note(places[said], f"the tmpfs at {said}", advice)
        if kept:
            self._entry["tmpfs"] = kept

    def _followed(self, command: Command, facts: ImageFacts, code: Code) -> Command:
        """A check's command; without a shell in the image, what a script does in place of its name."""
        words = command.text.split()
        words = words[words[:1] in (["sh"], ["bash"]) :]
        read = self._script(words[0], facts, code) if len(words) == 1 else None
        if not read or not is_shell_script(read[0]) or self._entry.get("shell"):
            return command
        return Command((read[0],), True, command.place)

    def _healthcheck(
        self, check: Healthcheck | None, command: Command | None, needs: Needs
    ) -> None:
        """`command`: what the check comes to."""
        fetch = fetch_of(command) if command else None
        if check is not None and check.command is None:
            self._entry["healthcheck"] = False
        elif check is not None and check.command is not None and command is not None:
            words = self._check_words(command, fetch)
            lost = " and ".join(f"`{each}`" for each in fetch.lost) if fetch else ""
            if words:
                settings = _settings(check)
                self._entry["healthcheck"] = {"test": words, **settings} if settings else words
                if fetch and fetch.secret:
                    self._note(
                        check.place,
                        f"{fetch.secret} of the HEALTHCHECK looks like a secret, and is in the image",
                        "whoever has an image can read its check: let it name a variable, which"
                        " containers get where they are started",
                    )
                if lost:
                    self._note(
                        check.place,
                        f"HEALTHCHECK: {lost}",
                        "init's check makes the request alone: for more, write `healthcheck` as a"
                        " list of words, such as of a script of the service",
                    )
            else:
                why = f"Python's request has no {lost}" if lost else "it needs a shell"
                default = (
                    "the default check connects to the port"
                    if "port" in self._entry
                    else "the service has no check then"
                )
                self._note(
                    check.place,
                    f"HEALTHCHECK {check.command.text}",
                    f"{why}: {default}; write `healthcheck` as a list of words",
                )
        asked = (check, self._of.facts and self._of.facts.healthcheck)
        called = " ".join(each.command.text for each in asked if each and each.command)
        known = {*re.split(r"[^\w-]", called), *(("curl", "wget") if fetch else ())}
        for name, place in needs.fetchers.items():
            if name not in known and name not in self._entry.get("system", ()):
                self._note(place, name, f"if the service calls it, add it: `system: [{name}]`")

    def _check_words(self, command: Command, fetch: Fetch | None) -> list[str]:
        """A health check without a shell; [] where it needs one, or is a fetch that Python cannot do."""
        if fetch:
            return ["python", "-c", fetch.code] if fetch.code else []
        if not command.shell:
            return [
                (
                    "python"
                    if re.fullmatch(r"(?:/\S*/)?python3?(?:\.\d+)?", word) and not number
                    else word
                )
                for number, word in enumerate(command.words)
            ]
        commands = simple_commands(command.text)
        silent = (("exit",), ("false",), ("set",))
        meaningful = [c for c in commands if c.words[:1] not in silent]
        if len(meaningful) != 1:
            return []
        in_shell = ["sh", "-c", command.text] if self._entry.get("shell") else []
        words, only = meaningful[0].words, meaningful[0]
        if not words or not only.plain or only.assignments or only_debians(words[0]):
            return in_shell
        if "$" not in command.text:
            return list(words)
        if any(re.fullmatch(r"\$(?:\w+|\{\w+\})", each) for each in only.split):
            return in_shell  # a shell makes several words of it, or none
        code = with_variables(words)
        return ["python", "-c", code] if code else []

    def _at(self, code: Code, folder: str) -> str:
        return posixpath.join(code.context, code.inner, folder)

    def _known(self, folder: str, module: str) -> bool:
        """Whether a folder has a module; a package in `src` is installed, or named by PYTHONPATH."""
        inside = _in(posixpath.normpath(folder))
        path = module.replace(".", "/")
        sources = [f"{inside}{path}", f"{inside}src/{path}"]
        named = {f"{each}{end}" for each in sources for end in (".py", "/__init__.py")}
        return bool(named & self._repository.files) or sources[0] in self._repository.folders


def _volume(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _read_by(facts: ImageFacts, target: str) -> bool:
    """Whether a step of the build names a file or a folder around it, or the image starts with it."""
    starts = [each.text for each in (facts.entrypoint, facts.command) if each]
    steps = (step for step in facts.steps if step.words[0] not in _NOT_READING)
    named = [(step.workdir, word) for step in steps for word in step.words]
    named += [(facts.workdir, word) for text in starts for word in text.split()]
    for folder, word in named:
        path = posixpath.normpath(posixpath.join(folder, word.rpartition("=")[2]))
        if path != "/" and f"{target}/".startswith(f"{path.rstrip('/')}/"):
            return True
    return False


def _number(name: str, steps: Iterable[Step], programs: tuple[str, str], option: str) -> str:
    """The number of a user or a group: as it is written, or as a step of the build gives it; "" where
    neither says it. `option`: `uid`, of which `-u` is short, or `gid`.
    """
    if name.isdecimal():
        return name
    for step in steps:
        if step.words[0] in programs and name in step.words[1:]:
            said = " ".join(step.words)
            found = re.search(rf" (?:--{option}[ =]|-[a-zA-Z]*{option[0]} ?)(\d+)(?= )", f"{said} ")
            if found:
                return found[1]
    return ""


def _as_is(command: Command, code: Code) -> Plainly:
    """Words that follow an entrypoint."""
    words = ("sh", "-c", command.text) if command.shell else command.words
    return Plainly(tuple(code.moved(word) for word in words))


def _python_path(value: str, code: Code | None) -> str:
    parts = [part.rstrip("/") for part in value.split(":") if part and "$" not in part]
    return ":".join(dict.fromkeys((code.app if code else APP, *parts)))


def _settings(check: Healthcheck) -> dict[str, Any]:
    return {
        key: int(value) if key == "retries" and value.isdigit() else value
        for key, value in check.settings
    }


def _python(facts: ImageFacts) -> Said | None:
    """The version of Python that the image's base has, else that its steps and stages name."""
    named = (Said(word, step.place) for step in facts.steps for word in step.words)
    for said in (facts.parent, *facts.builders, *named):
        if found := _VERSION.search(said.value):
            return Said(found[1], said.place)
    return None


def _in(folder: str) -> str:
    return "" if folder in {".", ""} else f"{folder}/"


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}  # whoever reads the requirements reports it


def _name(text: str) -> str:
    data = _toml(text)
    project = data.get("project")
    poetry = data.get("tool", {}).get("poetry")
    name = (project or {}).get("name") or (poetry or {}).get("name") or ""
    return str(name).lower().replace("_", "-")


def _extras_of(data: Mapping[str, Any]) -> list[str]:
    """The extras of a pyproject.toml."""
    poetry = data.get("tool", {}).get("poetry", {})
    listed = (data.get("project", {}).get("optional-dependencies"), poetry.get("extras"))
    return [name for each in listed for name in each or ()]


def _groups_of(data: Mapping[str, Any]) -> list[str]:
    """Its groups of dependencies."""
    tools = data.get("tool", {})
    poetry, pdm = tools.get("poetry", {}).get("group"), tools.get("pdm", {}).get("dev-dependencies")
    return [name for each in (data.get("dependency-groups"), poetry, pdm) for name in each or ()]


def _dependencies(text: str) -> list[str]:
    project = _toml(text).get("project")
    listed = project.get("dependencies", []) if isinstance(project, dict) else []
    return [str(each) for each in listed]


def closure(folder: str, repository: Repository) -> list[str]:
    """What a package of the repository requires of others, with what those that it needs there do."""
    by_name = {
        _name(text): posixpath.dirname(path) or "."
        for path, text in repository.texts.items()
        if posixpath.basename(path) == "pyproject.toml"
    }
    found: dict[str, None] = {}
    waiting, seen = [folder], set()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        for spec in _dependencies(repository.texts.get(f"{_in(at)}pyproject.toml", "")):
            local = by_name.get(name_of(spec), "")
            if local:
                waiting.append(local)
            else:
                found[spec] = None
    return list(found)
