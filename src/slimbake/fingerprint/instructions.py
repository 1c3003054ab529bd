"""The instructions of a Dockerfile, each with its line. Pure.

No library does: dockerfile-parse knows no here-documents, tree-sitter-dockerfile neither CRLF nor
`# escape=` nor `ENV name value`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*")
_FLAG = re.compile(r"\s*--([a-z.-]+)(?:=(\S+))?(?=\s|$)")
# As BuildKit has it: a here-document begins a word, so `$((1<<N))` and a text in quotes are none.
_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|\S)+""", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_WITH_HEREDOCS = re.compile(r"(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction as one line, without comments; here-documents apart."""

    word: str  # upper case
    flags: tuple[tuple[str, str], ...]  # name -> value, as often as it stands there
    rest: str
    line: int
    documents: tuple[str, ...] = ()  # the bodies of its here-documents

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
    documents = []
    if _WITH_HEREDOCS.match(text.lstrip()):
        for written in _WORD.findall(text):
            if opening := _HEREDOC.fullmatch(written):
                name = re.sub(r"[\"'\\]", "", opening[2])
                documents.append(_document(name, bool(opening[1]), lines))
    return Instruction(word.upper(), tuple(flags), text[at:].rstrip(), line, tuple(documents))


def _document(name: str, strips: bool, lines: Iterator[tuple[int, str]]) -> str:
    """The body of a here-document, up to the line with its name. `strips`: tabs at line starts."""
    body = ""
    for _, line in lines:
        text = line.lstrip("\t") if strips else line
        if text == name:
            break
        body += f"{text}\n"
    return body
