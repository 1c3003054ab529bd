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

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from slimbake.adopt.fit import checked, with_python
from slimbake.adopt.init import in_folder
from slimbake.adopt.insertion import Entry, insert, write_text
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
    hides = package in sys.stdlib_module_names | _LEFT_OUT or keyword.iskeyword(package)
    if hides or required:
        package += "_service"
    return Skeleton(service, package, "fastapi" if {"fastapi", "uvicorn"} <= required else "stdlib")


def _required(manifest: Manifest, base: str | None) -> set[str]:
    """The normalised names of what a base and all that it extends require."""
    by_name = {base.name: base for base in manifest.bases}
    names: set[str] = set()
    while base in by_name:
        requirements = by_name[base].requirements
        names |= {name_of(spec) for spec in requirements.specs} | {
            package.name for package in requirements.packages
        }
        base = by_name[base].extends
    return names


FIRST_PORT, LAST_PORT = 8000, 65535


def add(
    manifest_file: Path, name: str, base: str | None, port: int | None, console: Console
) -> tuple[str, ...]:
    """Put a service at the end of the manifest; the lines that say what to do next.

    Its folder is laid where there is none. One that is there is taken as it is: its Dockerfile, its
    requirements and its program say what the entry is. Everything is checked before anything is
    written; all text that stood in the manifest stays as it was. Raises ManifestError where the
    manifest is wrong already, UsageError where this service cannot be added.
    """
    file = manifest_file.parent.resolve() / manifest_file.name
    old = manifest(file)
    text = yaml_text(file)
    if any(service.name == name for service in old.services):
        raise UsageError(
            f"services.{name} is in {file.name} already", "edit that entry, or choose another name"
        )
    folder = _folder(file.parent, old, name)
    new = skeleton(old, name, base)
    entry: Entry = {
        **({"base": base} if base else {}),
        "context": folder,
        "command": ["python", "-m", new.package],
        "port": _port(old) if port is None else port,
        "smoke": "smoke.py",
    }
    files = new.files(file.parent, entry["port"])
    target = file.parent / folder
    laid = _laid(target, files)  # by a run that was killed
    if not laid and (target.exists() or target.is_symlink()):
        return _found(file, text, name, folder, base, port, console)
    extended = insert(text, name, entry, file.name)
    # The folder is not there yet; all else that can be wrong shows with another in its place.
    elsewhere = {
        key: "." if key == "context" else value for key, value in entry.items() if key != "smoke"
    }
    _check(file, name, insert(text, name, elsewhere, file.name))
    if not laid:
        _lay(target, files)
    try:
        _check(file, name, extended)
        write_text(file, extended)
    except BaseException:
        shutil.rmtree(target)
        raise
    for path in (file.name, *(f"{folder}/{path}" for path in files)):
        console.say(f"wrote {path}")
    return (
        (
            f"services.{name}: {new.what}, port {entry['port']}, on"
            f" {f'base {base}' if base else 'the runtime'}"
        ),
        "next:",
        f"  slimbake bake {name}   builds it and runs its smoke",
        f"  {folder}/{new.package}/app.py   put your code here; /echo is an example",
        f"  {folder}/smoke.py   checks the image: change it when the routes change",
    )


def _laid(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder holds exactly these files: path in it -> text."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    there = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return {path.relative_to(folder).as_posix() for path in there} == files.keys() and all(
        path.is_file()
        and content(folder, path.relative_to(folder))
        == files[path.relative_to(folder).as_posix()].encode()
        for path in there
    )


def _found(
    file: Path,
    text: str,
    name: str,
    folder: str,
    base: str | None,
    port: int | None,
    console: Console,
) -> tuple[str, ...]:
    """Add the service that lies in a folder already."""
    if not (file.parent / folder).is_dir():
        raise UsageError(f"{folder} is no folder", "move it away, or choose another name")
    draft = in_folder(file.parent, folder, name, port or 0)
    if draft is None:
        raise UsageError(
            f"{folder} exists already, and has no Dockerfile that says how the service starts",
            f"add one; or write the entry by hand, with `context: {folder}` and `command`",
        )
    (draft,) = with_python((draft,), manifest(file).python)
    entry = {**({"base": base} if base else {}), **draft.entry}
    extended = insert(text, name, entry, file.name)
    _check(file, name, extended)
    write_text(file, extended)
    console.say(f"wrote {file.name}")
    why = [f"{note.place}: {note.what}" for note in draft.why]
    return (
        f"services.{name}: {draft.outcome}, from {', '.join(map(str, draft.origin))}",
        *why,
        *(line for note in draft.notes for line in str(note).split("\n")),
        "next:",
        f"  slimbake bake {name}   builds and checks it",
    )


def _folder(root: Path, old: Manifest, name: str) -> str:
    """Where the new service's code is, or goes: beside the others', unless a folder of its name
    elsewhere, at most one below the root, says how it starts.
    """
    parents = Counter(
        str(PurePosixPath(s.context).parent) for s in old.services if s.context != "."
    )
    parent = parents.most_common(1)[0][0] if parents else "services"
    usual = str(PurePosixPath(parent, name))
    if (root / usual).exists():
        return usual
    there = (path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.is_dir())
    folders = (path.relative_to(root).as_posix() for path in there)
    return next((folder for folder in folders if in_folder(root, folder, name, 0)), usual)


def _port(old: Manifest) -> int:
    used = {service.port for service in old.services if service.port}
    following = max(used, default=FIRST_PORT - 1) + 1
    return (
        following
        if following <= LAST_PORT
        else next(p for p in range(FIRST_PORT, LAST_PORT) if p not in used)
    )


def _check(file: Path, name: str, text: str) -> None:
    """Read the manifest as it would be; what is wrong with it can only be the new entry."""
    problems = checked(file, text)
    if isinstance(problems, tuple):
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
