"""What the text of a shell runs, as plain commands one after the other. Pure.

tree-sitter-bash reads it. What its tree has and is not handled here is refused, by name.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_VARIABLE = re.compile(
    r"\\\$|\$(?:(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-+?])(?P<other>[^{}]*))?\})"
)
_NESTED = 5  # `${A:-${B:-c}}`: the innermost come first
# To nowhere, or from one stream into another.
_NOWHERE = re.compile(r"(?:\d|&)?[<>]{1,2}\s*/dev/null|\d?[<>]&[\d-]")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ONLY_A_SHELL = re.compile(r"[$`;&|<>(){}*?\n\\~#!\[]")
_COMMENT = re.compile(r"`#[^`]*`")  # between words, which the parser takes for an error
_TEST = re.compile(r"\[|test\b")  # asks; what is behind `&&` may not run then
_SHELL = re.compile(r"(?:/bin/)?(?:ba|da)?sh -[elux]*c")
_LONGEST = 1024  # characters of a value: variables may double each other
_LARGEST = 16 * 1024  # of a text: its parser takes a second for some that are twice as long


class OnlyAShellError(Exception):
    """A text that is more than plain commands; it says what."""


class UnreadableError(OnlyAShellError):
    """A text that is none of a shell, or too much of one."""


Files = Callable[[str], bool | None]


def _unknown(_: str) -> bool | None:
    return None


@dataclass(slots=True)
class Step:
    """One command."""

    words: list[str]
    workdir: str
    values: Mapping[str, str]  # of variables that it sees
    unsure: str = ""  # why it may not run, or not by itself
    text: str = ""  # of it, in the RUN's; "" where that has it in quotes


def expand(text: str, values: Mapping[str, str], keep: bool = False) -> str:
    """A text with its variables filled in; those without a value are empty, or stay with `keep`.
    What is enormous stays, too.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == r"\$":
            return found[0] if keep else "$"
        current = values.get(found["bare"] or found["name"])
        if len(current or "") > _LONGEST:
            return found[0]
        how, other = found["how"] or "", found["other"] or ""
        is_set = bool(current) if how.startswith(":") else current is not None
        if how.endswith("+"):
            return other if is_set else ""
        if how.endswith("-") and not is_set:
            return other
        if current is not None or not keep:
            return current or ""
        return found[0]

    for _ in range(_NESTED):
        before, text = text, _VARIABLE.sub(value, text)
        if text == before or "${" not in text:
            break
    return text


def whole_number(text: str) -> int:
    """The number that a text is; 0 where it is none, or has more than five digits: others may write
    thousands, which Python refuses to read.
    """
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0


def plain_words(text: str) -> tuple[str, ...]:
    """The words of one command that needs no shell; () for another."""
    bare = text.strip().removeprefix("exec ")
    if _ONLY_A_SHELL.search(bare) or _ASSIGNMENT.match(bare):
        return ()
    try:
        command = tuple(shlex.split(bare))
    except ValueError:
        return ()
    if command and command[0] in ("cd", "export", "set", "source", "."):
        return ()
    return command


def steps(text: str, workdir: str, values: Mapping[str, str], has: Files = _unknown) -> list[Step]:
    """The commands of a RUN. `has`: whether it finds a file; None where that is not known.

    Raises OnlyAShellError for what is more than a list of commands.
    """
    text = _NOWHERE.sub(" ", without_comments(text))
    if len(text) > _LARGEST or "\0" in text:
        raise UnreadableError("init does not read a text of this size, or with zero bytes")
    # The parser ends the process at letters of far off (tree-sitter-bash, issue 337): it sees an "x".
    root = _parser().parse(re.sub(r"[^\0-\x7f]", "x", text).encode()).root_node
    if root.has_error:
        raise UnreadableError("its syntax has an error")
    reader = _Reader(text, workdir, dict(values), has)
    try:
        reader.all(root.children, "")
    except (RecursionError, ValueError):
        raise UnreadableError("init does not read its nesting or quotes") from None
    return reader.steps


def without_comments(text: str) -> str:
    """The text of a RUN without comments between words, which some write in backquotes."""
    return _COMMENT.sub(" ", text)


