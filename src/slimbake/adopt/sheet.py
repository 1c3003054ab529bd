"""What is written down of one service while its entry is drafted, and what all parts ask of it. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from slimbake.adopt.code import Code
from slimbake.adopt.model import (
    Candidate,
    Entry,
    ImageFacts,
    Note,
    Place,
    Repository,
    Said,
)

# Settings of what builds, or of what slimbake's images set themselves.
BUILD_ENV = re.compile(
    r"(?:PIP|POETRY|UV|PIPENV|PDM|CONDA|DEBIAN|APT|LANG|LC)_\w+|LANG|PATH|VIRTUAL_ENV|HOME"
    r"|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|PYTHON_VERSION|SHELL|GPG_KEY|VENV_PATH|PYSETUP_PATH"
)
_TESTS = re.compile(
    r"(?:^|/)(?:tests?/|test_[^/]*$|conftest\.py$|[^/]*_test\.py$|noxfile|setup\.py$)"
)
_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(slots=True)
class Sheet:
    """What is written down of a service. `needs_shell`: why its program cannot be known."""

    of: Candidate
    repository: Repository  # as far as its build is sent it
    whole: Repository
    needs_shell: Note | None = None
    notes: list[Note] = field(default_factory=list)
    entry: Entry = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # variables, with their values
    absent: list[str] = field(default_factory=list)  # variables of files that no image has
    changes: Said | None = None  # the user that its command changes to
    called: frozenset[str] = frozenset()  # what its shells call, programs among it
    in_scripts: set[str] = field(default_factory=set)  # the paths that scripts have a note for

    def note(self, place: Place, what: str, advice: str) -> None:
        self.notes.append(Note(place, what, advice, self.of.name))


def modules_of(sheet: Sheet, code: Code) -> Iterator[tuple[str, str]]:
    """The Python files of the context that are no tests."""
    for path, text in sorted(sheet.repository.texts.items()):
        inside = path.startswith(below(code.context)) and path.endswith(".py")
        if inside and not _TESTS.search(path):
            yield path, text


def folder_of(sheet: Sheet, facts: ImageFacts) -> str:
    """Where the command starts."""
    said = sheet.of.compose and sheet.of.compose.workdir
    return posixpath.join(facts.workdir, said.value) if said else facts.workdir


def on_path(sheet: Sheet, program: str, facts: ImageFacts, code: Code) -> str:
    """The file of the repository that is a program of the image; "" where it is from elsewhere."""
    said = facts.env.get("PATH")
    folders = (said.value.split(":") if said else []) + list(_PATH)
    found = (code.source(f"{folder}/{program}", sheet.repository) for folder in folders)
    return "" if "/" in program else next(filter(None, found), "")


def script_at(sheet: Sheet, path: str, facts: ImageFacts, code: Code) -> tuple[str, Place] | None:
    where = posixpath.normpath(posixpath.join(folder_of(sheet, facts), path))
    for each, document in facts.scripts.items():
        if each == where or posixpath.basename(each) == path:
            return document
    source = code.source(where, sheet.repository) or on_path(sheet, path, facts, code)
    if not source:
        inside = posixpath.relpath(where, code.root)
        guess = posixpath.normpath(posixpath.join(code.context, inside))
        source = guess if guess in sheet.repository.texts else ""
    found = sheet.repository.texts.get(source)
    return (found, Place(source, 1)) if found is not None else None


def variable_files(sheet: Sheet) -> tuple[str, ...]:
    """The variables that only its containers have."""
    compose = sheet.of.compose
    return (*compose.filled, *compose.passed) if compose else ()


def below(folder: str) -> str:
    return "" if folder in {".", ""} else f"{folder}/"
