"""What a script does with its arguments, where these are known: its `case` and `if`. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from slimbake.adopt.shell import LITERAL, SimpleCommand, simple_commands

_CASE = re.compile(
    r"^[ \t]*case\s+\"?(?P<word>\$(?:1|\{1(?::?-[^}]*)?\})|[\w./:@-]+)\"?\s+in\b(?P<branches>.*?)"
    r"^[ \t]*esac\b[^\n]*",
    re.DOTALL | re.MULTILINE,
)
# A name that a script gives its first argument, on a line of its own.
_NAMED = re.compile(
    r"^(?P<name>[A-Za-z_]\w*)=(?P<quote>\"?)(?P<value>\$(?:1|\{1(?::?-[^${}]*)?\}))(?P=quote)[ \t]*$",
    re.MULTILINE,
)
_WORD = re.compile(r"[\w./:@-]+")
_BRANCH = re.compile(r"\(?(?P<patterns>[^()\n;]+)\)(?P<body>.*?)(?:;;|\Z)", re.DOTALL)
_FUNCTION = re.compile(
    r"^(?P<in>[ \t]*)(?:function[ \t]+)?(?P<name>[A-Za-z_][\w-]*)[ \t]*\(\)\s*\{"
    r"(?:[^\n]*\}[ \t]*$|.*?^(?P=in)\})",
    re.DOTALL | re.MULTILINE,
)
_READS = re.compile(r"\$(?:[1#*]|\{[1#*])")
_ARGUMENT = re.compile(
    r"\$(?:(?P<bare>[1-9#*])|\{(?P<name>[1-9#*])(?:(?P<how>:0:1|:?-|##?|%%?)(?P<other>[^{}]*))?\})"
)
ARGUMENTS = ("$@", "${@}", "$*")  # all of them
_TESTS = {"[": "]", "[[": "]]", "test": ""}
_COMPARE = ("-eq", "-ne", "-gt", "-lt", "-ge", "-le")
_OPENS = frozenset({"if", "for", "while", "until", "case", "select", "{"})
_CLOSES = frozenset({"fi", "done", "esac", "}"})
_LEADS = frozenset({"then", "else", "do", "!"})


def without_functions(text: str) -> tuple[str, frozenset[str]]:
    """A script without the functions that it defines, each line where it was; and their names."""
    names = frozenset(found["name"] for found in _FUNCTION.finditer(text))
    return _FUNCTION.sub(lambda found: "\n" * found[0].count("\n"), text), names


def reads_arguments(text: str) -> bool:
    """Whether a script does more with its arguments than to hand them on."""
    return bool(_READS.search(text))


def positional(word: str, arguments: tuple[str, ...]) -> str:
    """A word with the arguments that it names one by one."""

    def value(found: re.Match[str]) -> str:
        name, how, other = found["bare"] or found["name"], found["how"] or "", found["other"] or ""
        if name == "#":
            return str(len(arguments))
        number = 0 if name == "*" else int(name)
        text = " ".join(arguments) if name == "*" else "".join(arguments[number - 1 : number])
        if how.endswith("-"):
            return text if text or (how == "-" and len(arguments) >= number) else other
        if how == ":0:1":
            return text[:1]
        if how[:1] in {"#", "%"} and re.search(r"[*?\[]", other):
            return found[0]
        trim = str.removeprefix if how[:1] == "#" else str.removesuffix
        return trim(text, other) if how else text

    return _ARGUMENT.sub(value, word)


def changed(arguments: tuple[str, ...], words: tuple[str, ...]) -> tuple[str, ...] | None:
    """A script's arguments after `shift` or `set -- WORD...`; None for any other command."""
    match words:
        case ("shift",):
            return arguments[1:]
        case ("shift", number) if number.isdecimal():
            return arguments[int(number) :]
    if words[:2] != ("set", "--"):
        return None
    parts = (
        arguments if word in ARGUMENTS else (positional(word, arguments),) for word in words[2:]
    )
    return tuple(word for part in parts for word in part)


def chosen(text: str, arguments: tuple[str, ...]) -> tuple[str, int]:
    """A script with those branches alone which its arguments choose, each line where it was; and
    where the first choice is between words, -1 where none is.
    """
    first = -1
    text = _without_names(text, arguments)
    if case := _CASE.search(text):
        text, first = _by_if(text[: case.start()], arguments)
        known = arguments
        for each, depth in _depths(simple_commands(text)):
            after = None if depth or each.before in {"&&", "||"} else changed(known, each.words)
            known = known if after is None else after
        text += case.string[case.start() :]
        word, kept = positional(case["word"], known), range(0)
        first = case.start() if first < 0 else first
        word = word.replace(LITERAL, "$")
        for branch in _BRANCH.finditer(case["branches"]):
            patterns = (each.strip().strip("\"'") for each in branch["patterns"].split("|"))
            if any(fnmatchcase(word, pattern) for pattern in patterns):
                start = case.start("branches")
                kept = range(start + branch.start("body"), start + branch.end("body"))
                break
        text = _only(text, range(case.start(), case.end()), kept)
    text, other = _by_if(text, arguments)
    return text, min((each for each in (first, other) if each >= 0), default=-1)


