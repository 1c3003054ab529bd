"""What requirements files say, as far as a Dockerfile's steps ask for it. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slimbake.adopt.model import Note, Place
from slimbake.config.specs import name_of

# Files by which pip and uv are set, with their indexes and passwords.
OF_INSTALLERS = re.compile(r"/(?:pip\.conf|\.netrc|uv\.toml)$")
OF_MACHINE = (
    "slimbake installs with the settings of its machine, such as pip.conf, ~/.netrc and keys of SSH"
    " (docs/how-to/private-index.md)"
)


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


def index_note(place: Place, address: str, service: str) -> Note:
    """The note on an index of packages, without a user and a password."""
    shown = re.sub(r"(://)[^/@]+@", r"\1", address)
    return Note(
        place,
        f"the index {shown}",
        "indexes are settings of the machine: set UV_INDEX_URL or pip.conf there",
        service,
    )


def required_by(text: str) -> dict[str, frozenset[str]]:
    """Of a list that pip-compile or uv has written: each package that only others in it require, and
    which these are, by its `# via` comments. Empty for any other file.
    """
    found: dict[str, set[str]] = {}
    name, listing = "", False
    for line in text.splitlines():
        words = line.strip()
        if words and not words.startswith(("#", "-")):
            name, listing = name_of(words), False
            found[name] = set()
        elif (
            name and line.startswith(" ") and (said := re.match(r"# via\b *(.*)|# +(\S.*)", words))
        ):
            listing = listing or said[1] is not None
            by = said[1] if said[1] is not None else said[2]
            if listing and by and not by.startswith("-c "):
                found[name].add(by)
    return {
        name: frozenset(map(name_of, by))
        for name, by in found.items()
        if by and all(re.fullmatch(r"[\w.-]+", each) and name_of(each) in found for each in by)
    }


_SOURCE = re.compile(r"-r +(\S+)|\(([^\s()]*pyproject\.toml)\)")
_WITH_EXTRAS = re.compile(r"(?<![\w.-])([A-Za-z0-9][\w.-]*) ?\[([\w., -]+)\]")


def extras_asked_for(file: str, texts: Mapping[str, str]) -> list[str]:
    """The packages of a list that pip-compile or uv has written with the extras that its sources ask
    for, where the list has them without: `psycopg[binary]`.
    """
    text = texts.get(file, "")
    comments = "\n".join(re.findall(r"#(.*)$", text, re.M))
    named = {each[1] or each[2] for each in _SOURCE.finditer(comments)}
    folder = posixpath.dirname(file)
    sources = {posixpath.normpath(posixpath.join(at, n)) for n in named for at in (folder, "")}
    known = set(map(name_of, re.findall(r"^[A-Za-z0-9].*", text, re.M)))
    found: dict[str, None] = {}
    for source in sorted(sources & {*texts}):
        lines = (line.value for line in lines_of(source, texts) if not line.option)
        for each in _WITH_EXTRAS.finditer("\n".join(lines)):
            if name_of(each[1]) in known:
                found[f"{each[1]}[{each[2]}]"] = None
    return list(found)


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
