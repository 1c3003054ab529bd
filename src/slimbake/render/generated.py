"""Generated files on disk: reads the templates, compares what is there with what should be, and
fixes it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from slimbake.config import MANIFEST_SCHEMA
from slimbake.config.naming import DOCKERFILES, PROGRAMS, SCHEMA
from slimbake.errors import UsageError
from slimbake.host.files import LARGEST, content, is_half, staged
from slimbake.host.limits import limited
from slimbake.inside import packed, zipapp
from slimbake.plan.model import CHECKS, Plan
from slimbake.render import BAKE_FILE, MARK, Generated, render
from slimbake.render.workflow import PIPELINES, with_pins

_INSTALLED = Path(__file__).parents[1] / "_data"
# The folder with slimbake's own `templates/`, `docker-bake.hcl.j2` and `libs/slimbake-export`: in the
# package once it is installed, else the checkout.
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Drift:
    """How the files on disk differ from what the manifest says."""

    write: tuple[Generated, ...]  # missing or different, by path
    remove: tuple[str, ...]  # ours, and no longer generated
    files: int = field(default=0, compare=False)  # that the manifest says

    def __bool__(self) -> bool:
        return bool(self.write or self.remove)


@dataclass(frozen=True, slots=True)
class Updated:
    """How many files the manifest says, how many of them were not as it says, and which files were
    obsolete.
    """

    files: int
    written: int
    removed: tuple[str, ...]  # paths


class TemplateFault(UsageError):
    """A template is wrong, or names something that it is not given."""


def laid_out(plan: Plan, root: Path) -> Iterator[Generated]:
    """Render a plan with the templates that hold in `root`: its own file by file, else those
    shipped. In no order that means anything.

    Raises TemplateFault, and UsageError where a service's own Dockerfile still says that slimbake
    generates it.
    """
    for target in plan.targets:
        if target.recipe is None and _is_ours(_content(root, target.dockerfile)):
            raise UsageError(
                f"{target.dockerfile}, the own Dockerfile of {target.name}, says '{MARK}': it would"
                " be removed as such",
                "it is yours now: remove its first line",
            )
    texts = _templates(root)
    with _faults(texts):
        files: Iterable[Generated] = render(plan, texts, _programs(plan), own_checkout(root))
        if own_templates(root):
            with limited():
                files = list(files)
            for file in files:
                if len(file.content) > LARGEST:
                    raise TemplateFault(
                        f"{file.path} would have {len(file.content):,} bytes",
                        "its template makes too much of it",
                    )
        for file in files:
            if file.path in PIPELINES:
                old = _content(root, file.path).decode("utf-8", "replace")
                file = Generated.of(file.path, with_pins(file.text, old))
            yield file
    yield schema()


@contextlib.contextmanager
def _faults(texts: Mapping[str, str]) -> Iterator[None]:
    """Raise what templates raise as TemplateFault."""
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFault(f"{error.name}:{error.lineno}: {error.message}") from None
    except Exception as error:  # any: a template is a program of its user
        place = _place(error, texts)
        if not place:
            raise
        message = str(error) or type(error).__name__
        if isinstance(error, jinja2.TemplateNotFound):
            message = f"there is no template '{error}'"
        hint = "templates are given `plan` and `target`"
        raise TemplateFault(f"{place}: {message}", hint) from None


def schema() -> Generated:
    """The manifest's schema, which editors read where the manifest's first line names it."""
    text = MANIFEST_SCHEMA.read_text("utf-8").removeprefix("{\n")
    first = f'{{ "$comment": "{MARK}: the keys of services.yaml, for editors.",\n'
    return Generated.of(SCHEMA, f"{first}{text}")


def _place(error: Exception, templates: Mapping[str, str]) -> str:
    """The template and the line in which an error arose; "" if in none. Of one that cannot be
    compiled, the template.
    """
    import traceback

    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename in templates:
            place = f"{frame.f_code.co_filename}:{line}"
        elif not place and frame.f_code is jinja2.Environment.compile.__code__:
            place = str(frame.f_locals["name"])
    return place


def drift(files: Iterable[Generated], root: Path) -> Drift:
    """Compare. Raises UsageError where a file that is not slimbake's lies in the place of a
    generated one.
    """
    paths: set[str] = set()
    write = sorted(_differing(files, root, paths), key=lambda file: file.path)
    return Drift(tuple(write), tuple(_obsolete(root, paths)), len(paths))


def update(files: Iterable[Generated], root: Path) -> Updated:
    """Write what differs and remove what is no longer generated: all of it, or after an error
    nothing. Raises as `drift`, and what `files` raises.
    """
    paths: set[str] = set()
    written = 0
    with staged() as write:
        for file in _differing(files, root, paths):
            write(f"{root}/{file.path}", (file.content,))
            written += 1
    remove = tuple(_obsolete(root, paths))
    for path in remove:
        (root / path).unlink(missing_ok=True)
    return Updated(len(paths), written, remove)


def _differing(files: Iterable[Generated], root: Path, paths: set[str]) -> Iterator[Generated]:
    """Those that are not on disk as they are here; `paths` gets the path of each."""
    for file in files:
        paths.add(file.path)
        old = _content(root, file.path)
        if old == file.content:
            continue
        if old and not _is_ours(old):
            hint = "move it away"
            if file.path in PIPELINES:
                hint += ", or remove `ci:` from the manifest"
            if file.path.endswith("Dockerfile"):
                hint += ", or name it as the service's `dockerfile:`"
            raise UsageError(
                f"{file.path} is not slimbake's: its first line does not say '{MARK}'", hint
            )
        yield file


def _obsolete(root: Path, paths: Collection[str]) -> Iterator[str]:
    """Our files on disk that are none of these."""
    for path in (BAKE_FILE, *PIPELINES, *sorted(_present(root))):
        file = root / path
        if path in paths or not file.is_file() or file.is_symlink():
            continue
        if _is_ours(_content(root, path)):
            yield path


def _present(root: Path) -> Iterator[str]:
    """The files in folders of ours."""
    for folder in (DOCKERFILES, PROGRAMS):
        for top, _, names in os.walk(root / folder):
            relative = os.path.relpath(top, root)
            for name in names:
                if not is_half(name):  # another slimbake writes it
                    yield f"{relative}/{name}"


def _templates(root: Path) -> dict[str, str]:
    texts = {path.name: path.read_text("utf-8") for path in _template_files(SHIPPED)}
    for path in _template_files(root):
        if path.is_file():
            texts[path.name] = _own_template(root, path.relative_to(root))
    return texts


def _template_files(root: Path) -> tuple[Path, ...]:
    return (*(root / "templates").glob("*.j2"), root / "docker-bake.hcl.j2")


def own_templates(root: Path) -> frozenset[str]:
    """The names of shipped templates that a repository replaces with others of its own."""
    names = set()
    for shipped in _template_files(SHIPPED):
        path = shipped.relative_to(SHIPPED)
        own = root / path
        if own == shipped or not own.is_file():
            continue
        if content(root, path) != shipped.read_bytes():
            names.add(shipped.name)
    return frozenset(names)


def _own_template(root: Path, path: Path) -> str:
    try:
        return content(root, path).decode()
    except UnicodeDecodeError:
        raise TemplateFault(f"{path} is not UTF-8", "save it as UTF-8") from None


def own_checkout(root: Path) -> bool:
    """Whether this is slimbake's own repository, whose pipeline installs it from there."""
    # A TOML parser would cost more time than the whole workflow.
    match = re.search(
        rb"""^name\s*=\s*["']slimbake["']""", _content(root, "pyproject.toml"), re.MULTILINE
    )
    return match is not None


def _programs(plan: Plan) -> dict[str, bytes]:
    """The zipapps that the plan's steps mount, by file name."""
    programs = {"make.pyz": zipapp("make")}
    if any(target.kind in CHECKS for target in plan.targets):
        programs["check.pyz"] = zipapp("check")
    if any(target.recipe and target.recipe.export for target in plan.targets):
        programs["export.pyz"] = export_zipapp()
    return programs


def export_zipapp() -> bytes:
    """The package of libs/slimbake-export as a zipapp. slimbake reads its files, and imports none."""
    folder = SHIPPED / "libs/slimbake-export/src"
    members = [("__main__.py", b"from slimbake_export.__main__ import main\n\nmain()\n")]
    for path in folder.glob("slimbake_export/*.py"):
        members.append((path.relative_to(folder).as_posix(), path.read_bytes()))
    return packed("export", members)


def _content(root: Path, path: str) -> bytes:
    """Of a file; what is never ours where there is something else, b"" where there is nothing."""
    try:
        return content(root, path)
    except FileNotFoundError:
        return b""
    except (IsADirectoryError, NotADirectoryError):
        return b"\0"


def _is_ours(text: bytes) -> bool:
    return MARK.encode() in text.partition(b"\n")[0]