def others(text: str, arguments: tuple[str, ...], known: Collection[str]) -> tuple[str, ...]:
    """The words by which a script chooses something else than its arguments do, and that are none of
    those `known`, where "" is no word; of several for one choice, the first.
    """
    text = _without_names(without_functions(text)[0], arguments)
    groups: list[list[str]] = []
    if case := _CASE.search(text):
        patterns = (branch["patterns"].split("|") for branch in _BRANCH.finditer(case["branches"]))
        groups += [[each.strip().strip("\"'") for each in some] for some in patterns]
    for each in simple_commands(text):
        for one, operator, other in zip(each.words, each.words[1:], each.words[2:], strict=False):
            first = one.startswith(("$1", "${1")) or one in arguments[:1]
            groups += [[other]] if first and operator in {"=", "==", "!="} else []
    words = {*known, *arguments[:1]}
    if case and "" in known:  # it starts without a word, too
        words.add(positional(case["word"], ()))
    found = (
        group[0]
        for group in groups
        if not any(fnmatchcase(word, pattern) for pattern in group for word in words)
        if not any(set(pattern) <= {"*"} or pattern[0] in "-$" for pattern in group)
    )
    return tuple(dict.fromkeys(found))


def _without_names(text: str, arguments: tuple[str, ...]) -> str:
    """A script with its first argument in place of each name that it gives it (`cmd="$1"`) and only
    reads. After a `shift` or `set --`, a name is left alone.
    """
    for found in _NAMED.finditer(text):
        before, behind, name = text[: found.start()], text[found.end() :], found["name"]
        value = positional(found["value"], arguments)
        commands = simple_commands(f"{before}:")
        if any(changed((), each.words) is not None for each in commands):
            break
        read = re.compile(rf"\$(?:{name}\b|\{{{name}\}})")
        alone = not re.search(rf"\b{name}\b", before + read.sub("", behind))
        if alone and _WORD.fullmatch(value) and [*_depths(commands)][-1][1] == 0:
            text = before + " " * len(found[0]) + read.sub(value, behind)
            return _without_names(text, arguments)
    return text


def _by_if(text: str, arguments: tuple[str, ...]) -> tuple[str, int]:
    """As `chosen`, of its `if`, `&&` and `||` alone."""
    first = -1
    while found := _choice(text, arguments) or _short(text, arguments):
        text = _only(text, found.whole, found.kept)
        if found.words and (first < 0 or found.whole.start < first):
            first = found.whole.start
    return text, first


def ends(commands: list[SimpleCommand]) -> list[SimpleCommand]:
    """The commands up to the one that surely ends a script: `exec PROGRAM`, or before `exit`."""
    sure = False
    for number, (each, depth) in enumerate(_depths(commands)):
        # `shift` succeeds, so what follows its `&&` is as sure as it is
        shifts = sure and changed((), commands[number - 1].words) is not None
        sure = not depth and each.before not in {"&&", "||", "|", "("}
        sure = sure or (shifts and each.before == "&&")
        if not sure or not each.words:
            continue
        if each.words[0] == "exec" and each.words[1:]:
            return commands[: number + 1]
        if each.words in (("exit",), ("exit", "0")) and number:
            return commands[:number]
    return commands


@dataclass(frozen=True, slots=True)
class _Choice:
    whole: range  # from `if` to `fi`
    kept: range
    words: bool  # whether it compares with a word that is no option


def _only(text: str, whole: range, kept: range) -> str:
    return "".join(
        char if char == "\n" or at in kept or at not in whole else " "
        for at, char in enumerate(text)
    )


def _depths(commands: list[SimpleCommand]) -> Iterator[tuple[SimpleCommand, int]]:
    """Each command, and within how many blocks it is; `if` and `fi` are outside of their own."""
    depth = 0
    for each in commands:
        words = list(each.words)
        while words and words[0] in _LEADS:
            words.pop(0)
        depth -= bool(words) and words[0] in _CLOSES
        yield each, depth
        depth += bool(words) and words[0] in _OPENS


def _choice(text: str, arguments: tuple[str, ...]) -> _Choice | None:
    """The first `if` outside of other blocks whose conditions the arguments decide."""
    started: SimpleCommand | None = None
    # of each branch: its condition, and where it begins and ends
    conditions: list[list[SimpleCommand]] = []
    bodies: list[list[int]] = []
    for each, depth in _depths(ends(simple_commands(text))):
        word = each.words[0] if each.words else ""
        if depth == 0 and word == "if":
            started, conditions, bodies = each, [[each]], []
        elif started is None:
            after = None if depth else changed(arguments, each.words)
            arguments = arguments if after is None else after
        elif depth == 1 and word in {"then", "elif", "else"}:
            if word != "then" and bodies:
                bodies[-1][1] = each.offset
            if word == "elif":
                conditions.append([each])
            else:
                bodies.append([each.offset + len(word), len(text)])
        elif depth == 1 and len(conditions) > len(bodies):
            conditions[-1].append(each)
        elif depth == 0 and word == "fi":
            if len(bodies) < len(conditions):
                return None  # it is no script that a shell reads
            bodies[-1][1] = each.offset
            whole = range(started.offset, each.offset + len(word))
            if found := _decided(conditions, bodies, arguments, whole):
                return found
            started = None
    return None


