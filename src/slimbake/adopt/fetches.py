"""Health checks that need a shell, or curl or wget, as lines of Python. Pure."""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from slimbake.adopt.model import Command
from slimbake.adopt.shell import LITERAL, SimpleCommand, simple_commands

_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
# With a value for where it is not set, which is plain text.
_DEFAULT = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?P<how>:?-)(?P<default>[^{}$`'\"\\\0]*)\}")
_ENVIRONMENT = re.compile(r"\bos\.(?:path\.expandvars|environ\.get)\(")  # what _text writes
_KEYWORDS = frozenset({"if", "then", "else", "fi", "{", "}", "exec"})
# What starts the program behind it, and which of its options take a word.
_LEADS: Mapping[str, frozenset[str]] = {
    "timeout": frozenset({"-k", "-s", "--kill-after", "--signal"}),
    "env": frozenset({"-u", "--unset", "-C", "--chdir"}),
    "command": frozenset(),
    "busybox": frozenset(),
}
_BRANCHES = frozenset({"if", "then", "else", "fi"})
_OPERATORS = frozenset({"||", "&&", "|"})
_SAYS = frozenset({"echo", "printf"})
_SECRET = re.compile(r"auth|token|key|secret|password|cookie", re.IGNORECASE)
# In a query or in data: a name and its value, which is no variable.
_SECRET_IN = re.compile(
    rf"([\w-]*(?:{_SECRET.pattern})[\w-]*)[\"']?\s*[=:]\s*[\"']?[^\s\"'&$]", re.IGNORECASE
)
_IN_ADDRESS = re.compile(r"(?<=://)([^/@]+)@")
_INSIDE = re.compile(r"\$\(\s*((?:curl|wget)\s[^()]*)\)")
# What an option is: a header of that name, or one of these; _OTHER: it takes a value, and Python's
# request has nothing of the kind.
_FLAG, _VALUE, _LIMIT, _HEADER, _METHOD, _DATA, _USER, _PASSWORD, _URL, _HEAD, _OTHER = range(11)
# `-f` and `-L` are what urlopen does anyway.
_CURL: Mapping[str, int | str] = {
    **dict.fromkeys([*"fsSLivNg046#q"], _FLAG),
    **dict.fromkeys(
        [
            *("fail", "fail-with-body", "silent", "show-error", "location", "include", "verbose"),
            *("no-buffer", "globoff", "ipv4", "ipv6", "http1.0", "http1.1", "progress-bar"),
            *("no-progress-meter", "disable", "retry-connrefused", "retry-all-errors"),
        ],
        _FLAG,
    ),
    **dict.fromkeys(
        [
            *("o", "w", "output", "write-out", "connect-timeout", "retry"),
            *("retry-delay", "retry-max-time", "speed-limit", "speed-time", "stderr", "noproxy"),
        ],
        _VALUE,
    ),
    **dict.fromkeys(["m", "max-time"], _LIMIT),
    **dict.fromkeys(["H", "header"], _HEADER),
    **dict.fromkeys(["X", "request"], _METHOD),
    **dict.fromkeys(["d", "data", "data-raw", "data-ascii", "data-binary"], _DATA),
    **dict.fromkeys(["u", "user"], _USER),
    **dict.fromkeys(["I", "head"], _HEAD),
    **dict.fromkeys(["A", "user-agent"], "User-Agent"),
    **dict.fromkeys(["e", "referer"], "Referer"),
    "url": _URL,
    **dict.fromkeys(
        [
            *("unix-socket", "abstract-unix-socket", "resolve", "connect-to", "cacert", "capath"),
            *("E", "cert", "key", "x", "proxy", "F", "form", "T", "upload-file", "K", "config"),
            *("data-urlencode", "json", "r", "range", "b", "cookie", "interface"),
        ],
        _OTHER,
    ),
}
_WGET: Mapping[str, int | str] = {
    **dict.fromkeys([*"qSnvc46"], _FLAG),
    **dict.fromkeys(
        [
            *("quiet", "no-verbose", "verbose", "spider", "server-response", "continue"),
            *("inet4-only", "inet6-only", "no-cache", "retry-connrefused"),
        ],
        _FLAG,
    ),
    **dict.fromkeys(
        [
            *("O", "o", "t", "w", "output-document", "output-file", "tries"),
            *("dns-timeout", "connect-timeout", "wait", "waitretry"),
        ],
        _VALUE,
    ),
    **dict.fromkeys(["T", "timeout", "read-timeout"], _LIMIT),
    "header": _HEADER,
    "method": _METHOD,
    **dict.fromkeys(["post-data", "body-data"], _DATA),
    **dict.fromkeys(["user", "http-user"], _USER),
    **dict.fromkeys(["password", "http-password"], _PASSWORD),
    **dict.fromkeys(["U", "user-agent"], "User-Agent"),
    "referer": "Referer",
    **dict.fromkeys(
        ["e", "execute", "ca-certificate", "certificate", "private-key", "post-file", "body-file"],
        _OTHER,
    ),
}
_PROGRAMS = {"curl": _CURL, "wget": _WGET}


@dataclass(frozen=True, slots=True)
class Fetch:
    """A check's request. `code`: of `python -c`, "" where Python cannot make it; `lost`: the options
    for which it cannot, () where it needs a shell; or what else the check does. `secret`: the name
    of a value that looks like one.
    """

    code: str
    lost: tuple[str, ...] = ()
    secret: str = ""


def fetch_of(command: Command) -> Fetch | None:
    """The request that a check makes; None where it makes none."""
    text, whole = _commands(command)
    commands = whole
    lost: list[str] = []
    outer = _INSIDE.search(text)
    if outer and not any(_program(_bare(each)) for each in commands):
        commands = simple_commands(outer[1])
        lost.append(text.replace(outer[0], "$(...)"))
    found: Fetch | None = None
    fails = any(_fails(_bare(each)) for each in commands)
    branch = ""
    for each in commands:
        words = _bare(each)
        branch = next((word for word in each.words[:1] if word in _BRANCHES), branch)
        operator = each.before if each.before in {"|", "||", "&&"} else ""
        if found is None and _program(words):
            found = _request(words)
        elif _fails(words) or words[:1] == ("exit",):
            if (found or operator) and _reverses(_fails(words), branch, operator, fails):
                said = operator or (branch if branch != "fi" else "")
                lost.append(_shown((*filter(None, [said]), *words)))
        elif words and not (words[0] in _SAYS and fails):
            lost.append(_shown((*filter(None, [operator]), *words)))
    if found is None or not found.code:
        return found
    sets = any(each.assignments or each.words[:1] == ("export",) for each in whole)
    if sets and _ENVIRONMENT.search(found.code):
        return Fetch("")
    return Fetch(found.code, tuple(lost), found.secret)


def with_variables(words: tuple[str, ...]) -> str:
    """A line of Python that becomes a command whose words have variables; "" where it takes a shell."""
    try:
        shown = [_text(word) for word in words]
    except _NeedsShell:
        return ""
    return f"import os; os.execvp({shown[0]}, [{', '.join(shown)}])"


def _commands(command: Command) -> tuple[str, list[SimpleCommand]]:
    """A check as text, and its simple commands."""
    words = command.words
    if not words:
        return "", []
    inner = _inner(words)
    misread = bool(_OPERATORS & {*words})  # as if a shell read it
    if not command.shell and not inner and not misread:
        return "", [SimpleCommand(words, 0, "", True)]
    text = " ".join(words) if misread else words[-1] if command.shell else inner
    commands = simple_commands(text)
    if len(commands) == 1 and (inner := _inner(commands[0].words)):
        return _commands(Command((inner,), True, command.place))
    return text, commands


def _inner(words: tuple[str, ...]) -> str:
    """The text that words such as `bash -o pipefail -ec TEXT` hand to a shell; "" without one."""
    rest = list(words[1:] if words and posixpath.basename(words[0]) in _SHELLS else ())
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if re.fullmatch(r"-[a-z]*c", option):
            return "".join(rest[:1])
        if re.fullmatch(r"-[a-z]*o", option):
            del rest[:1]
    return ""


def _bare(command: SimpleCommand) -> tuple[str, ...]:
    """The words of a command without keywords, and without `timeout 5` and the like."""
    words = list(command.words)
    while words and (words[0] in _KEYWORDS or _leads(words)):
        name = posixpath.basename(words.pop(0))
        while name in _LEADS and words and words[0].startswith("-"):
            if words.pop(0) in _LEADS[name]:
                del words[:1]
        if name == "timeout":
            del words[:1]
        while name == "env" and words and "=" in words[0]:
            del words[:1]
    return tuple(words)


def _leads(words: list[str]) -> bool:
    """Whether words begin with a program that starts the one behind it; `command -v` asks for it."""
    return posixpath.basename(words[0]) in _LEADS and words[1:2] not in (["-v"], ["-V"])


def _program(words: tuple[str, ...]) -> Mapping[str, int | str] | None:
    return _PROGRAMS.get(posixpath.basename(words[0])) if words else None


def _fails(words: tuple[str, ...]) -> bool:
    """Whether a command only says that the check failed."""
    return words == ("false",) or (words[:1] == ("exit",) and words[1:] != ("0",))


def _reverses(fail: bool, branch: str, operator: str, fails: bool) -> bool:
    """Whether an `exit` behind a fetch hides how it ended. `fails`: whether any command says that it
    failed.
    """
    if operator:
        return operator == ("&&" if fail else "||")
    return branch == ("then" if fail else "else") or not (fail or branch or fails)


def _shown(words: Iterable[str]) -> str:
    return " ".join(words).replace(LITERAL, "$")


class _NeedsShell(Exception):
    """A value that only a shell fills in."""


@dataclass(slots=True)
class _Asked:
    """What the words of a fetch ask for."""

    urls: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    method: str = ""
    user: str = ""
    limit: str = ""  # in seconds; "": that of the check as a whole
    unknown: list[str] = field(default_factory=list)

    def take(self, option: str, kind: int | str | None, value: str) -> None:
        """Take an option; `kind`: None for one that is not known."""
        if isinstance(kind, str):
            self.headers[kind] = value
        elif kind == _HEADER:
            name, _, rest = value.partition(":")
            self.headers[name.strip()] = rest.strip()
        elif kind == _LIMIT:
            self.limit = value if re.fullmatch(r"[1-9]\d*(?:\.\d+)?", value) else ""
        elif kind == _DATA:
            self.data.append(value)
        elif kind in {_METHOD, _HEAD}:
            self.method = value or "HEAD"
        elif kind == _USER:
            self.user = f"{value}:{self.user.partition(':')[2]}" if ":" not in value else value
        elif kind == _PASSWORD:
            self.user = f"{self.user.partition(':')[0]}:{value}"
        elif kind == _URL:
            self.urls.append(value)
        elif kind in {None, _OTHER}:
            self.unknown.append(f"{option} {value}".strip())


def _request(words: tuple[str, ...]) -> Fetch:
    asked = _Asked()
    for option, kind, value in _options(list(words[1:]), _program(words) or {}):
        asked.take(option, kind, value)
    files = [f"-d {each}" for each in asked.data if each.startswith("@")]
    unknown = [*asked.unknown, *files, *asked.urls[1:]]
    if unknown or not asked.urls:
        return Fetch("", tuple(_shown([each]) for each in dict.fromkeys(unknown)))
    if found := _IN_ADDRESS.search(asked.urls[0]):
        asked.user, asked.urls[0] = found[1], _IN_ADDRESS.sub("", asked.urls[0])
    secrets = [n for n, value in asked.headers.items() if _SECRET.search(n) and "$" not in value]
    for text in (asked.urls[0].partition("?")[2], *asked.data):
        secrets += _SECRET_IN.findall(text)
    try:
        return Fetch(_code(asked), secret="Authorization" if asked.user else "".join(secrets[:1]))
    except _NeedsShell:
        return Fetch("")


def _options(
    rest: list[str], known: Mapping[str, int | str]
) -> Iterator[tuple[str, int | str | None, str]]:
    """Each option as it is written, its kind, and its value; other words are addresses."""
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            yield word, _URL, word
        elif word.startswith("--"):
            name, given, value = word[2:].partition("=")
            kind = known.get(name)
            if _takes(kind) and not given:
                value = rest.pop(0) if rest else ""
            yield word.partition("=")[0], kind, value
        else:
            for at, letter in enumerate(word[1:], 2):
                kind = known.get(letter)
                if _takes(kind):
                    yield f"-{letter}", kind, word[at:] or (rest.pop(0) if rest else "")
                    break
                yield f"-{letter}", kind, ""


def _takes(kind: int | str | None) -> bool:
    return kind is not None and kind not in {_FLAG, _HEAD}


def _code(asked: _Asked) -> str:
    """The request as one line of Python. Raises _NeedsShell."""
    headers = dict(asked.headers)
    if asked.user:
        if "$" in asked.user:
            raise _NeedsShell
        coded = base64.b64encode(asked.user.replace(LITERAL, "$").encode()).decode()
        headers["Authorization"] = f"Basic {coded}"
    url = asked.urls[0] if "://" in asked.urls[0] else f"http://{asked.urls[0]}"
    read = _text(url)
    more = []
    if asked.data:
        data = "&".join(asked.data)
        bare = repr(data.replace(LITERAL, "$").encode())
        more.append(f"data=bytes({_text(data)}, 'utf-8')" if "$" in data else f"data={bare}")
    if headers:
        pairs = ", ".join(f"{name!r}: {_text(value)}" for name, value in headers.items())
        more.append(f"headers={{{pairs}}}")
    if asked.method and asked.method != ("POST" if asked.data else "GET"):
        more.append(f"method={_text(asked.method)}")
    wanted = f"r.Request({', '.join([read, *more])})" if more else read
    imports = "import os, " if _ENVIRONMENT.search(wanted) else "import "
    limit = f", timeout={asked.limit}" if asked.limit else ""
    return f"{imports}urllib.request as r; r.urlopen({wanted}{limit})"


def _text(word: str) -> str:
    """A word as Python has it, with variables as a container has them. Raises _NeedsShell."""
    parts, end = [], 0
    for found in _DEFAULT.finditer(word):
        parts += [_part(word[end : found.start()]), _value(**found.groupdict())]
        end = found.end()
    parts.append(_part(word[end:]))
    return " + ".join(filter(None, parts)) or "''"


def _value(name: str, how: str, default: str) -> str:
    """A variable with a default; `how`: `-`, or `:-`, which an empty value takes, too."""
    if how == "-":
        return f"os.environ.get({name!r}, {default!r})"
    return f"(os.environ.get({name!r}) or {default!r})"


def _part(text: str) -> str:
    """A text without defaults as Python has it; "" for an empty one. Raises _NeedsShell."""
    if "$" not in text and "`" not in text:
        return repr(text.replace(LITERAL, "$")) if text else ""
    left = _VARIABLE.sub("", text)
    if any(each in left for each in ("$", "`", LITERAL)):
        raise _NeedsShell
    return f"os.path.expandvars({text!r})"
