"""What compose files say of services, as they are written: nothing is filled in but paths. Pure.

`docker compose config` is not asked: it writes the values of `.env` and of files of variables into
what it prints, secrets among them, and a manifest would depend on whether Docker is installed.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from slimbake.adopt.dockerfile import exact
from slimbake.adopt.files import joined
from slimbake.adopt.model import Build, Command, ComposeService, Health, Note, Place, Repository
from slimbake.adopt.shell import expand, whole_number
from slimbake.config.compose import OWN, dotenv
from slimbake.config.document import Places, read_yaml
from slimbake.config.secrecy import looks_secret
from slimbake.config.words import Word

_DEEP = 20  # files and services that extend each other
_LISTS = ("ports", "expose", "volumes", "env_file", "tmpfs")
_TIMES = ("interval", "timeout", "start_period", "retries")
_RUN = ("entrypoint", "command", "healthcheck")
_PLACE = ""  # the key under which a service has its place
_READ = frozenset(
    [
        _PLACE,
        "build",
        "image",
        "entrypoint",
        "command",
        "environment",
        "healthcheck",
        "depends_on",
        "user",
        "extends",
        "working_dir",
        "stop_signal",
        "profiles",
        "ports",
        "expose",
        "volumes",
        "env_file",
        "tmpfs",
    ]
)
_NAMED = re.compile(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml")

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComposeFacts:
    """What the compose files say that are read."""

    files: tuple[str, ...] = ()  # that were read, the first of the command line first
    name: str = ""
    services: tuple[ComposeService, ...] = ()
    notes: tuple[Note, ...] = ()


def compose_files(repository: Repository) -> tuple[list[str], list[str]]:
    """The compose files that are read where none is named, and all others: the root's own; else all
    with a name that Compose looks for, one of each folder.
    """
    named: list[str] = []
    for file in repository.files:
        if _NAMED.fullmatch(posixpath.basename(file)) and "/." not in f"/{file}":
            named.append(file)
    usual: dict[str, str] = {}
    for name in OWN:
        for file in named:
            folder, base = posixpath.split(file)
            if base == name:
                usual.setdefault(folder, file)
    chosen = [usual[""]] if "" in usual else sorted(usual.values())
    return chosen, [f for f in named if f not in chosen]


def compose_facts(repository: Repository, files: Sequence[str]) -> ComposeFacts:
    """What compose files say together: each on top of those before."""
    reader = _Reader(repository, posixpath.dirname(files[0]) if files else "")
    merged: dict[str, Raw] = {}
    name = ""
    for file in files:
        top = reader.top(file)
        name = _text(top.get("name")) or name
        for key, raw in reader.services(file, top).items():
            merged[key] = _merged(merged[key], raw) if key in merged else raw
    services = tuple(_service(key, raw, reader.folder, repository) for key, raw in merged.items())
    name = name if "$" not in name else ""
    return ComposeFacts(tuple(reader.read), name, services, tuple(reader.notes))


class _Reader:
    """Reads each file once, and follows `include` and `extends`."""

    def __init__(self, repository: Repository, folder: str) -> None:
        self._repository = repository
        self.folder = folder
        self._env = dotenv(repository.text(joined(folder, ".env")) or "")
        self.read: dict[str, tuple[Raw, Places | None]] = {}
        self._included: set[str] = set()
        self.notes: list[Note] = []

    def _path(self, folder: str, text: str) -> str:
        """The path of a build. Of `.env` only those are taken that lead to something here."""
        filled = joined(folder, expand(text, self._env))
        if self._repository.has(filled):
            return filled
        return joined(folder, expand(text, {}, keep=True))

    def top(self, file: str) -> Raw:
        return self._file(file)[0]

    def services(self, file: str, top: Raw, depth: int = 0) -> dict[str, Raw]:
        """The services of a file, with those that it includes."""
        by_name: dict[str, Raw] = {}
        if file in self._included:  # in a circle, or twice
            return by_name
        self._included.add(file)
        for included in _listed(top.get("include")):
            paths = included.get("path") if isinstance(included, dict) else included
            for path in _listed(paths):
                inner = joined(posixpath.dirname(file), _text(path))
                by_name |= self.services(inner, self.top(inner), depth + 1)
        for name, raw in _raw(top.get("services")).items():
            if isinstance(raw, dict):
                by_name[name] = self._extended(file, name, raw, depth)
        return by_name

    def _extended(self, file: str, name: str, service: Raw, depth: int) -> Raw:
        """A service with what it extends, and with its place."""
        places, folder = self._file(file)[1], posixpath.dirname(file)
        line = places.key(("services", name)).line if places else 0
        entry = _long(service, folder, self._path) | {_PLACE: Place(file, line)}
        extends = service.get("extends")
        if not extends or depth > _DEEP:
            return entry
        other, source = _text(extends), file
        if isinstance(extends, dict):
            other = _text(extends.get("service"))
            if where := _text(extends.get("file")):
                source = joined(folder, where)
        parent = _raw(self.top(source).get("services")).get(other)
        if not isinstance(parent, dict):
            what = f"{name} extends {other}, which is not there"
            self.notes.append(Note("breaks", Place(file, line), what))
            return entry
        return _merged(self._extended(source, other, parent, depth + 1), entry)

    def _file(self, file: str) -> tuple[Raw, Places | None]:
        if file not in self.read:
            self.read[file] = self._content(file)
        return self.read[file]

    def _content(self, file: str) -> tuple[Raw, Places | None]:
        text = self._repository.text(file)
        if text is None:
            self.notes.append(Note("breaks", Place(file), "it is no text that can be read"))
            return {}, None
        try:
            document = read_yaml(text)
        except yaml.YAMLError:
            self.notes.append(Note("breaks", Place(file), "it has control characters"))
            return {}, None
        if not document.complete:
            fault = document.faults[-1]
            place, what = Place(file, fault.place.line), f"YAML: {fault.message}"
            self.notes.append(Note("breaks", place, what, "what follows is not read"))
        return _raw(document.value), document.places


def _long(service: Raw, folder: str, path: Callable[[str, str], str]) -> Raw:
    """The keys of a service that may be written in several ways, in one; paths from the root."""
    entry = dict(service)
    build = service.get("build")
    if build is not None:
        entry["build"] = _long_build(build, folder, path)
    if "environment" in service:
        entry["environment"] = _mapping(service["environment"], passed=True)
    if isinstance(service.get("depends_on"), list):
        entry["depends_on"] = {_text(name): {} for name in service["depends_on"]}
    for key in _LISTS:
        if key in entry:
            entry[key] = _listed(entry[key])
    if "env_file" in entry:
        files: list[str] = []
        for file in entry["env_file"]:
            path_of_file = file.get("path") if isinstance(file, dict) else file
            files.append(joined(folder, _text(path_of_file)))
        entry["env_file"] = files
    return entry


def _long_build(written: Any, folder: str, path: Callable[[str, str], str]) -> Raw:
    """How a service is built; of a text alone, its context."""
    build = dict(written) if isinstance(written, dict) else {"context": written}
    if "context" in build:
        build["context"] = path(folder, _text(build["context"]) or ".")
    if "dockerfile" in build:
        context = build.get("context") or folder or "."
        build["dockerfile"] = path(context, _text(build["dockerfile"]))
    build["args"] = _mapping(build.get("args"))
    contexts: dict[str, str] = {}
    for name, value in _mapping(build.get("additional_contexts")).items():
        is_address = ":" in value
        contexts[name] = value if is_address else joined(folder, value)
    build["additional_contexts"] = contexts
    return build


def _merged(base: Raw, above: Raw) -> Raw:
    """Two descriptions of a service, as Compose puts one on top of the other."""
    merged = dict(base)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and key != "healthcheck":
            merged[key] = _merged(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key in _LISTS:
            merged[key] = old + [item for item in value if item not in old]
        else:
            merged[key] = value
    return merged


def _service(name: str, entry: Raw, top: str, repository: Repository) -> ComposeService:
    """`top`: the folder of the first compose file."""
    place: Place = entry[_PLACE]
    folder = posixpath.dirname(place.file)
    volumes, mounts = _volumes(entry.get("volumes", ()), folder, top, repository)
    ports, unpublished = _ports(entry.get("ports", ()))
    stays = [key for key in entry if key not in _READ]
    stays += [f"the mount of {mount}" for mount in mounts]
    stays += unpublished
    entry = dict(entry)
    for key in _RUN:
        if _has_secret(entry.get(key)):
            stays.append(f"{key}, which has what may be secret")
            del entry[key]
    build = None
    if isinstance(entry.get("build"), dict):
        build = _build(entry["build"], folder)
    expose = map(_number, entry.get("expose", ()))
    depends_on: dict[str, str] = {}
    for other, how in _raw(entry.get("depends_on")).items():
        depends_on[other] = _text(_raw(how).get("condition"))
    return ComposeService(
        name=name,
        place=place,
        build=build,
        image=expand(_text(entry.get("image")), {}),
        entrypoint=_command(entry.get("entrypoint"), place),
        command=_command(entry.get("command"), place),
        environment=entry.get("environment", {}),
        env_files=tuple(entry.get("env_file", ())),
        ports=tuple(ports),
        expose=tuple(filter(None, expose)),
        volumes=volumes,
        tmpfs=tuple(_text(mount).partition(":")[0] for mount in entry.get("tmpfs", ())),
        user=_text(entry.get("user")),
        workdir=_text(entry.get("working_dir")),
        stop_signal=_text(entry.get("stop_signal")),
        health=_health(entry.get("healthcheck"), place),
        depends_on=depends_on,
        gpu="nvidia" in _text(entry.get("runtime")) or _has_gpu(entry),
        profiles=bool(entry.get("profiles")),
        stays=tuple(dict.fromkeys(stays)),
    )


def _has_secret(value: Any) -> bool:
    """Whether a text, a list or a mapping has a secret besides variables."""
    if isinstance(value, dict):
        return any(map(_has_secret, value.values()))
    text = " ".join(map(_text, _listed(value)))
    # A shell's line has quotes around what may be one.
    words = re.split(r"[\s'\"\[\],]+", text)
    return any(looks_secret("", word) for word in (" ".join(words), *words))


def _has_gpu(entry: Raw) -> bool:
    deploy = entry.get("deploy")
    for key in ("resources", "reservations", "devices"):
        deploy = _raw(deploy).get(key)
    return bool(deploy) or bool(entry.get("gpus"))


def _build(build: Raw, folder: str) -> Build:
    context = build.get("context") or folder or "."
    usual = "" if "dockerfile_inline" in build else joined(context, "Dockerfile")
    return Build(
        context=context,
        dockerfile=build.get("dockerfile") or usual,
        target=expand(_text(build.get("target")), {}),
        # as Compose fills them in where nothing is set
        args={name: expand(value, {}) for name, value in build["args"].items()},
        contexts=build["additional_contexts"],
    )


def _command(command: Any, place: Place) -> Command | None:
    """Compose splits a text into words, and starts no shell. No words: the image's go, too."""
    text = _text(command)
    if isinstance(command, list):
        words = list(map(_text, command))
    else:
        try:
            words = [*exact(text)] or shlex.split(text)
        except ValueError:
            words = [text]
    if not words and command not in ([], ""):
        return None
    return Command(tuple(map(_filled, words)), place)