@cache
def _parser() -> Parser:
    import tree_sitter  # only where there is something to read
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class _Reader:
    def __init__(self, text: str, workdir: str, values: dict[str, str], has: Files) -> None:
        self._text, self._workdir, self._values, self._has = text, workdir, values, has
        self.steps: list[Step] = []

    def all(self, nodes: Sequence[Node], unsure: str) -> None:
        """Take what statements run."""
        for node in nodes:
            if node.type == "&":
                raise OnlyAShellError("`&`")
            if node.is_named and node.type != "comment":
                self._statement(node, unsure)

    def _statement(self, node: Node, unsure: str) -> None:
        first, *others = node.children or [node]
        match node.type:
            case "command" | "test_command":
                self._command(node, unsure)
            case "compound_statement":
                self.all(others, unsure)
            case "list":
                self._statement(first, unsure)
                operator, last = others[0].type, others[-1]
                if operator == "||" or _TEST.match(self._source(first)):
                    unsure = self._before(operator, last)
                self._statement(last, unsure)
            case "if_statement":
                self._branch(node, unsure)
            case "pipeline":
                self._statement(first, unsure)
                for other in node.named_children[1:]:
                    self._statement(other, self._before("|", other))
            case "variable_assignment" | "variable_assignments" | "declaration_command" if (
                not unsure
            ):
                self._set(node, self._values)
            case "redirected_statement":
                raise OnlyAShellError(f"`{self._source(node.children[-1])[:2].strip()}`")
            case _:
                raise OnlyAShellError(unsure or f"`{self._source(first)}` of a shell")

    def _command(self, node: Node, unsure: str) -> None:
        values = dict(self._values)
        source = self._source(node)
        for child in node.children:
            if child.type == "variable_assignment":
                self._set(child, values)
                source = source.removeprefix(self._source(child)).lstrip()
            elif child.type.endswith("redirect"):
                raise OnlyAShellError(f"`{self._source(child)[0]}`")
        if "\n" in source:  # the parser takes some lines for one
            raise OnlyAShellError("a command that goes over lines")
        for inner in _substitutions(node):
            unsure = self._inside(inner)
            self.all(inner.named_children, unsure)
        words = _words(source, self._values)
        if words[:1] == ["cd"] and len(words) == 2 and not unsure:
            self._workdir = posixpath.normpath(posixpath.join(self._workdir, words[1]))
        elif len(words) == 3 and _SHELL.fullmatch(" ".join(words[:2])) and not unsure:
            for step in steps(words[2], self._workdir, self._values, self._has):
                self.steps.append(replace(step, text=""))
        elif words:
            text = self._text[node.start_byte : node.end_byte]
            self.steps.append(Step(words, self._workdir, values, unsure, text))

    def _branch(self, node: Node, unsure: str) -> None:
        """Take what runs of `if` or `elif`. Its condition has to be one comparison of known texts."""
        then = [child.type for child in node.children].index("then")
        condition = " ".join(map(self._source, node.children[1:then])).rstrip("; ")
        holds = self._holds(_words(condition, self._values))
        if holds is None:
            raise OnlyAShellError(f"`if {condition}`: its value is not known")
        for child in node.children[then + 1 :]:
            if child.type == "elif_clause":
                if not holds:
                    self._branch(child, unsure)
                    return
            elif child.type == "else_clause":
                if not holds:
                    self.all(child.children[1:], unsure)
            elif holds:
                self.all([child], unsure)

    def _holds(self, words: Sequence[str]) -> bool | None:
        """Whether a comparison of texts, or of what files there are, holds; None for one that is not
        known, and for all else.
        """
        if re.search(r"[$*?`]", " ".join(words)):
            return None
        match [*words]:
            case ["[" | "[[", *condition, "]" | "]]"] | ["test", *condition]:
                pass
            case _:
                return None
        match condition:
            case [one, "=" | "==", other]:
                return one == other
            case [one, "!=", other]:
                return one != other
            case ["-n", text]:
                return bool(text)
            case ["-z", text]:
                return not text
            case ["-f" | "-e", path]:
                return self._has(posixpath.join(self._workdir, path))
        return None

    def _inside(self, substitution: Node) -> str:
        return f"`{self._source(substitution)[:2]}`: a command makes part of another"

    def _set(self, node: Node, values: dict[str, str]) -> None:
        """Take what assignments set."""
        name, _, value = self._source(node).partition("=")
        for inner in _substitutions(node):
            raise OnlyAShellError(self._inside(inner))
        if node.type != "variable_assignment":
            for child in node.named_children:
                self._set(child, values)
        elif name.endswith("+"):
            raise OnlyAShellError("`+=`")
        else:
            values[name] = " ".join(_words(value, values))

    def _source(self, node: Node) -> str:
        return self._text[node.start_byte : node.end_byte].replace("\\\n", "")

    def _before(self, operator: str, node: Node) -> str:
        return f"`{operator}` before `{self._source(node).partition(' ')[0]}`"


def _substitutions(node: Node) -> Iterator[Node]:
    """The commands whose output makes part of a command."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.type in ("command_substitution", "process_substitution"):
            yield node
        else:
            waiting += node.children


def _words(text: str, values: Mapping[str, str]) -> list[str]:
    return shlex.split(expand(text, values, keep=True))
