"""What the steps of a Dockerfile read: the build context, other contexts, images, what no digest
stands for. Pure.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slimbake.fingerprint.instructions import Instruction, directives, instructions

INSIDE = "inside"  # the context of what steps mount and no image holds

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PINNED = re.compile(r"[^$]*@sha256:[0-9a-f]{64}")
# One Git commit and where it goes, in the JSON form.
_COMMIT = re.compile(r'\[\s*"[^"$]+#[0-9a-f]{40}(?::[^"$]*)?"\s*,\s*"[^"$]+"\s*\]')
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
    syntax, line = directives(text).get("syntax", ("", ""))
    if syntax and not _PINNED.fullmatch(syntax):
        reader.unknown.append(f"`{line}` names no digest")
    for instruction in instructions(text):
        reader.take(instruction)
    return Reads(reader.context, frozenset(reader.inside), tuple(reader.unknown))


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

    def take(self, instruction: Instruction) -> None:
        match instruction.word:
            case "ARG" if not self._stages:
                name, _, default = instruction.rest.partition("=")
                self._values[name] = self._given.get(name, default.strip("\"'"))
            case "FROM":
                self._from(instruction)
            case "COPY" | "ADD":
                self._copy(instruction)
            case "RUN":
                for flag, value in instruction.flags:
                    if flag == "mount":
                        self._mount(instruction.source, value)
            case "ONBUILD":
                self.context = True  # it acts in images that start from this one

    def _from(self, instruction: Instruction) -> None:
        arguments = instruction.rest.split()
        image = arguments[0] if arguments else ""
        self._refer(_expanded(image, self._values), instruction.source)
        self._stages += 1
        if len(arguments) > 2:  # FROM image AS name
            self._known.add(arguments[2].lower())

    def _copy(self, instruction: Instruction) -> None:
        given = dict(instruction.flags)
        if source := given.get("from"):
            self._refer(source, instruction.source)
            return
        if instruction.word == "ADD" and _COMMIT.fullmatch(instruction.rest.strip()):
            return  # a commit says what its files are
        self.context = True
        remote = instruction.word == "ADD" and _REMOTE.search(instruction.rest)
        if remote and "checksum" not in given:
            self.unknown.append(f"`{instruction.source}` reads an address, and names no checksum")

    def _mount(self, instruction: str, value: str) -> None:
        options = _options(value)
        source = options.get("from")
        if '"' in value:
            self.unknown.append(f"`{instruction}` quotes a mount")
        elif source and source.lower() == INSIDE and INSIDE in self._links:
            path = _expanded(options.get("source") or options.get("src") or "", self._given)
            if "$" in path or not path.strip("/."):
                path = ""  # all of it
            self.inside.add(path.removeprefix("/"))
        elif source:
            self._refer(source, instruction)
        elif options.get("type", "bind") == "bind":
            self.context = True

    def _refer(self, name: str, instruction: str) -> None:
        """Note what a stage, a context or an image is read for."""
        if name.lower() == INSIDE and INSIDE in self._links:
            self.inside.add("")
        elif name.lower() not in self._known and not name.isdigit() and not _PINNED.fullmatch(name):
            self.unknown.append(f"`{instruction}` names an image without its digest")


@functools.cache
def _options(mount: str) -> Mapping[str, str]:
    """The keys of a mount; the same mounts stand in every Dockerfile of a fleet."""
    options = {}
    for part in mount.split(","):
        key, _, text = part.partition("=")
        options[key.lower()] = text
    return options


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """A text with the values of its variables; those that are not known stay as they are written."""
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), text)
