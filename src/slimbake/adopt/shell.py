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
        known = values.get(found["bare"] or found["name"])
        if len(known or "") > _LONGEST:
            return found[0]
        how, other = found["how"] or "", found["other"] or ""
        is_set = bool(known) if how.startswith(":") else known is not None
        if how.endswith("+"):
            return other if is_set else ""
        if how.endswith("-") and not is_set:
            return other
        return (known or "") if known is not None or not keep else found[0]

    for _ in range(_NESTED):
        before, text = text, _VARIABLE.sub(value, text)
        if text == before or "${" not in text:
            break
    return text


def unset(text: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of a shell's text that have neither a value nor a default in it."""
    names = (match[1] or match[2] for match in _UNSET.finditer(text))
    made = set(re.findall(r"(?:^|[\s;&|(])([A-Za-z_]\w*)=|\bfor (\w+) in\b", text))
    known = {name for pair in made for name in pair}
    return tuple(dict.fromkeys(name for name in names if name not in values and name not in known))


def plain_words(text: str) -> tuple[str, ...]:
    """The words of one command that needs no shell; () for another."""
    bare = text.strip().removeprefix("exec ")
    if _ONLY_A_SHELL.search(bare) or _ASSIGNMENT.match(bare):
        return ()
    try:
        words = tuple(shlex.split(bare))
    except ValueError:
        return ()
    return () if words and words[0] in ("cd", "export", "set", "source", ".") else words


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
    known: dict[str, str] = {}
    branches = _Branches(lambda path: exists(posixpath.join(workdir, path)))
    for words, before in _split(text):
        while words and _ASSIGNMENT.match(words[0]):
            name, _, value = words.pop(0).partition("=")
            known[name] = value
        words = branches.reached([expand(word, known, keep=True) for word in words], before)
        if not words or (before == "||" and words in (["true"], [":"])):
            continue
        if before not in ("", "&&", ";"):
            raise OnlyAShellError(f"`{before}` before `{words[0]}`")
        if words[0] in _KEYWORDS:
            raise OnlyAShellError(f"`{words[0]}` of a shell")
        if words[0] == "cd" and len(words) == 2:
            workdir = posixpath.normpath(posixpath.join(workdir, words[1]))
            continue
        yield words, workdir


class _Branches:
    """Which commands run between `if` and `fi`, where the values of arguments say it."""

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists
        self._open: list[tuple[bool, bool]] = []  # of each `if`: this branch runs; one has run
        self._asks = False  # between `if` and `then`

    def reached(self, words: list[str], before: str) -> list[str]:
        """A command without its keyword; [] for one that does not run, and for a condition."""
        while words and words[0] in ("if", "elif", "then", "else", "fi"):
            keyword, *words = words
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
        if self._asks and words:
            runs, done = self._open.pop()
            if all(
                each for each, _ in self._open
            ):  # else its value may be unknown, and is not asked
                holds = not done and self._holds(words)
                runs = runs or holds if before == "||" else runs and holds
            self._open.append((runs, done))
            return []
        return words if all(runs for runs, _ in self._open) else []

    def _holds(self, words: list[str]) -> bool:
        """Whether a comparison of texts holds. Raises OnlyAShellError for another condition."""
        said = words[1:-1] if words[0] in ("[", "[[") else words[1:] if words[0] == "test" else []
        if any("$" in word for word in said):
            raise OnlyAShellError(f"`if {' '.join(words)}`: a value is not known")
        match said:
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
        raise OnlyAShellError(f"`if {' '.join(words)}`")


def _split(text: str) -> Iterator[tuple[list[str], str]]:
    """The words of each command, and the operator that it follows."""
    words: list[str] = []
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
                words.append(token)
                continue
            if token not in ("&&", "||", ";", "|"):
                raise OnlyAShellError(f"`{token}`")
            if words:
                yield words, before
            words, before = [], token
    if words:
        yield words, before
