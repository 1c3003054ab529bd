"""What the text of a shell runs, as plain commands one after the other. Pure.

tree-sitter-bash reads it. What its tree has and is not handled here is refused, by name.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
_UNSET = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_COMMENT = re.compile(r"`#[^`]*`")  # between words, which the parser takes for an error
_SHELL = re.compile(r"(?:/bin/)?(?:ba|da)?sh -[elux]*c")
_LONGEST = 1024  # characters of a value: variables may double each other
_LARGEST = 16 * 1024  # of a text: its parser takes a second for some that are twice as long


class OnlyAShellError(Exception):
    """A text that is more than plain commands; it says what."""


class UnreadableError(OnlyAShellError):
    """A text that is none of a shell, or too much of one."""


@dataclass(slots=True)
class Step:
    """One command."""

    words: list[str]
    workdir: str
    values: Mapping[str, str]  # of variables that it sees
    unsure: str = ""  # why it may not run, or not by itself
    piped: str = ""  # the text of the pipeline that it begins


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
        return (current or "") if current is not None or not keep else found[0]

    for _ in range(_NESTED):
        before, text = text, _VARIABLE.sub(value, text)
        if text == before or "${" not in text:
            break
    return text


def unset(text: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of a shell's text that have neither a value nor a default in it."""
    names = (match[1] or match[2] for match in _UNSET.finditer(text))
    assignments = set(re.findall(r"(?:^|[\s;&|(])([A-Za-z_]\w*)=|\bfor (\w+) in\b", text))
    assigned = {name for pair in assignments for name in pair}
    return tuple(
        dict.fromkeys(name for name in names if name not in values and name not in assigned)
    )


def plain_words(text: str) -> tuple[str, ...]:
    """The words of one command that needs no shell; () for another."""
    bare = text.strip().removeprefix("exec ")
    if _ONLY_A_SHELL.search(bare) or _ASSIGNMENT.match(bare):
        return ()
    try:
        command = tuple(shlex.split(bare))
    except ValueError:
        return ()
    return () if command and command[0] in ("cd", "export", "set", "source", ".") else command


def steps(
    text: str, workdir: str, values: Mapping[str, str], exists: Callable[[str], bool] = bool
) -> list[Step]:
    """The commands of a RUN. `exists`: whether the image has a path then.

    Raises OnlyAShellError where one makes part of another, or reads or writes a file.
    """
    text = _NOWHERE.sub(" ", without_comments(text))
    if len(text) > _LARGEST or "\0" in text:
        raise UnreadableError("init does not read a text of this size, or with zero bytes")
    if match := re.search(r"\$\(|`|[<>]\(", text):
        raise OnlyAShellError(f"`{match[0]}`: a command makes part of another")
    # The parser ends the process at letters of far off (tree-sitter-bash, issue 337): it sees an "x".
    root = _parser().parse(re.sub(r"[^\0-\x7f]", "x", text).encode()).root_node
    if root.has_error:
        raise UnreadableError("its syntax has an error")
    reader = _Reader(text, workdir, dict(values), exists)
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
    def __init__(
        self, text: str, workdir: str, values: dict[str, str], exists: Callable[[str], bool]
    ) -> None:
        self._text, self._workdir, self._values, self._exists = text, workdir, values, exists
        self.steps: list[Step] = []

    def all(self, nodes: Sequence[Node], unsure: str) -> bool | None:
        """Take what statements run. Whether the last holds, for a comparison of known values."""
        holds = None
        for node in nodes:
            if node.type == "&":
                raise OnlyAShellError("`&`")
            if node.is_named and node.type != "comment":
                holds = self._statement(node, unsure)
        return holds

    def _statement(self, node: Node, unsure: str) -> bool | None:
        first, *others = node.children or [node]
        match node.type:
            case "command" | "test_command":
                return self._command(node, unsure)
            case "compound_statement" | "else_clause":
                return self.all(others, unsure)
            case "list":
                holds = self._statement(first, unsure)
                either = others[0].type == "||"
                if holds is either:
                    return holds
                if either and holds is None:
                    unsure = self._before("||", others[-1])
                return self._statement(others[-1], unsure)
            case "if_statement":
                self._branch(node, unsure)
            case "pipeline":
                begins = len(self.steps)
                self._statement(first, unsure)
                for step in self.steps[begins:]:
                    step.piped = self._source(node)
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
        return None

    def _command(self, node: Node, unsure: str) -> bool | None:
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
        words = _words(source, self._values)
        holds = self._holds(words)
        if words[:1] == ["cd"] and len(words) == 2 and not unsure:
            self._workdir = posixpath.normpath(posixpath.join(self._workdir, words[1]))
        elif len(words) == 3 and _SHELL.fullmatch(" ".join(words[:2])) and not unsure:
            self.steps += steps(words[2], self._workdir, self._values, self._exists)
        elif words and holds is None:
            self.steps.append(Step(words, self._workdir, values, unsure))
        return holds

    def _branch(self, node: Node, unsure: str) -> bool:
        """Take what runs of `if` or `elif`. Whether it is one of its branches."""
        then = [child.type for child in node.children].index("then")
        done = self.all(node.children[1:then], unsure)
        if done is None:
            raise OnlyAShellError(f"`if {self._source(node.children[1])}`: its value is not known")
        for child in node.children[then:]:
            if child.type == "elif_clause":
                done = done or self._branch(child, unsure)
            elif done != (child.type == "else_clause"):
                self.all([child], unsure)
        return done

    def _holds(self, words: list[str]) -> bool | None:
        """Whether a comparison of texts holds; None for one that is not known, and for all else."""
        program, *condition = words or [""]
        if program not in ("[", "[[", "test") or re.search(r"[$*?]", " ".join(condition)):
            return None
        match condition[:-1] if program != "test" else condition:
            case [one, "=" | "==" | "!=" as how, other]:
                return (one == other) is (how != "!=")
            case ["-n", text] | [text] if text not in ("-n", "-z"):
                return bool(text)
            case ["-f" | "-e" | "-d", path]:
                return self._exists(posixpath.join(self._workdir, path))
            case ["-z", text]:
                return not text
        return None

    def _set(self, node: Node, values: dict[str, str]) -> None:
        """Take what assignments set."""
        name, _, value = self._source(node).partition("=")
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


def _words(text: str, values: Mapping[str, str]) -> list[str]:
    return shlex.split(expand(text, values, keep=True))
