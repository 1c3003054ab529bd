"""Just enough of a shell's language to see simple commands, and to know what is more than one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

LITERAL = "\0"  # stands for a `$` that a shell leaves alone

_OPERATOR = re.compile(r"&&|\|\||;;|;|\|&|\||&|\n|\(|\)")
# To or from another stream (`2>&1`, `>&-`), or with a word behind it.
_STREAM = re.compile(r"\d*[<>]&(?:\d+-?|-)")
_REDIRECTION = re.compile(r"&>>?|\d*(?:>>|>\||>&|<<<|<<-?|<&|<>|>|<)")
_DOCUMENTS = ("<<", "<<-")
_WORD = re.compile(r"[^\s'\"\\|&;()<>`$]+")
_VARIABLE = re.compile(
    r"\$(?:(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-+?])(?P<other>[^{}]*))?\})"
)
_POSITIONAL = re.compile(r"\$(?:[1-9#]|\{[1-9#][^{}]*\})")  # a script's arguments
_NESTED = 5  # `${A:-${B:-c}}`: the innermost come first
_KEYWORDS = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "select",
        "function",
        "{",
        "}",
        "!",
        "[",
        "[[",
    ]
)
BLOCKS = frozenset({"for", "while", "until", "case"})  # each has an end of its own
# What a shell does itself.
_BUILTINS = frozenset(
    [
        "cd",
        "set",
        "export",
        "source",
        ".",
        "eval",
        "trap",
        "ulimit",
        "umask",
        "unset",
        "shift",
        "read",
        "local",
        "return",
        "wait",
        ":",
        "test",
        "type",
        "command",
        "builtin",
        "kill",
        "jobs",
        "fg",
        "alias",
        "hash",
    ]
)

# Of Debian's essential packages, which images such as python:slim have.
_ESSENTIAL = {
    "diffutils": "cmp diff",
    "findutils": "find xargs",
    "grep": "egrep fgrep grep",
    "gzip": "gunzip gzip zcat",
    "hostname": "hostname",
    "libc-bin": "getent",
    "mawk": "awk mawk",
    "sed": "sed",
    "tar": "tar",
    "util-linux": "flock getopt setpriv setsid",
}
_CALLED = re.compile(  # where a command begins
    r"(?m)(?:^|[|;&(`!]|\b(?:if|elif|then|else|do|while|until|exec)\b)[ \t]*"
    r"(?=([a-z][\w-]*)(?:[\s)`;]|$))"
)
_ENDS = frozenset({"exit", "return", "break", "continue"})
_PIPES = ("|", "|&")


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One command between operators. Variables stand in its words as they are written."""

    words: tuple[str, ...]
    offset: int
    before: str  # the operator that it follows; "" for the first
    plain: bool  # whether it is nothing but words: no redirection, substitution, pattern, keyword
    assignments: tuple[tuple[str, str], ...] = ()
    into: tuple[str, ...] = ()  # the files that it writes its output to
    split: frozenset[str] = frozenset()  # words with a variable outside of quotes
    after: str = ""  # the operator behind it
    program: int = 0  # where its first word stands, which `offset` is without assignments


def simple_commands(text: str) -> list[SimpleCommand]:
    """The simple commands of a shell's text, in their order."""
    return list(_Reader(text).commands())


