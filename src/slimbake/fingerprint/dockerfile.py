"""What the steps of a Dockerfile read: the build context, other contexts, images, what no digest
stands for. Pure.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

INSIDE = "inside"  # the context of what steps mount and no image holds

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*")
_FLAG = re.compile(r"\s*--([a-z.-]+)(?:=(\S+))?")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PINNED = re.compile(r"[^$]*@sha256:[0-9a-f]{64}")
_REMOTE = re.compile(r"(?:https?://|git@|git://|ssh://|github\.com/)\S*")


@dataclass(frozen=True, slots=True)
class Reads:
    """What a Dockerfile reads beside the contexts that are linked to it."""

    context: bool  # the build context, wholly or in part
    inside: frozenset[str]  # files of the context `inside`; "" = all of it
    unknown: tuple[str, ...]  # what may change without any file here changing


def reads(text: str, links: Collection[str], arguments: Mapping[str, str]) -> Reads:
    """Read a Dockerfile. `links`: the names of its contexts; `arguments`: its build arguments."""
    reader = _Reader({link.lower() for link in links}, dict(arguments))
    escape = "\\"
    for line in text.splitlines():
        found = _DIRECTIVE.fullmatch(line.strip())
        if not found:
            break
        if found[1].lower() == "escape":
            escape = found[2]
        elif found[1].lower() == "syntax" and not _PINNED.fullmatch(found[2]):
            reader.unknown.append(f"`{line.strip()}` names no digest")
    for instruction in _instructions(text, escape):
        reader.take(instruction)
    return Reads(reader.context, frozenset(reader.inside), tuple(reader.unknown))


def _instructions(text: str, escape: str) -> Iterator[str]:
    """Instructions as one line each, without comments and without the bodies of here-documents."""
    lines = iter(text.splitlines())
    whole = ""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith(escape):
            whole += line.rstrip()[:-1] + " "
            continue
        whole += line
        yield whole.strip()
        for end in (
            _HEREDOC.findall(whole)
            if re.match(r"\s*(RUN|COPY|ADD)\b", whole, re.IGNORECASE)
            else ()
        ):
            for body in lines:
                if body.strip() == end:
                    break
        whole = ""
    if whole:
        yield whole.strip()


class _Reader:
    def __init__(self, links: set[str], arguments: dict[str, str]) -> None:
        self._known = {"scratch", *links}
        self._links = links
        self._given = arguments
        self._values: dict[str, str] = {}  # of arguments before the first FROM
        self._stages = 0
        self.context = False
        self.inside: set[str] = set()
        self.unknown: list[str] = []

    def take(self, instruction: str) -> None:
        word, _, rest = instruction.partition(" ")
        match word.upper():
            case "ARG" if not self._stages:
                name, _, default = rest.strip().partition("=")
                self._values[name] = self._given.get(name, default.strip("\"'"))
            case "FROM":
                self._from(instruction, rest)
            case "COPY" | "ADD":
                self._copy(instruction, rest)
            case "RUN":
                for flag, value in _flags(rest)[0]:
                    if flag == "mount":
                        self._mount(instruction, value)
            case "ONBUILD":
                self.context = True  # whatever it does, it does it in what stands on this one

    def _from(self, instruction: str, rest: str) -> None:
        words = _flags(rest)[1].split()
        image = _VARIABLE.sub(
            lambda found: self._values.get(found[1] or found[2], found[0]),
            words[0] if words else "",
        )
        self._refer(image, instruction)
        self._stages += 1
        if len(words) > 2:  # FROM image AS name
            self._known.add(words[2].lower())

    def _copy(self, instruction: str, rest: str) -> None:
        flags, sources = _flags(rest)
        given = dict(flags)
        if source := given.get("from"):
            self._refer(source, instruction)
            return
        self.context = True
        if instruction[:3].upper() == "ADD" and _REMOTE.search(sources) and "checksum" not in given:
            self.unknown.append(f"`{instruction}` reads an address, and names no checksum")

    def _mount(self, instruction: str, value: str) -> None:
        said = _said(value)
        source = said.get("from")
        if '"' in value:
            self.unknown.append(f"`{_short(instruction)}` quotes a mount")
        elif source and source.lower() == INSIDE and INSIDE in self._links:
            path = _VARIABLE.sub(
                lambda found: self._given.get(found[1] or found[2], found[0]),
                said.get("source") or said.get("src") or "",
            )
            self.inside.add("" if "$" in path else path.strip("/.") and path.removeprefix("/"))
        elif source:
            self._refer(source, instruction)
        elif said.get("type", "bind") == "bind":
            self.context = True

    def _refer(self, name: str, instruction: str) -> None:
        """Note what a stage, a context or an image is read for."""
        if name.lower() == INSIDE and INSIDE in self._links:
            self.inside.add("")
        elif name.lower() not in self._known and not name.isdigit() and not _PINNED.fullmatch(name):
            self.unknown.append(f"`{_short(instruction)}` names an image without its digest")


@functools.cache
def _said(mount: str) -> Mapping[str, str]:
    """The keys of a mount; the same mounts stand in every Dockerfile of a fleet."""
    return {
        key.lower(): text for key, _, text in (part.partition("=") for part in mount.split(","))
    }


def _flags(rest: str) -> tuple[list[tuple[str, str]], str]:
    """The flags before an instruction's own words, and these words."""
    found, at = [], 0
    while flag := _FLAG.match(rest, at):
        found.append((flag[1], flag[2] or ""))
        at = flag.end()
    return found, rest[at:]


def _short(instruction: str) -> str:
    return instruction if len(instruction) < 80 else f"{instruction[:76]} ..."
