"""Just enough of a shell's language to see plain commands one after the other. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping

_VARIABLE = re.compile(
    r"\\\$|\$(?:(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-+?])(?P<other>[^{}]*))?\})"
)
_NESTED = 5  # `${A:-${B:-c}}`: the innermost come first
# To nowhere, or from one stream into another.
_NOWHERE = re.compile(r"(?:\d|&)?>{1,2}\s*/dev/null|\d?>&\d")
_OPERATOR = re.compile(r"[;&|<>()]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ONLY_A_SHELL = re.compile(r"[$`;&|<>(){}*?\n\\~#!\[]")
_KEYWORDS = frozenset(("for", "while", "until", "case", "{", "[", "[[", "test", "!", "eval"))
_UNSET = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")


_LONGEST = 1024  # characters of a value: variables may double each other


class OnlyAShellError(Exception):
    """A text that is more than plain commands; it says what."""


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


def commands(
    text: str, workdir: str, values: Mapping[str, str], exists: Callable[[str], bool] = bool
) -> Iterator[tuple[list[str], str]]:
    """The words of each command of a RUN, and the folder that it runs in. `exists`: whether the image
    has a path then.

    Raises OnlyAShellError where a command may or may not run, or reads or writes a file.
    """
    text = _NOWHERE.sub(" ", expand(text, values, keep=True))
    if match := re.search(r"\$\(|`", text):
        raise OnlyAShellError(f"`{match[0]}`: a command makes part of another")
    variables: dict[str, str] = {}
    branches = _Branches(lambda path: exists(posixpath.join(workdir, path)))
    for command, before in _split(text):
        while command and _ASSIGNMENT.match(command[0]):
            name, _, value = command.pop(0).partition("=")
            variables[name] = value
        command = branches.reached([expand(word, variables, keep=True) for word in command], before)
        if not command or (before == "||" and command in (["true"], [":"])):
            continue
        if before not in ("", "&&", ";"):
            raise OnlyAShellError(f"`{before}` before `{command[0]}`")
        if command[0] in _KEYWORDS:
            raise OnlyAShellError(f"`{command[0]}` of a shell")
        if command[0] == "cd" and len(command) == 2:
            workdir = posixpath.normpath(posixpath.join(workdir, command[1]))
            continue
        yield command, workdir


class _Branches:
    """Which commands run between `if` and `fi`, where the values of arguments say it."""

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists
        self._open: list[tuple[bool, bool]] = []  # of each `if`: this branch runs; one has run
        self._asks = False  # between `if` and `then`

    def reached(self, command: list[str], before: str) -> list[str]:
        """A command without its keyword; [] for one that does not run, and for a condition."""
        while command and command[0] in ("if", "elif", "then", "else", "fi"):
            keyword, *command = command
            if keyword == "if":
                self._open.append((True, False))
                before, self._asks = "", True
            elif not self._open:
                raise OnlyAShellError(f"`{keyword}` without `if`")
            elif keyword in ("elif", "else"):
                _, done = self._open.pop()
                self._open.append((not done, done))
                before, self._asks = "", keyword == "elif"
            else:
                self._asks = False
                runs, done = self._open.pop()
                if keyword == "then":
                    self._open.append((runs, done or runs))
        if self._asks and command:
            runs, done = self._open.pop()
            if all(
                runs for runs, _ in self._open
            ):  # else its value may be unknown, and is not asked
                holds = not done and self._holds(command)
                runs = runs or holds if before == "||" else runs and holds
            self._open.append((runs, done))
            return []
        return command if all(runs for runs, _ in self._open) else []

    def _holds(self, command: list[str]) -> bool:
        """Whether a comparison of texts holds. Raises OnlyAShellError for another condition."""
        condition = (
            command[1:-1]
            if command[0] in ("[", "[[")
            else command[1:]
            if command[0] == "test"
            else []
        )
        if any("$" in word for word in condition):
            raise OnlyAShellError(f"`if {' '.join(command)}`: a value is not known")
        match condition:
            case [one, "=" | "==", other]:
                return one == other
            case [one, "!=", other]:
                return one != other
            case ["-n", text] | [text]:
                return bool(text) and text != "-n"
            case ["-f" | "-e" | "-d", path]:
                return self._exists(path)
            case ["-z", text]:
                return not text
        raise OnlyAShellError(f"`if {' '.join(command)}`")


def _split(text: str) -> Iterator[tuple[list[str], str]]:
    """The words of each command, and the operator that it follows."""
    command: list[str] = []
    before = ""
    for line in text.replace("\\\n", " ").split("\n"):
        if line.strip().startswith("#"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            tokens = list(lexer)
        except ValueError:
            raise OnlyAShellError("quotes that go over lines") from None
        for token in (*tokens, ";"):
            if not _OPERATOR.fullmatch(token):
                command.append(token)
                continue
            if token not in ("&&", "||", ";", "|"):
                raise OnlyAShellError(f"`{token}`")
            if command:
                yield command, before
            command, before = [], token
    if command:
        yield command, before
