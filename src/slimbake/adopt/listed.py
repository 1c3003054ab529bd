"""Several requirements files, and packages that are named beside them, as one. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slimbake.adopt.code import Unreadable
from slimbake.adopt.model import Note, Place
from slimbake.config.specs import name_of

# Where packages come from, and what holds of every lock of slimbake's anyway.
_INDEXES = frozenset({"-i", "--index-url", "--extra-index-url", "-f", "--find-links"})
_GRANTED = frozenset({"--trusted-host", "--no-index", "--prefer-binary", "--only-binary", "--pre"})


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a requirements file: an option with its value, or a requirement with none."""

    place: Place
    option: str
    value: str


def one_file(files: Iterable[str], specs: Sequence[str], texts: Mapping[str, str]) -> str:
    """The file that says all: it includes the others, and names every package of `specs`, none of
    which asks for a version. "" where there is none.
    """
    for file in files:
        lines = list(lines_of(file, texts))
        said = {file, *(line.place.file for line in lines)}
        names = {name_of(line.value) for line in lines if not line.option}
        bare = all(re.fullmatch(r"[\w.-]+", spec) and name_of(spec) in names for spec in specs)
        if bare and said.issuperset(files):
            return file
    return ""


def listed(file: str, texts: Mapping[str, str], service: str) -> tuple[list[str], list[Note]]:
    """What a file requires, as items of a list, and notes on the indexes that it names.

    Raises Unreadable where it has options that no list can hold.
    """
    found, notes = [], []
    for line in lines_of(file, texts):
        if line.option in {"", "-e", "--editable"}:
            path = re.match(r"\.{1,2}(?:/|\[|$)", line.value)
            inside = posixpath.normpath(
                posixpath.join(posixpath.dirname(line.place.file), line.value)
            )
            found.append(f"./{inside}" if path and inside != "." else line.value)
        elif line.option in _INDEXES:
            if "/whl/" not in line.value:  # torch's, which is the base's `torch`
                notes.append(index_note(line.place, line.value, service))
        elif line.option not in _GRANTED:
            raise Unreadable(
                Note(
                    line.place,
                    f"`{line.option} {line.value}`, in one of several requirements files",
                    "write one requirements file with `-r` lines for all, and name it; until then"
                    " the service keeps its Dockerfile",
                )
            )
    return found, notes


def index_note(place: Place, address: str, service: str) -> Note:
    """The note on an index of packages."""
    return Note(
        place,
        f"the index {address}",
        "indexes are settings of the machine: set UV_INDEX_URL or pip.conf there",
        service,
    )


def lines_of(file: str, texts: Mapping[str, str]) -> Iterator[Line]:
    """The lines of a file and of those that it includes with `-r`, each file once."""
    waiting, seen = [file], set()
    while waiting:
        at = waiting.pop(0)
        if at in seen:
            continue
        seen.add(at)
        whole = texts.get(at, "").replace("\r\n", "\n")
        for logical in re.finditer(r"(?:[^\n]*\\\n)*[^\n]+", whole):
            text = re.sub(r"(?:^|\s)#.*$", "", logical[0].replace("\\\n", " ")).strip()
            words = re.match(r"(--?[a-z-]+)[\s=]*(.*)", text)
            option, value = words.groups() if words else ("", text)
            if " --hash" in value:
                option, value = "--hash", value
            if option in {"-r", "--requirement"}:
                waiting.append(posixpath.normpath(posixpath.join(posixpath.dirname(at), value)))
            elif text:
                number = whole.count("\n", 0, logical.start()) + 1
                yield Line(Place(at, number), option, value)