def expand(text: str, values: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """A text with its variables filled in, and the names of those that have no value."""
    missing: dict[str, None] = {}

    def value(found: re.Match[str]) -> str:
        name = found["bare"] or found["name"]
        how, other = found["how"] or "", found["other"] or ""
        known = values.get(name)
        is_set = known is not None and (bool(known) or not how.startswith(":"))
        if how.endswith("+"):
            return other if is_set else ""
        if is_set and known is not None:
            return known
        if how.endswith("-"):
            inner, lost = expand(other, values)
            missing.update(dict.fromkeys(lost))
            return inner
        missing[name] = None
        return found[0] if how.endswith("?") else ""

    done = text
    for _ in range(_NESTED):
        before, done = done, _VARIABLE.sub(value, done)
        if done == before:
            break
    return done, tuple(missing)


def only_words(text: str) -> tuple[str, ...]:
    """The words of a text that is one program with its arguments, in which a shell does nothing but
    to start it; () for any other.
    """
    commands = simple_commands(text)
    if len(commands) != 1 or not starts_program(commands[0].words):
        return ()
    words = commands[0].words[commands[0].words[:1] == ("exec",) :]
    bare = commands[0].plain and not commands[0].assignments
    if not bare or "".join(words[:1]).startswith("-") or any("$" in word for word in words):
        return ()
    return tuple(word.replace(LITERAL, "$") for word in words)


def with_exec(text: str) -> str:
    """The same text, whose last command takes the shell's place, where that is a program: signals to
    the container are its own then. Texts with a trap, a function or a here-document stay as they
    are.
    """
    commands = simple_commands(text)
    apart = "<<" in text or any(
        each.words[:1] in (("trap",), ("function",)) or (each.words and each.after == "(")
        for each in commands
    )
    if apart or not commands or not starts_program(commands[-1].words):
        return text
    last = commands[-1]
    within = last.before in _PIPES or last.after in {*_PIPES, "&", ")"}
    if within or last.words[0] == "exec":
        return text
    return f"{text[: last.program]}exec {text[last.program :]}"


def called(text: str) -> frozenset[str]:
    """The words of a script that stand where a command begins, programs among them."""
    return frozenset(found[1] for found in _CALLED.finditer(text))


def essential(programs: Iterable[str]) -> tuple[str, ...]:
    """The packages of those programs that every Debian has, beyond `sh` and coreutils."""
    wanted = {*programs}
    return tuple(package for package, names in _ESSENTIAL.items() if wanted & {*names.split()})


def starts_program(words: tuple[str, ...]) -> bool:
    """Whether a command is no part of the shell."""
    return bool(words) and words[0] not in _KEYWORDS | _BUILTINS | _ENDS


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._split: set[str] = set()
        self._documents: list[tuple[str, str]] = []  # here-documents that begin in this line

    def commands(self) -> Iterator[SimpleCommand]:
        before = ""
        while self._at < len(self._text):
            command, operator = self._command(before)
            if command.words or command.assignments:
                yield command
            before = operator

    def _command(self, before: str) -> tuple[SimpleCommand, str]:
        text, words, plain = self._text, [], True
        into: list[str] = []
        redirected = ""
        starts: list[int] = []  # of each word
        offset: int | None = None
        operator = ""
        self._split.clear()
        while self._at < len(text):
            if text.startswith("\\\n", self._at):
                self._at += 2
            elif text[self._at].isspace() and text[self._at] != "\n":
                self._at += 1
            elif text[self._at] == "#":
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif found := _STREAM.match(text, self._at):
                plain = False
                self._at = found.end()
            elif found := _REDIRECTION.match(text, self._at):
                plain, redirected = False, found[0]
                self._at = found.end()
            elif found := _OPERATOR.match(text, self._at):
                self._at = found.end()
                operator = found[0]
                if operator == "\n":
                    self._skip_documents()
                break
            else:
                start = self._at
                offset = start if offset is None else offset
                word, simple = self._word()
                plain = plain and simple
                if redirected:
                    into += [word] if ">" in redirected else []
                    self._documents += [(redirected, word)] if redirected in _DOCUMENTS else []
                else:
                    words.append(word)
                    starts.append(start)
                redirected = ""
        assignments = []
        while words and (assigned := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", words[0], re.DOTALL)):
            assignments.append((assigned[1], assigned[2]))
            words.pop(0)
            starts.pop(0)
        plain = (
            plain and operator not in {"(", ")", "|", "|&", "&"} and before not in {"|", "|&", "&"}
        )
        if words and (words[0] in _KEYWORDS or words[0] in _BUILTINS):
            plain = False
        return (
            SimpleCommand(
                tuple(words),
                offset or 0,
                before,
                plain,
                tuple(assignments),
                tuple(into),
                frozenset(self._split.intersection(words)),
                operator,
                starts[0] if starts else 0,
            ),
            operator,
        )

    def _skip_documents(self) -> None:
        """Go behind the here-documents whose first line comes next: they are no commands."""
        for redirection, end in self._documents:
            line = None
            while line != end and self._at < len(self._text):
                stop = self._text.find("\n", self._at) + 1 or len(self._text)
                line = self._text[self._at : stop].removesuffix("\n")
                line = line.lstrip("\t") if redirection == "<<-" else line
                self._at = stop
        self._documents.clear()

    def _word(self) -> tuple[str, bool]:
        """One word without its quotes, and whether a shell would leave it one word as it is."""
        text, made, simple, split = self._text, "", True, False
        while self._at < len(text):
            char = text[self._at]
            if found := _WORD.match(text, self._at):
                made += found[0]
                simple = simple and not re.search(r"[*?\[~]|\{.*,.*\}", found[0])
                self._at = found.end()
            elif char == "\\":
                following = text[self._at + 1 : self._at + 2]
                made += "" if following == "\n" else following.replace("$", LITERAL)
                self._at += 2
            elif char == "'":
                end = text.find("'", self._at + 1)
                end = len(text) if end < 0 else end
                made += text[self._at + 1 : end].replace("$", LITERAL)
                self._at = end + 1
            elif char == '"':
                inner, plain = self._quoted()
                made, simple = made + inner, simple and plain
            elif found := _VARIABLE.match(text, self._at) or _POSITIONAL.match(text, self._at):
                made, split = made + found[0], True
                self._at = found.end()
            elif char == "$" or char == "`":
                made += char
                simple = False
                self._at += 1
            elif char == "(" and made.endswith("$"):
                made += self._balanced()
            else:
                break
        if split:
            self._split.add(made)
        return made, simple

    def _quoted(self) -> tuple[str, bool]:
        text, made, plain = self._text, "", True
        self._at += 1
        while self._at < len(text) and text[self._at] != '"':
            char = text[self._at]
            if char == "\\" and text[self._at + 1 : self._at + 2] in set('"\\$`\n'):
                following = text[self._at + 1]
                made += "" if following == "\n" else following.replace("$", LITERAL)
                self._at += 2
                continue
            plain = plain and char != "`" and not text.startswith("$(", self._at)
            made += char
            self._at += 1
        self._at += 1
        return made, plain

    def _balanced(self) -> str:
        depth, start = 0, self._at
        while self._at < len(self._text):
            depth += {"(": 1, ")": -1}.get(self._text[self._at], 0)
            self._at += 1
            if not depth:
                break
        return self._text[start : self._at]