def _short(text: str, arguments: tuple[str, ...]) -> _Choice | None:
    """The first `TEST && COMMAND` or `TEST || COMMAND` outside of blocks that the arguments decide."""
    commands = simple_commands(text)
    reached = len(ends(commands))
    for number, (test, depth) in enumerate([*_depths(commands)][:reached]):
        rest = commands[number + 1 :]
        operator = rest[0].before if rest else ""
        if depth or test.before in {"&&", "||", "|"}:
            continue
        after = changed(arguments, test.words)
        arguments = arguments if after is None else after
        behind = next((each for each in rest if each.before != operator), None)
        opens = rest and {*rest[0].words[:1]} & _OPENS
        mixed = opens or (behind and behind.before in {"&&", "||", "|"})
        if operator in {"&&", "||"} and {*test.words[:1]} & {*_TESTS} and not mixed:
            end = behind.offset if behind else len(text)
            body = [rest[0].offset, end]
            bodies = [body] if operator == "&&" else [[end, end], body]
            if found := _decided([[test]], bodies, arguments, range(test.offset, end)):
                return found
    return None


def _decided(
    conditions: list[list[SimpleCommand]],
    bodies: list[list[int]],
    arguments: tuple[str, ...],
    whole: range,
) -> _Choice | None:
    asks = [each.words for condition in conditions for each in condition]
    words = any(
        operator in {"=", "==", "!="} and other[:1] not in {"-", "", "$"} and not other.isdecimal()
        for each in asks
        for operator, other in pairwise(each)
    )
    for number, condition in enumerate(conditions):
        holds = _holds(condition, arguments)
        if holds is None:
            return None
        if holds:
            return _Choice(whole, range(*bodies[number]), words)
    rest = range(*bodies[-1]) if len(bodies) > len(conditions) else range(0)
    return _Choice(whole, rest, words)


def _holds(condition: list[SimpleCommand], arguments: tuple[str, ...]) -> bool | None:
    """Whether the commands behind an `if` succeed; None where it is not known."""
    tests: list[tuple[str, list[str]]] = []
    for each in condition:
        words = [positional(word, arguments) for word in each.words]
        words = words[1:] if words[:1] in (["if"], ["elif"]) else words
        if tests and tests[-1][1][:1] == ["[["] and tests[-1][1][-1] != "]]":
            tests[-1][1].extend(["-o" if each.before == "||" else "-a", *words])
        else:
            tests.append((each.before, words))
    result: bool | None = None
    for number, (operator, words) in enumerate(tests):
        negated = words[:1] == ["!"]
        one = _test(words[negated:])
        if one is None or (number and operator not in {"&&", "||"}):
            return None
        one = one != negated
        if number and result is not None:
            one = (result and one) if operator == "&&" else (result or one)
        result = one
    return result


def _test(words: list[str]) -> bool | None:
    """Whether `[ a = b ]`, `[[ ]]` or `test` holds."""
    end = _TESTS.get(words[0]) if words else None
    if end is None or (end and words[-1] != end) or any(re.search(r"[$`]", w) for w in words):
        return None
    inner = [word.replace(LITERAL, "$") for word in words[1 : -1 if end else None]]
    for operator, combine in (("-o", any), ("-a", all)):
        if operator in inner:
            parts: list[list[str]] = [[]]
            for word in inner:
                if word == operator:
                    parts.append([])
                else:
                    parts[-1].append(word)
            known = [_test([words[0], *part, *([end] if end else [])]) for part in parts]
            return None if None in known else combine(map(bool, known))
    match inner:
        case ["!", *rest]:
            holds = _test([words[0], *rest, *([end] if end else [])])
            return None if holds is None else not holds
        case [one, "=" | "==", other]:
            return fnmatchcase(one, other) if words[0] == "[[" else one == other
        case [one, "!=", other]:
            return not fnmatchcase(one, other) if words[0] == "[[" else one != other
        case ["-n", one] | [one]:
            return bool(one)
        case ["-z", one]:
            return not one
        case [one, operator, other] if (
            operator in _COMPARE and (one + other).isdecimal() and one and other
        ):
            difference = int(one) - int(other)
            return {
                "-eq": difference == 0,
                "-ne": difference != 0,
                "-gt": difference > 0,
                "-lt": difference < 0,
                "-ge": difference >= 0,
                "-le": difference <= 0,
            }[operator]
    return None
