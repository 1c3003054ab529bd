"""A service in a folder without a Dockerfile: what its files say about it. Pure."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from slimbake.adopt.commands import port_of, served
from slimbake.adopt.model import Draft, Entry, Note, Place, Repository

_REQUIREMENTS = ("requirements.txt", "pyproject.toml", "Pipfile.lock", "pylock.toml")
_SCRIPTS = ("main.py", "app.py", "server.py", "run.py", "worker.py")
_LEFT_OUT = re.compile(r"(?:^|/)(?:tests?|docs?|examples?|scripts?)(?:/|$)")
# A server of the field, how it is called, and the object that it serves.
_SERVED = re.compile(
    r"^(\w+)(?::\s*\w+)?\s*=\s*(?:\w+\.)?(FastAPI|Starlette|Flask|Litestar)\(", re.M
)
_FIRST_PORT = 8000


def service_folders(repository: Repository) -> Iterator[str]:
    """Folders that have requirements, and something to start."""
    for folder in sorted(repository.folders):
        if _LEFT_OUT.search(folder):
            continue
        if any(_path(folder, name) in repository.files for name in _REQUIREMENTS):
            yield folder


def folder_draft(
    folder: str, repository: Repository, name: str = "", port: int = 0
) -> Draft | None:
    """The entry of the service in a folder; None where nothing says how it starts."""
    service = name or (repository.name if folder == "." else posixpath.basename(folder))
    service = re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-")
    found = _command(folder, repository)
    if found is None:
        return None
    words, place, listens = found
    entry: Entry = {"context": folder}
    procfile = _path(folder, "Procfile")
    notes = [
        Note(
            Place(procfile, number),
            line.strip(),
            "init reads no Procfile: each of its processes is a service, or a job, with its `command`",
            service,
        )
        for number, line in enumerate(repository.texts.get(procfile, "").split("\n"), 1)
        if re.match(r"[\w-]+:", line)
    ]
    written = next((each for each in _REQUIREMENTS if _path(folder, each) in repository.files), "")
    script = place.file.endswith("pyproject.toml")
    if script or (written == "pyproject.toml" and _only_in_src(folder, repository)):
        entry["requirements"] = [f"./{folder}" if folder != "." else "."]
    elif written:
        entry["requirements"] = written
    own = port_of(words)
    if listens and not own:
        own = port or _FIRST_PORT
        words = (*words, *listens, str(own)) if listens != ("",) else words
    entry["command"] = list(words)
    if own or port:
        entry["port"] = own or port
    comments = {"command": f"from {place}"}
    return Draft(
        name=service,
        origin=(place,),
        entry=entry,
        comments=comments,
        served=served(words, lambda module, at: _has(_path(folder, at), module, repository)),
        notes=tuple(notes),
    )


def _command(
    folder: str, repository: Repository
) -> tuple[tuple[str, ...], Place, tuple[str, ...]] | None:
    """How the service starts, what says so, and with which option it takes its port."""
    files = repository.below(folder)
    packages = [
        posixpath.dirname(each)
        for each in files
        if re.fullmatch(r"(?:src/)?\w+/__main__\.py", each) and not _LEFT_OUT.search(each)
    ]
    if packages:
        name = posixpath.basename(packages[0])
        file = _path(folder, f"{packages[0]}/__main__.py")
        return ("python", "-m", name), Place(file), ()
    text = repository.texts.get(_path(folder, "pyproject.toml"), "")
    scripts = _scripts(text)
    if len(scripts) == 1:
        found = re.search(rf"(?m)^\s*[\"']?{re.escape(scripts[0])}[\"']?\s*=", text)
        line = text[: found.end()].count("\n") + 1 if found else 0
        return (scripts[0],), Place(_path(folder, "pyproject.toml"), line), ()
    for each in files:
        depth = each.count("/")
        if depth <= 1 and each.endswith(".py") and not _LEFT_OUT.search(each):
            source = repository.texts.get(_path(folder, each), "")
            if found := _SERVED.search(source):
                module = each.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
                place = Place(_path(folder, each), source[: found.start()].count("\n") + 1)
                return _server(module, found[1], found[2], folder, repository), place, ("--port",)
    for name in _SCRIPTS:
        if name in files:
            return ("python", name), Place(_path(folder, name)), ()
    return None


def _server(
    module: str, name: str, kind: str, folder: str, repository: Repository
) -> tuple[str, ...]:
    if kind == "Flask" and not _requires("gunicorn", folder, repository):
        return ("flask", "--app", f"{module}:{name}", "run", "--host", "0.0.0.0")  # noqa: S104
    if kind == "Flask":
        return ("gunicorn", f"{module}:{name}", "--bind", f"0.0.0.0:{_FIRST_PORT}")
    return ("uvicorn", f"{module}:{name}", "--host", "0.0.0.0")  # noqa: S104 - in a container


def _requires(package: str, folder: str, repository: Repository) -> bool:
    return any(
        re.search(rf"(?m)^\W*{package}\b", repository.texts.get(_path(folder, name), ""))
        for name in _REQUIREMENTS
    )


def _only_in_src(folder: str, repository: Repository) -> bool:
    return any(each.startswith("src/") for each in repository.below(folder))


def _scripts(text: str) -> list[str]:
    try:
        project: Any = tomllib.loads(text).get("project")
    except tomllib.TOMLDecodeError:
        return []
    scripts = project.get("scripts") if isinstance(project, dict) else None
    return list(scripts) if isinstance(scripts, dict) else []


def _has(folder: str, module: str, repository: Repository) -> bool:
    path = module.replace(".", "/")
    return any(
        _path(folder, f"{prefix}{path}{end}") in repository.files
        for prefix in ("", "src/")
        for end in (".py", "/__init__.py")
    )


def _path(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))
