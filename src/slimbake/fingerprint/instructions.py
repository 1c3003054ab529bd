"""The instructions of a Dockerfile, each with the lines that it stands on. Pure.

No library does: dockerfile-parse knows no here-documents, tree-sitter-dockerfile neither CRLF nor
`# escape=` nor `ENV name value`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*")
_FLAG = re.compile(r"\s*--([a-z.-]+)(?:=(\S+))?(?=\s|$)")
_HEREDOC = re.compile(r"(?<!<)<<(-?)([\"']?)([A-Za-z_][\w.]*)\2(?!<)")
_WITH_HEREDOCS = re.compile(r"(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HereDocument:
    """A text inside an instruction."""

    name: str
    body: str
    line: int  # of the body's first line
    expands: bool  # whether variables in it mean something


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction as one line, without comments; here-documents apart."""

    word: str  # upper case
    flags: tuple[tuple[str, str], ...]  # name -> value, as often as it stands there
    rest: str
    line: int
    documents: tuple[HereDocument, ...] = ()

    @property
    def source(self) -> str:
        """As it would be written on one line."""
        flags = "".join(f" --{name}{value and f'={value}'}" for name, value in self.flags)
        return f"{self.word}{flags} {' '.join(self.rest.split())}"


def directives(text: str) -> dict[str, tuple[str, str]]:
    """The parser directives at the top of a Dockerfile: name -> value, and the line itself."""
    by_name: dict[str, tuple[str, str]] = {}
    for line in _lines(text):
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match:
            break
        by_name[match[1].lower()] = (match[2], line.strip())
    return by_name


def instructions(text: str) -> Iterator[Instruction]:
    """What a Dockerfile says, in its order; with or without a byte order mark, LF or CRLF."""
    escape = directives(text).get("escape", ("\\", ""))[0]
    lines = enumerate(_lines(text), 1)
    whole: list[str] = []
    first = 0  # the line that the instruction begins on
    for number, line in lines:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        first = first or number
        if line.rstrip().endswith(escape):
            whole.append(line.rstrip()[: -len(escape)])
            continue
        whole.append(line)
        if not "".join(whole).strip():
            continue
        yield _instruction("".join(whole), first, lines)
        whole, first = [], 0
    if "".join(whole).strip():
        yield _instruction("".join(whole), first, lines)


def _lines(text: str) -> list[str]:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")


def _instruction(text: str, line: int, lines: Iterator[tuple[int, str]]) -> Instruction:
    begin = len(text) - len(text.lstrip())
    word = text.split(maxsplit=1)[0]
    flags, at = [], begin + len(word)
    while flag := _FLAG.match(text, at):
        flags.append((flag[1], flag[2] or ""))
        at = flag.end()
    at += len(text[at:]) - len(text[at:].lstrip())
    openings = _HEREDOC.findall(text) if _WITH_HEREDOCS.match(text.lstrip()) else []
    return Instruction(
        word=word.upper(),
        flags=tuple(flags),
        rest=text[at:].rstrip(),
        line=line,
        documents=tuple(
            _document(name, bool(strips), not quote, lines) for strips, quote, name in openings
        ),
    )


def _document(
    name: str, strips: bool, expands: bool, lines: Iterator[tuple[int, str]]
) -> HereDocument:
    body: list[str] = []
    first = 0
    for number, line in lines:
        first = first or number
        text = line.lstrip("\t") if strips else line
        if text == name:
            break
        body.append(text)
    return HereDocument(name, "".join(f"{line}\n" for line in body), first, expands)