def _filled(word: str) -> str:
    """A word with the defaults of its variables, as Compose fills them in where nothing is set."""
    return "$".join(expand(part, {}, keep=True) for part in word.split("$$"))


def _health(settings: Any, place: Place) -> Health | None:
    if not isinstance(settings, dict):
        return None
    times: Raw = {}
    for key in _TIMES:
        text = _text(settings.get(key, ""))
        if key in settings and "$" not in text:
            times[key] = text
    if "retries" in times:
        times["retries"] = _number(times["retries"]) or 3
    test = settings.get("test")
    if isinstance(test, list):
        kind, *words = [*map(_text, test), ""][: len(test) or 1]
    else:
        kind, words = "CMD-SHELL", [_text(test)]
    if _text(settings.get("disable")) == "true" or kind == "NONE":
        return Health(None, {}, place)
    if not any(words):
        return Health(Command((), place), times, place)
    shell = ("/bin/sh", "-c") if kind == "CMD-SHELL" else ()
    return Health(Command(tuple(map(_filled, words)), place, shell), times, place)


def _ports(ports: Sequence[Any]) -> tuple[list[tuple[int | None, int]], list[str]]:
    """The ports of the host and the container, and what is published besides the first."""
    read: list[tuple[int | None, int]] = []
    others: list[str] = []
    for item in ports:
        if isinstance(item, dict):
            host, target = _text(item.get("published")), _text(item.get("target"))
        else:
            *addresses, target = expand(_text(item), {}).partition("/")[0].split(":")
            host = addresses[-1] if addresses else ""
        number, published = _number(expand(target, {})), _number(expand(host, {}))
        if not number:
            others.append(f"the ports {target or _text(item)}")
            continue
        if read and published:
            others.append(f"port {published} of the host")
        read.append((published or None, number))
    return read, others


