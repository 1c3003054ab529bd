"""What compose files say: services with what they extend, variables filled in. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from slimbake.adopt.model import (
    NEVER,
    BuildFacts,
    Command,
    ComposeFacts,
    ComposeService,
    Filled,
    Healthcheck,
    Note,
    Place,
    Repository,
    Said,
)
from slimbake.adopt.shell import LITERAL, expand
from slimbake.config.compose import OVERRIDES, OWN, dotenv
from slimbake.config.document import KeyPath, YamlDocument, read_yaml
from slimbake.config.model import ENDED
from slimbake.config.secrecy import OF_A_FILE, SECRET, WITH_PASSWORD, looks_secret
from slimbake.config.words import Word

_NAMED = re.compile(r"(?:docker-)?compose[.\w-]*\.ya?ml")
_READ = frozenset(
    [
        "build",
        "image",
        "entrypoint",
        "command",
        "environment",
        "env_file",
        "ports",
        "expose",
        "volumes",
        "tmpfs",
        "user",
        "working_dir",
        "stop_signal",
        "healthcheck",
        "init",
        "depends_on",
        "extends",
        "profiles",
        "deploy",
        "gpus",
        "runtime",
    ]
)
# Of `address:port:port`; `${A:-${B:-1}}` is one part.
_PART = re.compile(r"(?:\$\{(?:[^{}]|\{[^{}]*\})*\}|[^:])+")
_BUILD = frozenset({"context", "dockerfile", "target", "args"})
_MOST = 20  # files that extend or include one another

Raw = Mapping[str, Any]


def compose_files(repository: Repository) -> tuple[str, ...]:
    """The compose files that Docker Compose would read at the root, or in the one folder that has
    some.
    """
    folders = sorted(
        {posixpath.dirname(each) for each in repository.files if posixpath.basename(each) in OWN},
        key=lambda folder: (folder.count("/") + bool(folder), folder),
    )
    if not folders:
        return ()
    prefix = f"{folders[0]}/" if folders[0] else ""
    found = [
        next((f"{prefix}{name}" for name in names if f"{prefix}{name}" in repository.files), "")
        for names in (OWN, OVERRIDES)
    ]
    return tuple(filter(None, found))


def _unread(file: str, first: tuple[str, ...]) -> Note:
    """The note on a compose file that Docker Compose reads only where it is named."""
    options = " ".join(f"--compose {each}" for each in (*first, file))
    what = "both" if first else "it"
    return Note(
        Place(file), "this compose file was not read", f"`slimbake init {options}` reads {what}"
    )


def compose_facts(repository: Repository, files: tuple[str, ...]) -> ComposeFacts:
    """What compose files come to, the later over the earlier."""
    if not files:
        named = [
            file for file in sorted(repository.texts) if _NAMED.fullmatch(posixpath.basename(file))
        ]
        built = [file for file in named if re.search(r"^\s+build:", repository.texts[file], re.M)]
        return ComposeFacts(notes=tuple(_unread(file, ()) for file in built))
    folder = posixpath.dirname(files[0])
    overrides = frozenset(each for each in files[1:] if posixpath.basename(each) in OVERRIDES)
    reader = _Reader(repository, folder, overrides)
    services: dict[str, ComposeService] = {}
    name = ""
    for file in files:
        found = reader.file(file, folder)
        name = name or found.name
        for key, service in found.services.items():
            merged = _developed if file in overrides else _over
            services[key] = merged(services[key], service) if key in services else service
    others = sorted(
        each
        for each in repository.files
        if each not in reader.read
        and posixpath.dirname(each) == folder
        and _NAMED.fullmatch(posixpath.basename(each))
    )
    reader.notes |= dict.fromkeys(_unread(each, files[:1]) for each in others)
    dotenv_file = posixpath.join(folder, ".env")
    if folder and dotenv_file in repository.texts and any(s.filled for s in services.values()):
        reader.note(
            Place(dotenv_file),
            "it sets variables of containers",
            "slimbake takes them from the `.env` in the folder of the manifest: move it there",
        )
    used = {source for each in services.values() if each.build for source, _ in each.volumes}
    special = (note for name, note in reader.volumes.items() if name in used)
    reader.notes |= dict.fromkeys(special)
    return ComposeFacts(
        tuple(reader.read),
        name,
        tuple(services.values()),
        frozenset(reader.jobs),
        tuple(reader.notes),
    )


@dataclass(slots=True)
class _File:
    name: str = ""
    services: dict[str, ComposeService] = field(default_factory=dict)


class _Reader:
    def __init__(self, repository: Repository, folder: str, overrides: frozenset[str]) -> None:
        self._repository = repository
        self.overrides = overrides  # for development, by Docker's convention
        self._documents: dict[str, YamlDocument] = {}
        self.values = dotenv(repository.texts.get(posixpath.join(folder, ".env"), ""))
        self.read: dict[str, None] = {}
        self.notes: dict[Note, None] = {}
        self.jobs: set[str] = set()
        self.volumes: dict[str, Note] = {}

    def file(self, file: str, folder: str, depth: int = 0) -> _File:
        """The services of a file, and of those that it includes; paths are relative to `folder`."""
        document = self._document(file)
        made = _File()
        if document is None or depth > _MOST:
            return made
        raw = document.value if isinstance(document.value, dict) else {}
        made.name = self._text(raw.get("name"))
        for each in list_of(raw.get("include")):
            paths = each.get("path") if isinstance(each, dict) else each
            for path in list_of(paths):
                inner = posixpath.normpath(posixpath.join(folder, self._text(path)))
                made.services |= self.file(inner, posixpath.dirname(inner), depth + 1).services
        self._special(file, raw.get("volumes"))
        services = raw.get("services")
        for name, said in (services if isinstance(services, dict) else {}).items():
            if isinstance(said, dict):
                made.services[name] = self._service(name, said, file, folder, depth)
        return made

    def _special(self, file: str, said: Any) -> None:
        """Take the volumes that are more than one of the project's own on this machine."""
        for name, how in said.items() if isinstance(said, dict) else ():
            keys = [*how] if isinstance(how, dict) else []
            if {"external", "name", "driver_opts"} & {*keys}:
                self.volumes[name] = Note(
                    self.place(file, ("volumes", name)),
                    f"the volume {name}: {', '.join(keys)}",
                    "`slimbake up` makes one of its own: start the service by your compose file, which"
                    " extends slimbake's (docs/how-to/run.md)",
                )

    def _document(self, file: str) -> YamlDocument | None:
        if file not in self._documents:
            text = self._repository.texts.get(file)
            if text is None:
                self.note(Place(file), "this file cannot be read", "name one that is there")
                return None
            document = read_yaml(text)
            self._documents[file] = document
            self.read[file] = None
            for fault in document.faults:
                if "tag !" not in fault.message:  # `!reset`, `!override`: values of Compose
                    self.note(Place(file, fault.place.line), fault.message, fault.hint or "fix it")
        return self._documents[file]

    def note(self, place: Place, what: str, advice: str, service: str = "") -> None:
        self.notes[Note(place, what, advice, service)] = None

    def _service(self, name: str, raw: Raw, file: str, folder: str, depth: int) -> ComposeService:
        gone = self.tagged(file, name, "!reset")
        raw = {key: value for key, value in raw.items() if key not in gone}
        own = _ServiceReader(self, name, raw, file, folder).service()
        extends = raw.get("extends")
        if not extends or depth > _MOST:
            return own
        at = extends if isinstance(extends, dict) else {"service": extends}
        other = self._text(at.get("service"))
        where, below = file, folder
        if at.get("file"):
            where = posixpath.normpath(posixpath.join(folder, self._text(at["file"])))
            below = posixpath.dirname(where)
        document = self._document(where)
        services = (document.value or {}).get("services") if document else None
        said = services.get(other) if isinstance(services, dict) else None
        if not isinstance(said, dict):
            place = self.place(file, ("services", name, "extends"))
            self.note(place, f"'{other}' of {where} is not there", "fix `extends`", name)
            return own
        base = self._service(other, said, where, below, depth + 1)
        if own.command or own.entrypoint:  # `expose` says where the other's command listens
            base = replace(base, expose=())
        return _over(base, own)

    def has(self, path: str) -> bool:
        """Whether the repository has a file."""
        return path in self._repository.files

    def place(self, file: str, path: KeyPath) -> Place:
        """Where a key stands; what came by `<<` stands where the anchor is."""
        document = self._documents[file]
        exact = document.places.key(path)
        if exact == document.places.key(path[:-1]) and len(path) > 2:
            value = _at(document.value, path)
            for name, other in document.value.items():
                inner = path[2:]
                if isinstance(other, dict) and value is not None and _at(other, inner) is value:
                    return Place(file, document.places.key((name, *inner)).line)
        return Place(file, exact.line)

    def merged(self, file: str, path: KeyPath) -> bool:
        """Whether a key came into its mapping by `<<`."""
        places = self._documents[file].places
        return places.key(path) == places.key(path[:-1])

    def tagged(self, file: str, service: str, *tags: str) -> frozenset[str]:
        """The keys of a service whose values have one of these tags of Compose."""
        return frozenset(
            str(fault.path[2])
            for fault in self._documents[file].faults
            if fault.path[:2] == ("services", service) and len(fault.path) == 3
            if any(f"tag {tag} " in fault.message for tag in tags)
        )

    def _text(self, value: Any) -> str:
        return self.interpolated(plain(value))[0]

    def interpolated(self, text: str) -> tuple[str, tuple[str, ...]]:
        """A text with its variables filled in, and those that nothing sets."""
        return _interpolated(text, self.values)

    def default(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The same where no `.env` is, as in a fresh clone."""
        return _interpolated(text, {})


class _ServiceReader:
    """Reads one service of one file."""

    def __init__(self, files: _Reader, name: str, raw: Raw, file: str, folder: str) -> None:
        self._files, self._name, self._raw = files, name, raw
        self._file, self._folder = file, folder
        self._notes: dict[Note, None] = {}
        self._passed: dict[str, Note] = {}
        self._filled: dict[str, Filled] = {}

    def service(self) -> ComposeService:
        raw, at = self._raw, self._place()
        build = self._build()
        made = ComposeService(
            name=self._name,
            place=at,
            build=build,
            image=self._value("image"),
            entrypoint=self._command("entrypoint"),
            command=self._command("command"),
            env=self._environment(),
            filled=self._filled,
            passed=self._passed,
            env_files=self._env_files(),
            ports=tuple(self._ports()),
            expose=tuple(self._expose()),
            volumes=tuple(self._volumes()),
            tmpfs=tuple(self._tmpfs()),
            user=self._said("user"),
            workdir=self._said("working_dir"),
            stop_signal=self._said("stop_signal"),
            healthcheck=self._healthcheck(),
            beside=self._beside(),
            gpu=self._gpu(),
            starts="profiles" not in raw,
            init=plain(raw.get("init")).lower() == "true",
            restart=self._value("restart").lower(),
            resets=self._files.tagged(self._file, self._name, "!reset", "!override"),
        )
        self._given()
        read = _READ | {*_GIVEN} | ({"restart"} if made.restart in NEVER else set())
        stay = [key for key in raw if key not in read and not key.startswith("x-")]
        if "profiles" in raw:
            self._note(
                self._place("profiles"),
                "`profiles` say when Compose starts a service",
                "slimbake builds its image like the others'; `up: false` leaves it to `slimbake run`",
            )
        if stay:
            self._note(
                self._place(stay[0]),
                f"{', '.join(stay)}",
                _RUNNING.format("these stay" if len(stay) > 1 else "this stays"),
            )
        return replace(made, notes=tuple(self._notes))

    def _place(self, *path: str | int) -> Place:
        return self._files.place(self._file, ("services", self._name, *path))

    def _note(self, place: Place, what: str, advice: str) -> Note:
        note = Note(place, what, advice, self._name)
        self._notes[note] = None
        return note

    def _fill(self, text: str, *path: str | int) -> str:
        value, missing = self._files.interpolated(text)
        if missing:
            self._note(
                self._place(*path),
                f"{', '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set, in `{text}`",
                "set it in .env and run `slimbake init` again, or write the value into the"
                " manifest",
            )
        return value

    def _value(self, key: str) -> str:
        return self._fill(plain(self._raw.get(key)), key)

    def _said(self, key: str) -> Said | None:
        return Said(value, self._place(key)) if (value := self._value(key)) else None

    def _command(self, key: str) -> Command | None:
        said = self._raw.get(key)
        if said is None:
            return None
        place = self._place(key)
        self._frozen(key, " ".join(map(plain, list_of(said))))
        if isinstance(said, list):
            listed = tuple(self._fill(plain(each), key) for each in said)
            return Command(listed, False, place) if listed or key == "entrypoint" else None
        try:
            words = tuple(shlex.split(self._fill(plain(said), key)))
        except ValueError as error:
            self._note(place, f"`{plain(said)}` cannot be split: {error}", "write it as a list")
            return None
        return Command(words, False, place)

    def _frozen(self, key: str, text: str) -> None:
        """A note on the variables of `.env` of which a command gets today's values."""
        names = dict.fromkeys(re.findall(r"\$\{?(\w+)", text.replace("$$", "")))
        if found := [name for name in names if name in self._files.values]:
            self._note(
                self._place(key),
                f"`{key}` has the values of {', '.join(found)}",
                "another value in `.env` or the shell has no effect until `command` of the manifest"
                " has it: or let the service's own code read the variable",
            )

    def _build(self) -> BuildFacts | None:
        said = self._raw.get("build")
        if said is None:
            return None
        raw: Raw = said if isinstance(said, dict) else {"context": said}
        written = self._fill(plain(raw.get("context")) or ".", "build")
        if "://" in written or written.startswith("git@"):
            self._note(
                self._place("build"),
                f"its context is {written}",
                "slimbake builds what is in this repository: clone it into a folder",
            )
            return None
        context = posixpath.normpath(posixpath.join(self._folder, written))
        args = raw.get("args")
        pairs = (
            args.items()
            if isinstance(args, dict)
            else (plain(each).partition("=")[::2] for each in list_of(args))
        )
        given = {key: plain(value) for key, value in pairs}
        filled = {key: self._fill(text, "build", "args") for key, text in given.items()}
        if changing := [key for key, text in given.items() if text != filled[key]]:
            values = ", ".join(f"{key}={filled[key]}" for key in changing)
            self._note(
                self._place("build", "args"),
                f"build arguments by variables: {values}",
                "the manifest has these values: what changes with every build, set where containers"
                " start",
            )
        contexts = self._contexts(raw.get("additional_contexts"))
        read = _BUILD | {"dockerfile_inline", *(["additional_contexts"] if contexts else [])}
        if left := [key for key in raw if key not in read]:
            self._note(
                self._place("build", left[0]),
                f"build: {', '.join(left)}",
                "slimbake builds otherwise; for a Dockerfile of your own there are `contexts` and"
                " `secrets`",
            )
        if "dockerfile_inline" in raw:
            advice = "write it into a file, and name that with `dockerfile:`"
            self._note(self._place("build", "dockerfile_inline"), "a Dockerfile in place", advice)
            return None
        file = posixpath.join(
            context, self._fill(plain(raw.get("dockerfile")), "build") or "Dockerfile"
        )
        return BuildFacts(
            context=context,
            dockerfile=posixpath.normpath(file),
            target=self._fill(plain(raw.get("target")), "build"),
            args=filled,
            contexts=contexts,
            written=frozenset(raw),
        )

    def _contexts(self, said: Any) -> dict[str, str]:
        """The further contexts of a build by their names; {} where one is no folder of the machine."""
        pairs = (
            [(str(name), plain(value)) for name, value in said.items()]
            if isinstance(said, dict)
            else [plain(each).partition("=")[::2] for each in list_of(said)]
        )
        if any(":" in value or not value for _, value in pairs):
            return {}
        return {
            name: posixpath.normpath(posixpath.join(self._folder, self._fill(value, "build")))
            for name, value in pairs
        }

    def _environment(self) -> dict[str, Said]:
        said = self._raw.get("environment")
        pairs: list[tuple[str | int, str, Any]] = (
            [(name, name, value) for name, value in said.items()]
            if isinstance(said, dict)
            else [(number, *_pair(plain(each))) for number, each in enumerate(list_of(said))]
        )
        found: dict[str, Said] = {}
        for at, name, value in pairs:
            place = self._place("environment", at)
            if value is None and name not in self._files.values:
                advice = _STAYS.format(name=name)
                self._passed[name] = self._note(
                    place, f"{name} has its value from the shell", advice
                )
                continue
            written = f"${{{name}}}" if value is None else plain(value)
            default, lacking = self._files.default(written)
            changing = _varies(written)
            secret = looks_secret(name, default) and not OF_A_FILE.search(name)
            # about where the image has its code, and containers a file; a manifest holds no secret
            of_code = name == "PYTHONPATH"
            of_file = SECRET.search(name) and OF_A_FILE.search(name)
            development = self._file in self._files.overrides and not of_code
            apart = bool(lacking) or (changing if secret else development)
            if not apart:
                found[name] = Said(default, place)
            if apart or (changing and not of_code and not of_file):
                self._filled[name] = Filled(written, self._files.interpolated(written)[0])
        return found

    def _env_files(self) -> tuple[Said, ...]:
        found = []
        for each in list_of(self._raw.get("env_file")):
            written = plain(each.get("path") if isinstance(each, dict) else each)
            path = posixpath.join(self._folder, self._fill(written, "env_file"))
            path = posixpath.normpath(path)
            optional = isinstance(each, dict) and plain(each.get("required")) == "false"
            if not optional or self._files.has(path):
                found.append(Said(path, self._place("env_file")))
        return tuple(found)

    def _ports(self) -> Iterable[tuple[str, Said]]:
        for number, each in enumerate(list_of(self._raw.get("ports"))):
            place = self._place("ports", number)
            if isinstance(each, dict):
                published, target = plain(each.get("published")), plain(each.get("target"))
                protocol, target = plain(each.get("protocol")), self._fill(target, "ports")
            else:
                published, target = ["", "", *_PART.findall(plain(each))][-2:]
                target, _, protocol = self._fill(target, "ports", number).partition("/")
            if _varies(published):
                written, published = published, self._files.default(published)[0]
                taken = f"init reads {published}" if published.isdigit() else "write `publish`"
                self._note(
                    place,
                    f"the published port {written}",
                    f"ports of a manifest are numbers: {taken}. Your own compose file, which extends"
                    " slimbake's, may have the variable (docs/how-to/run.md)",
                )
            if protocol not in {"", "tcp"}:
                what = f"the port {target}/{protocol}"
                self._note(place, what, "slimbake takes TCP ports by number")
            elif target.isdigit():
                yield (published if published.isdigit() else "", Said(target, place))
            else:
                self._note(place, f"the port {target}", "slimbake takes one number a port")

    def _expose(self) -> Iterable[Said]:
        """Not those of an anchor, where the service has a command of its own that may listen nowhere."""
        own = {key for key in ("expose", "command", "entrypoint") if key in self._raw}
        own -= {k for k in own if self._files.merged(self._file, ("services", self._name, k))}
        if "expose" in own or not own:
            for each in list_of(self._raw.get("expose")):
                yield Said(self._fill(plain(each), "expose"), self._place("expose"))

    def _tmpfs(self) -> Iterable[Said]:
        for each in list_of(self._raw.get("tmpfs")):
            path, _, options = self._fill(plain(each), "tmpfs").partition(":")
            self._in_memory(path, options, self._place("tmpfs"))
            yield Said(path, self._place("tmpfs"))
        for number, each in enumerate(list_of(self._raw.get("volumes"))):
            if isinstance(each, dict) and plain(each.get("type")) == "tmpfs":
                path = self._fill(plain(each.get("target")), "volumes", number)
                said = each.get("tmpfs")
                pairs = said.items() if isinstance(said, dict) else ()
                options = ",".join(f"{key}={plain(value)}" for key, value in pairs)
                self._in_memory(path, options, self._place("volumes", number))
                yield Said(path, self._place("volumes", number))

    def _in_memory(self, path: str, options: str, place: Place) -> None:
        """A note on the options of a folder in memory, of which slimbake's have none."""
        if left := [each for each in options.split(",") if each not in {"", "mode=1777", "exec"}]:
            self._note(
                place,
                f"tmpfs {path}: {','.join(left)}",
                "this stays in the compose file: with `slimbake up` every user may write there, and"
                " nothing but the container's memory limits it",
            )

    def _volumes(self) -> Iterable[tuple[str, Said]]:
        for number, each in enumerate(list_of(self._raw.get("volumes"))):
            place = self._place("volumes", number)
            if isinstance(each, dict):
                kind = plain(each.get("type"))
                source, target = (
                    self._fill(plain(each.get(key)), "volumes", number)
                    for key in ("source", "target")
                )
                if kind == "tmpfs":
                    continue
                if kind == "bind" and not source.startswith((".", "/", "~")):
                    source = f"./{source}"
            else:
                parts = self._fill(plain(each), "volumes", number).split(":")
                source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
            yield source, Said(target, place)

    def _healthcheck(self) -> Healthcheck | None:
        said = self._raw.get("healthcheck")
        if not isinstance(said, dict):
            return None
        place, test = self._place("healthcheck"), said.get("test")
        settings = tuple(
            (key, self._fill(plain(said[key]), "healthcheck"))
            for key in ("interval", "timeout", "start_period", "retries")
            if key in said
        )
        if plain(said.get("disable")) == "true":
            return Healthcheck(None, (), place)
        if test is None:
            return None
        if not isinstance(test, list):
            return Healthcheck(
                Command((self._fill(plain(test), "healthcheck"),), True, place), settings, place
            )
        how, *words = [self._fill(plain(word), "healthcheck") for word in test] or ["NONE"]
        if how == "NONE":
            return Healthcheck(None, (), place)
        return Healthcheck(Command(tuple(words), how == "CMD-SHELL", place), settings, place)

    def _beside(self) -> dict[str, str]:
        said = self._raw.get("depends_on")
        if not isinstance(said, dict):
            return dict.fromkeys((plain(each) for each in list_of(said)), "")
        found = {
            name: plain(how.get("condition")) if isinstance(how, dict) else ""
            for name, how in said.items()
        }
        self._files.jobs |= {name for name, how in found.items() if how == ENDED}
        others = {key for how in said.values() if isinstance(how, dict) for key in how}
        if left := sorted(map(str, others - {"condition"})):
            what, advice = f"depends_on: {', '.join(left)}", "this stays in the compose file"
            self._note(self._place("depends_on"), what, advice)
        return found

    def _given(self) -> None:
        """A note on the files that Compose puts into containers: without them a service may run, and
        let everybody in.
        """
        for key, folder in _GIVEN.items():
            files = [
                posixpath.join(folder, plain(each.get("target") or each.get("source")))
                if isinstance(each, dict)
                else posixpath.join(folder, plain(each))
                for each in list_of(self._raw.get(key))
            ]
            if files:
                self._note(
                    self._place(key),
                    f"{key}: {', '.join(files)}",
                    f"containers of `slimbake up` do not have {'it' if len(files) == 1 else 'them'}:"
                    " start the service by your compose file, which extends slimbake's"
                    " (docs/how-to/run.md)",
                )

    def _gpu(self) -> bool:
        raw = self._raw
        if raw.get("gpus") or plain(raw.get("runtime")) == "nvidia":
            return True
        deploy = raw.get("deploy")
        found = deploy
        for key in ("resources", "reservations", "devices"):
            found = found.get(key) if isinstance(found, dict) else None
        gpu = any(
            "gpu" in map(plain, list_of(each.get("capabilities")))
            for each in list_of(found)
            if isinstance(each, dict)
        )
        if deploy:
            self._note(
                self._place("deploy"),
                "deploy",
                _RUNNING.format("this stays"),
            )
        return gpu


# Keys that ComposeService has by another name
_FIELDS = {
    "environment": ("env", "filled", "passed"),
    "env_file": ("env_files",),
    "working_dir": ("workdir",),
    "depends_on": ("beside",),
}
_GIVEN = {"secrets": "/run/secrets", "configs": "/"}  # keys of files that containers get: where
_STAYS = (
    "it stays in the compose file. For `slimbake up`, give `--env {name}`, or write"
    ' `environment: {{{name}: "${{{name}}}"}}`, which is empty where nothing sets it'
)
_RUNNING = (
    "{} in the compose file: it is about running. `slimbake up` runs without; `slimbake compose` says"
    " how that file starts slimbake's images"
)


def _at(value: Any, path: KeyPath) -> Any:
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _over(below: ComposeService, over: ComposeService) -> ComposeService:
    """One service over another, as Compose merges them."""
    bare = ComposeService(name=over.name, place=over.place, build=None)
    gone = [name for key in over.resets for name in _FIELDS.get(key, (key,)) if hasattr(bare, name)]
    below = replace(below, **{name: getattr(bare, name) for name in gone})
    below = _without(below, {*over.env, *over.filled, *over.passed}, over.name)
    ports = {said.value: (published, said) for published, said in (*below.ports, *over.ports)}
    volumes = {said.value: (source, said) for source, said in (*below.volumes, *over.volumes)}
    return ComposeService(
        name=over.name,
        place=over.place,
        build=_build_over(below.build, over.build),
        image=over.image or below.image,
        entrypoint=over.entrypoint or below.entrypoint,
        command=over.command or below.command,
        env={**below.env, **over.env},
        filled={**below.filled, **over.filled},
        passed={**below.passed, **over.passed},
        env_files=tuple(dict.fromkeys((*below.env_files, *over.env_files))),
        ports=tuple(ports.values()),
        expose=tuple(dict.fromkeys((*below.expose, *over.expose))),
        volumes=tuple(volumes.values()),
        tmpfs=tuple(dict.fromkeys((*below.tmpfs, *over.tmpfs))),
        user=over.user or below.user,
        workdir=over.workdir or below.workdir,
        stop_signal=over.stop_signal or below.stop_signal,
        healthcheck=over.healthcheck or below.healthcheck,
        beside={**below.beside, **over.beside},
        gpu=below.gpu or over.gpu,
        starts=below.starts and over.starts,
        init=below.init or over.init,
        restart=over.restart or below.restart,
        notes=tuple(dict.fromkeys((*below.notes, *over.notes))),
    )


def _build_over(below: BuildFacts | None, over: BuildFacts | None) -> BuildFacts | None:
    """One build over another, which has what `over` does not say."""
    if below is None or over is None:
        return over or below
    moved = "context" in over.written
    context = over.context if moved else below.context
    file = below.dockerfile if "dockerfile" not in over.written else over.dockerfile
    if moved != ("dockerfile" in over.written):  # its path is relative to the other's context
        its = below.context if moved else over.context
        file = posixpath.normpath(posixpath.join(context, posixpath.relpath(file, its)))
    return BuildFacts(
        context=context,
        dockerfile=file,
        target=over.target if "target" in over.written else below.target,
        args={**below.args, **over.args},
        contexts={**below.contexts, **over.contexts},
        written=below.written | over.written,
    )


# What of a service goes into its image, and the key of each
_OF_IMAGE = {
    "entrypoint": "entrypoint",
    "command": "command",
    "user": "user",
    "workdir": "working_dir",
    "stop_signal": "stop_signal",
    "healthcheck": "healthcheck",
}
_DEVELOPED = (
    "an override file is for development, so the image does not have it; `slimbake init --compose"
    " {}` leaves that file out"
)


def _developed(below: ComposeService, over: ComposeService) -> ComposeService:
    """One service with what an override file has for development: containers alone get its
    variables, and what goes into the image is that of the file below.
    """
    kept = {} if "environment" in over.resets else below.env
    filled = {
        name: each
        for name, each in over.filled.items()
        if name not in kept or kept[name].value != each.value
    }
    merged = _over(below, replace(over, filled=filled))
    image = {name: getattr(below, name) for name in _OF_IMAGE}
    changed = {
        key: said
        for name, key in _OF_IMAGE.items()
        if (said := getattr(over, name)) and _bare(said) != _bare(image[name])
    }
    advice = _DEVELOPED.format(below.place.file)
    notes = [
        Note(said.place, f"{key}{_shown(said)}", advice, over.name) for key, said in changed.items()
    ]
    if below.build and merged.build != below.build:
        notes.append(Note(over.place, "build", advice, over.name))
    about = {each.place for each in changed.values()}
    others = [each for each in merged.notes if each.place not in about]
    return replace(
        merged,
        **image,
        place=below.place,
        build=below.build or over.build,
        env={**kept, **over.env},
        notes=tuple(dict.fromkeys((*others, *notes))),
    )


def _bare(said: Command | Said | Healthcheck | None) -> Any:
    """A value without its place."""
    nowhere = Place("")
    if isinstance(said, Healthcheck):
        return replace(said, place=nowhere, command=_bare(said.command))
    return replace(said, place=nowhere) if said else None


def _shown(said: Command | Said | Healthcheck) -> str:
    if isinstance(said, Healthcheck):
        return ""
    text = said.text if isinstance(said, Command) else said.value
    return f": {text.partition(' ')[0]} ..." if WITH_PASSWORD.search(text) else f": {text}"


def _without(below: ComposeService, names: set[str], service: str) -> ComposeService:
    """What a service of this name takes over from `below`, less these variables: it sets them
    itself.
    """
    gone = {note for name, note in below.passed.items() if name in names}
    passed = {name: note for name, note in below.passed.items() if name not in names}
    return replace(
        below,
        env={name: said for name, said in below.env.items() if name not in names},
        filled={name: said for name, said in below.filled.items() if name not in names},
        passed={name: replace(note, service=service) for name, note in passed.items()},
        notes=tuple(replace(each, service=service) for each in below.notes if each not in gone),
    )


def _interpolated(text: str, values: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    value, missing = expand(text.replace("$$", LITERAL), values)
    return value.replace(LITERAL, "$"), missing


def _varies(text: str) -> bool:
    """Whether a text has variables that Compose fills in."""
    return "$" in text.replace("$$", "")


def plain(value: Any) -> str:
    """A scalar as it is written; "" for nothing and for what is none."""
    if isinstance(value, Word):
        return value.text
    return str(value) if isinstance(value, str | int) else ""


def list_of(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
