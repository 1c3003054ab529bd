"""`slimbake add`: one more service, from nothing to something that bakes: its entry, its folder,
its smoke.
"""

from __future__ import annotations

import keyword
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from slimbake.adopt.fit import problems_of
from slimbake.adopt.insertion import insert, write_text
from slimbake.config import manifest
from slimbake.config.files import yaml_text
from slimbake.config.model import Manifest
from slimbake.config.specs import name_of
from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.host.files import apart, content
from slimbake.host.limits import limited
from slimbake.render.generated import SHIPPED

# The files of a new service: a small app that works, and a smoke that fails when it does not.

FOLDER = "service-skeleton"
_KINDS = {"fastapi": "a FastAPI app", "stdlib": "an HTTP server of the standard library"}
# Folders of this name are not part of an image; a service's package must be.
_LEFT_OUT = frozenset({"tests"})


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Which files a new service gets."""

    service: str
    package: str  # the Python package with its code
    kind: str

    @property
    def what(self) -> str:
        return _KINDS[self.kind]

    def files(self, root: Path, port: object) -> dict[str, str]:
        """Path in the service's folder -> text; the repository's own templates win, file by file.
        Raises UsageError for one that is wrong.
        """
        values = {"name": self.service, "package": self.package, "port": port}
        environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        files = {}
        for path, text in sorted(self._templates(root).items()):
            try:
                with limited():
                    rendered = environment.from_string(text).render(values)
            except Exception as error:  # any: a template is a program of its user
                raise UsageError(
                    f"templates/{FOLDER}: {path}.j2: {str(error) or type(error).__name__}",
                    "templates of files are given `name`, `package` and `port`",
                ) from None
            files[path.replace("package/", f"{self.package}/", 1)] = rendered
        return dict(sorted(files.items()))

    def _templates(self, root: Path) -> dict[str, str]:
        texts = {}
        for top in (SHIPPED, root):
            for part in ("any", self.kind):
                folder = top / "templates" / FOLDER / part
                for path in sorted(folder.rglob("*.j2")):
                    name = path.relative_to(folder).as_posix().removesuffix(".j2")
                    texts[name] = content(top, path.relative_to(top)).decode()
        return texts


def skeleton(manifest: Manifest, service: str, base: str | None) -> Skeleton:
    """Choose the kind that needs nothing beyond the base, and a package name that hides no other
    module: a base brings modules of any name, which only its wheels say.
    """
    required = _required(manifest, base)
    package = service.replace("-", "_")
    is_taken = package in sys.stdlib_module_names or keyword.iskeyword(package)
    if required or is_taken or package in _LEFT_OUT:
        package += "_service"
    kind = "stdlib"
    if {"fastapi", "uvicorn"} <= required:
        kind = "fastapi"
    return Skeleton(service, package, kind)


def _required(manifest: Manifest, base: str | None) -> set[str]:
    """The normalised names of what a base and all that it extends require."""
    by_name = {base.name: base for base in manifest.bases}
    names: set[str] = set()
    while base in by_name:
        requirements = by_name[base].requirements
        names.update(map(name_of, requirements.specs))
        names.update(package.name for package in requirements.packages)
        base = by_name[base].extends
    return names


FIRST_PORT, LAST_PORT = 8000, 65535


def add(
    manifest_file: Path, name: str, base: str | None, port: int | None, console: Console
) -> tuple[str, ...]:
    """Put a service at the end of the manifest; the lines that say what to do next.

    Its folder lies beside those of the others. Everything is checked before anything is written; no
    other text of the manifest changes. Raises ManifestError where the manifest is wrong already,
    UsageError where this service cannot be added.
    """
    file = manifest_file.parent.resolve() / manifest_file.name
    old = manifest(file)
    text = yaml_text(file)
    if any(service.name == name for service in old.services):
        raise UsageError(
            f"services.{name} is in {file.name} already", "edit that entry, or choose another name"
        )
    folder = str(PurePosixPath(_parent(old), name))
    target = file.parent / folder
    new = skeleton(old, name, base)
    entry: dict[str, Any] = {"base": base} if base else {}
    entry["context"] = folder
    entry["command"] = ["python", "-m", new.package]
    entry["port"] = _port(old) if port is None else port
    entry["smoke"] = "smoke.py"
    files = new.files(file.parent, entry["port"])
    is_laid = _has_exactly(target, files)  # by a run that was killed
    if not is_laid and (target.exists() or target.is_symlink()):
        hint = f"`slimbake init --service {name}` reads its Dockerfile; or choose another name"
        raise UsageError(f"{folder} exists already", hint)
    extended = insert(text, name, entry, file.name)
    # Its folder is not there yet. All else that can be wrong shows with the manifest's own folder.
    elsewhere = {**entry, "context": "."}
    del elsewhere["smoke"]
    _check(file, name, insert(text, name, elsewhere, file.name))
    if not is_laid:
        _lay(target, files)
    try:
        _check(file, name, extended)
        write_text(file, extended)
    except BaseException:
        shutil.rmtree(target)
        raise
    for path in (file.name, *(f"{folder}/{path}" for path in files)):
        console.say(f"wrote {path}")
    below = f"base {base}" if base else "the runtime"
    return (
        f"services.{name}: {new.what}, port {entry['port']}, on {below}",
        "next:",
        f"  slimbake bake {name}   builds it and runs its smoke",
        f"  {folder}/{new.package}/app.py   put your code here; /echo is an example",
        f"  {folder}/smoke.py   checks the image: change it when the routes change",
    )


def _has_exactly(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder has these files and no others: path in it -> text."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            return False
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = content(folder, name)
    return found == {name: text.encode() for name, text in files.items()}


def _parent(old: Manifest) -> str:
    """The folder that has those of most services."""
    folders = [service.context for service in old.services if service.context != "."]
    parents = Counter(str(PurePosixPath(folder).parent) for folder in folders)
    [(parent, _)] = parents.most_common(1) or [("services", 0)]
    return parent


def _port(old: Manifest) -> int:
    """The port above the highest; else the first that is free."""
    used = {service.port for service in old.services if service.port}
    port = max(used, default=FIRST_PORT - 1) + 1
    if port > LAST_PORT:
        port = FIRST_PORT
        while port in used:
            port += 1
    return port


def _check(file: Path, name: str, text: str) -> None:
    """Read the manifest as it would be; what is wrong with it can only be the new entry."""
    problems = problems_of(file, text)
    if problems:
        message = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
        hint = "\n".join(problem.hint for problem in problems if problem.hint)
        raise UsageError(f"the service '{name}' cannot be added: {message}", hint)


def _lay(target: Path, files: Mapping[str, str]) -> None:
    """Make the folder whole or not at all: it is laid beside its place, and moves there in one
    step.
    """
    near = next(folder for folder in target.parents if folder.is_dir())
    with apart(near / "slimbake-add") as laid:
        for path, content in files.items():
            (laid / path).parent.mkdir(parents=True, exist_ok=True)
            (laid / path).write_text(content, "utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        laid.rename(target)