def _volumes(
    volumes: Sequence[Any], folder: str, top: str, repository: Repository
) -> tuple[dict[str, str], list[str]]:
    """Named volumes with their paths, and what else is mounted. A folder beside the compose file that
    the repository lacks is for what containers write: a volume, called after its path from `top`.
    """
    named: dict[str, str] = {}
    others: list[str] = []
    for item in volumes:
        if isinstance(item, dict):
            source, target = _text(item.get("source")), _text(item.get("target"))
        else:
            source, _, rest = _text(item).partition(":")
            target = rest.partition(":")[0]
        if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", source) and target.startswith("/"):
            named[source] = target
        elif re.fullmatch(r"\./[\w/-]+", source) and not repository.has(joined(folder, source)):
            path = posixpath.relpath(joined(folder, source), top or ".")
            name = re.sub(r"\W+", "-", path).strip("-")
            named[name] = target
            others.append(f"{source} (the volume {name} is in its place, empty at first)")
        else:
            others.append(source or target)
    return named, others


def _mapping(entries: Any, passed: bool = False) -> dict[str, str]:
    """A mapping, or a list of NAME=VALUE; of a name alone, the shell's value where it is passed on."""
    values: dict[str, str | None] = {}
    if isinstance(entries, dict):
        for name, value in entries.items():
            values[name] = None if value is None else _text(value)
    else:
        for item in _listed(entries):
            name, equals, text = _text(item).partition("=")
            values[name] = text if equals else None
    mapping: dict[str, str] = {}
    for name, value in values.items():
        if value is not None:
            mapping[name] = value
        elif passed:
            mapping[name] = f"${{{name}}}"
    return mapping


def _number(value: Any) -> int:
    number = whole_number(_text(value).partition("/")[0])
    return number if number < 65536 else 0


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _raw(value: Any) -> Raw:
    """A mapping; empty for all else."""
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """A scalar as it is written; "" for all else."""
    if isinstance(value, Word):
        return value.text
    return str(value) if isinstance(value, str | int) else ""
