"""A command of a Dockerfile or compose file as words that need no shell. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from slimbake.adopt.choices import (
    ARGUMENTS,
    changed,
    chosen,
    ends,
    others,
    positional,
    reads_arguments,
    without_functions,
)
from slimbake.adopt.code import Code, NeedsShell, Unreadable
from slimbake.adopt.model import Command, Note, Place, Said, Served
from slimbake.adopt.shell import (
    LITERAL,
    SimpleCommand,
    expand,
    only_words,
    simple_commands,
    starts_program,
    with_exec,
)
from slimbake.config.shells import REAPER_OPTIONS, REAPERS, after_options

_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
# Debian's, which an image without a shell does not have; a service that starts them hides its own.
_UTILITIES = frozenset({"tail", "sleep", "cat", "env", "true", "nohup", "timeout"})
# More of these, which scripts use before they start a service.
_FILE_TOOLS = frozenset(
    {
        *("rm", "mkdir", "rmdir", "chown", "chmod", "chgrp", "touch", "cp", "mv", "ln", "ls"),
        *("find", "install", "mktemp", "tee", "sed", "grep", "awk", "date", "id", "xargs"),
    }
)
_FLEETING = ("/tmp/", "/run/", "/var/run/")  # noqa: S108 - empty when a container starts
_PROGRAMS = ("/app/", "/usr/", "/bin/", "/sbin/", "/lib/")  # the context, and Debian's packages
_SCHEDULERS = frozenset({"cron", "crond"})  # as root, of a table that names the jobs
_PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
# What only starts another command, and which of its options take a word.
_STARTERS: Mapping[tuple[str, ...], frozenset[str]] = {
    **{(name,): REAPER_OPTIONS for name in sorted(REAPERS)},
    ("poetry", "run"): frozenset({"-C", "--directory", "-P", "--project"}),
    ("uv", "run"): frozenset(
        {"--package", "--extra", "--group", "--project", "--directory", "--python", "-p", "--with"}
    ),
    ("pipenv", "run"): frozenset(),
    ("pdm", "run"): frozenset({"-p", "--project"}),
    ("conda", "run"): frozenset({"-n", "--name", "-p", "--prefix"}),
}
# What starts another command as a user that it names first.
_AS_USER = frozenset({"gosu", "su-exec"})
_CHANGES = re.compile(
    rf"(?m)^[^#\n]*(?<![\w-])(?:{'|'.join(sorted(_AS_USER))})\s+[\"']?([\w:.${{}}-]+)"
)
_MOST = 3  # scripts that start one another
_CONDITIONS = (("if",), ("while",), ("for",), ("until",), ("case",))
_SAYS = frozenset({"echo", "printf", "done", "fi", "esac"})  # what only prints, or ends a block
# What is about the shell itself: the block around it has the note, where there is one.
_SILENT = frozenset({"set", "true", "shift", "exit", "return", "break", "continue"})
_NAME = re.compile(r"[A-Za-z_]\w*")
_DEFAULT = re.compile(r"\$\{(\w+):?=(.*)\}", re.DOTALL)
_ONE_VARIABLE = re.compile(r"\$(?:\w+|\{[^{}]*\})")
_FROM = re.compile(r"\$\{@:([1-9])\}")  # the arguments from one on
# Of a virtual environment, in place of which slimbake's images have one for all.
ACTIVATES = re.compile(
    r"(?:^|(?<=[\s;&]))(?:source|\.)\s+[\"']?(?P<path>[^\s;&\"']*bin/activate)[\"']?"
)
_SHEBANG = re.compile(r"#!\s*(?:/usr)?/bin/(?:env\s+)?(?:ba|da|a)?sh\b")
_RUN_BEFORE = (
    "it ran before the service, in its container: run it as a job of its own before, such as"
    " `slimbake run {} {}`"
)
_NO_PROGRAM = (
    "slimbake's images have no `{}`: if it is still needed, do it in the service's own code"
)
_SHELL_BEFORE = (
    "a shell did it before the service, and images have none: do it in the service's own code, or"
    " in a job before it"
)


def only_debians(program: str) -> bool:
    """Whether a program is one of Debian's utilities, which slimbake's images do not have."""
    return posixpath.basename(program) in _UTILITIES | _FILE_TOOLS


def _not_activating(text: str) -> str:
    return re.sub(rf"{ACTIVATES.pattern}\s*(?:&&|;)\s*", "", text)


def is_shell_script(text: str) -> bool:
    """Whether the first line of a file says that a shell runs it."""
    return bool(_SHEBANG.match(text))


def reaper_of(*commands: Command | None) -> tuple[str, ...]:
    """The program by which one of these commands starts another as its child, tini or dumb-init, with
    its options; () where none does.
    """
    for words in (each.text.split() for each in commands if each):
        if words and (name := posixpath.basename(words[0])) in REAPERS:
            options = words[1 : after_options(words[1:], REAPER_OPTIONS) + 1]
            return (name, *(each for each in options if each != "--"))
    return ()


@dataclass(frozen=True, slots=True)
class Plainly:
    """A command without a shell."""

    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = ""  # "": as it was
    passes: bool = False  # whether it only starts what comes behind it
    notes: tuple[Note, ...] = ()
    filled: tuple[tuple[str, Place], ...] = ()  # words whose variables were filled in, and where
    starts: tuple[str, ...] = ()  # the last commands of shells that stay, as far as they are known


@dataclass(slots=True)
class _Found:
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = ""
    defaults: dict[str, str] = field(default_factory=dict)  # `: ${NAME:=VALUE}`
    notes: list[Note] = field(default_factory=list)
    filled: dict[str, Place] = field(default_factory=dict)

    def note(self, note: Note) -> None:
        """Add a note, once."""
        if note not in self.notes:
            self.notes.append(note)


@dataclass(frozen=True, slots=True)
class Shellless:
    """Takes the shell out of commands. `script`: the text of a file of the image, and its place."""

    code: Code
    values: Mapping[str, str]
    script: Callable[[str], tuple[str, Place] | None]
    service: str
    ends: bool = False  # whether it is a job, of which each command is work
    known: frozenset[str] = frozenset()  # the words of commands that services of its image have

    def plainly(self, command: Command) -> Plainly:
        """The words of a command. Raises Unreadable where it needs a shell."""
        found = _Found()
        if command.shell:
            words, passes = self._shell(command.text, command.place, found, 0)
        else:
            words, passes = self._words(command.words, command.place, found, 0)
        return Plainly(
            words,
            tuple(found.env.items()),
            found.workdir,
            passes,
            tuple(found.notes),
            tuple(found.filled.items()),
        )

    def chooses(self, entrypoint: Command) -> bool:
        """Whether an entrypoint is a script that reads or changes its arguments, as one does that
        chooses by them what it starts.
        """
        words = self._without_starters(entrypoint.words)
        at = _after_shell(words)[0]
        read = self.script(words[at]) if at < len(words) and not entrypoint.shell else None
        text = without_functions(read[0])[0] if read else ""
        return reads_arguments(text) or any(
            changed((), each.words) is not None for each in simple_commands(text)
        )

    def joined(self, entrypoint: Command, command: Command) -> Command | None:
        """Both as one, where the entrypoint is a shell with its options alone, as in `[sh, -c]`."""
        words = self._without_starters(entrypoint.words)
        bare = words and not entrypoint.shell and _after_shell(words)[0] == len(words)
        return replace(entrypoint, words=(*words, *listed(command))) if bare else None

    def shelled(self, command: Command, *, read: bool = False) -> tuple[tuple[str, ...], str]:
        """The words of a command for an image with a shell, and the shell that it wants. `read`:
        whether a script looks at them, so that a shell among them stays. Raises Unreadable where
        that is no help.
        """
        words = self._without_starters(listed(command))
        name = posixpath.basename(words[0]) if words else ""
        if name in _SHELLS:
            at, is_text = _after_shell(words)
            text = _not_activating(words[at]) if is_text else ""
            for each in simple_commands(text):
                inner = self._without_starters(each.words[each.words[:1] == ("exec",) :])
                self._refuse_scheduler("".join(inner[:1]), command.place)
            alone = at + 1 == len(words) and not read
            if bare := only_words(text) if alone else ():
                return self.shelled(Command(bare, False, command.place))
            rest = (with_exec(text), *words[at + 1 :]) if is_text else words[at:]
            return (name, *words[1:at], *map(self.code.moved, rest)), name
        script = self.script(words[0]) if words else None
        if script is None or not _SHEBANG.match(script[0]):
            return self._named(words), ""
        text, place = script
        inside = posixpath.relpath(place.file, self.code.context)
        if inside.startswith("../") or place.line != 1:
            raise Unreadable(
                Note(
                    place,
                    f"{words[0]} is a script that does not lie in {self.code.context}",
                    "move it there; until then the service keeps its Dockerfile",
                    self.service,
                )
            )
        shell = "bash" if "bash" in text.partition("\n")[0] else "sh"
        return (shell, posixpath.join("/app", inside), *words[1:]), shell

    def scripts(self, command: Command) -> dict[Place, str]:
        """The shell scripts that a command starts, and those that they start: first line -> text."""
        found: dict[Place, str] = {}
        words = listed(command)
        at, is_text = _after_shell(words)
        texts = [words[at] if is_text else shlex.join(words)]
        while texts:
            for each in simple_commands(texts.pop()):
                words = self._without_starters(each.words[each.words[:1] == ("exec",) :])
                read = self._script_of(words) if words else None
                if read and read[1] not in found:
                    found[read[1]] = read[0]
                    texts.append(read[0])
        return found

    def user(self, command: Command) -> Said | None:
        """The user that a command or its scripts change to, where its name is known."""
        texts = {command.place: command.text, **self.scripts(command)}
        for place, text in texts.items():
            if found := _CHANGES.search(text):
                name = expand(found[1], self.values)[0]
                line = place.line + text.count("\n", 0, found.start(1))
                known = re.fullmatch(r"[\w.-]+(?::[\w.-]+)?", name)
                return Said(name, Place(place.file, line)) if known else None
        return None

    def starts(self, command: Command) -> tuple[str, ...]:
        """The words of the last command of each text and script that a shell runs."""
        words = self._without_starters(listed(command))
        at, is_text = _after_shell(words)
        texts = [*words[at : at + is_text], *self.scripts(command).values()]
        if texts and not is_text:  # whose arguments are known
            picked = chosen(texts[0], tuple(w.replace("$", LITERAL) for w in words[at + 1 :]))[0]
            texts[0] = picked if simple_commands(picked) else texts[0]
        found = (ends(simple_commands(without_functions(text)[0])) for text in texts)
        last = (word for each in found if each for word in each[-1].words)
        return tuple(expand(word, self.values)[0].replace(LITERAL, "$") for word in last)

    def _words(
        self, words: tuple[str, ...], place: Place, found: _Found, depth: int
    ) -> tuple[tuple[str, ...], bool]:
        words = self._without_starters(words)
        if not words:
            return (), True
        name = posixpath.basename(words[0])
        if name in _SHELLS and len(words) > 1:
            at, is_text = _after_shell(words)
            if is_text:
                return self._shell(words[at], place, found, depth + 1)
            return self._script(words[at:] or words[1:], place, found, depth)
        self._refuse_scheduler(words[0], place)
        if name in _UTILITIES:
            raise NeedsShell(
                Note(
                    place,
                    f"`{name}` is no program of slimbake's images",
                    "let the service itself be the command; until then it keeps its Dockerfile",
                    self.service,
                )
            )
        if (read := self.script(words[0])) and (
            _SHEBANG.match(read[0]) or words[0].endswith(".sh")
        ):
            return self._script(words, place, found, depth)
        moved = self._named(words)
        if posixpath.isabs(moved[0]) and not moved[0].startswith(_PROGRAMS):
            raise Unreadable(
                Note(
                    place,
                    f"{words[0]} is a program that the build context does not have",
                    "write `command` without it; until then the service keeps its Dockerfile",
                    self.service,
                )
            )
        return moved, False

    def _named(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The words of a command, with its program by the name that slimbake's image has for it."""
        if not words:
            return ()
        first, folder = words[0], posixpath.dirname(words[0])
        if first.endswith(".py") and not first.startswith("-"):
            words = ("python", *words)
        elif _PYTHON.fullmatch(posixpath.basename(first)):
            words = ("python", *words[1:])
        elif folder.endswith("/bin") or folder == "bin":
            words = (posixpath.basename(first), *words[1:])
        return tuple(map(self.code.moved, words))

    def _refuse_scheduler(self, program: str, place: Place) -> None:
        if posixpath.basename(program) in _SCHEDULERS:
            raise Unreadable(
                Note(
                    place,
                    f"`{posixpath.basename(program)}` starts jobs as root, by a table",
                    "give each job a service with its own `command`, and let what runs containers"
                    " start it by the clock, such as a CronJob of Kubernetes; until then the service"
                    " keeps its Dockerfile",
                    self.service,
                )
            )

    def _without_starters(self, words: tuple[str, ...]) -> tuple[str, ...]:
        while words:
            first = (posixpath.basename(words[0]), *words[1:])
            if first[0] in _AS_USER:
                words = words[2:]
                continue
            starter = next((s for s in _STARTERS if first[: len(s)] == s), None)
            if starter is None:
                return words
            words = words[len(starter) :]
            words = words[after_options(words, _STARTERS[starter]) :]
        return words

    def _script(
        self, words: tuple[str, ...], place: Place, found: _Found, depth: int
    ) -> tuple[tuple[str, ...], bool]:
        read = self.script(words[0])
        if read is None or depth > _MOST:
            raise Unreadable(
                Note(
                    place,
                    f"{words[0]} is a shell script that is not in the build context",
                    "write its last command as `command`; until then the service keeps its"
                    " Dockerfile",
                    self.service,
                )
            )
        text, begin = read
        arguments = tuple(word.replace("$", LITERAL) for word in words[1:])
        picked, first = chosen(text, arguments)
        text = picked if simple_commands(picked) else text  # a script that only waits for a word
        left = others(read[0], arguments, self.known)
        if first >= 0 and words[1:] and left:
            line = text.count("\n", 0, first)
            found.notes.append(
                Note(
                    Place(begin.file, begin.line + line),
                    f"{words[0]} chooses by its first word what it starts",
                    f"the image starts what `{words[1]}` chooses: write a service with its own"
                    f" `command` for {', '.join(left)}, or start that by hand: `slimbake run"
                    f" {self.service} COMMAND ...`",
                    self.service,
                )
            )
        inner, passes = self._shell(text, begin, found, depth + 1, arguments or None)
        return inner, passes

    def _shell(
        self,
        text: str,
        place: Place,
        found: _Found,
        depth: int,
        arguments: tuple[str, ...] | None = None,
    ) -> tuple[tuple[str, ...], bool]:
        """The last command of a shell's text; what ran before it becomes notes. `arguments`: None
        where they are not known.
        """
        text, functions = without_functions(text)
        commands = ends(simple_commands(text))

        def line(command: SimpleCommand) -> Place:
            more = text.count("\n", 0, command.offset) if "\n" in text else 0
            return Place(place.file, place.line + more)

        if not commands:
            raise NeedsShell(self._needs_shell(text, place))
        *before, last = commands
        split: frozenset[str] = frozenset()  # words of `set --` that a shell splits
        for command in before:
            after = None if arguments is None else changed(arguments, command.words)
            surely = command.before not in {"&&", "||"} and not any(
                each.words[:1] in _CONDITIONS for each in before
            )
            if after is not None and surely:
                arguments, split = after, split | command.split
            elif after is not None or (
                arguments is not None and (_reads(command) or command.words[:1] == ("shift",))
            ):
                written = text.split("\n")[text.count("\n", 0, command.offset)]
                shown = " ".join(command.words) or written
                raise NeedsShell(self._needs_shell(shown, line(command)))
            else:
                self._before(command, text, line(command), found, functions)
        words = last.words[1:] if last.words[:1] == ("exec",) else last.words
        if words[:1] in {(each,) for each in ("exit", "return", *functions)}:
            raise NeedsShell(self._needs_shell(" ".join(words), line(last)))
        handed: tuple[str, ...] = ()
        passing = False
        start = _FROM.fullmatch(words[-1]) if words else None
        if last.plain and words and (start or words[-1] in ARGUMENTS):
            words, handed = words[:-1], (arguments or ())[int(start[1]) - 1 if start else 0 :]
            passing = arguments is None
        if passing and not words:
            return (), True
        found.env.update(dict(last.assignments))
        if not last.plain or not (words or handed) or last.before == "||":
            raise NeedsShell(
                self._needs_shell(text if "\n" not in text else " ".join(last.words), line(last))
            )
        whole = [(word, word in last.split, arguments) for word in words]
        whole += [(word, word in split, None) for word in handed]
        filled = [part for each in whole for part in self._parts(*each, line(last), found)]
        if not filled:
            raise NeedsShell(self._needs_shell(" ".join(last.words), line(last)))
        inner, passes = self._words(tuple(filled), line(last), found, depth + 1)
        return inner, passes or passing

    def _script_of(self, words: tuple[str, ...]) -> tuple[str, Place] | None:
        """The shell script that a command starts, by its name or with a shell."""
        if posixpath.basename(words[0]) in {*_SHELLS, "source", "."} and len(words) > 1:
            return self.script(words[1])
        read = self.script(words[0])
        return read if read and (_SHEBANG.match(read[0]) or words[0].endswith(".sh")) else None

    def _before(
        self,
        command: SimpleCommand,
        text: str,
        place: Place,
        found: _Found,
        functions: frozenset[str],
        depth: int = 0,
    ) -> None:
        words = command.words
        read = self._script_of(words) if words and depth < _MOST else None
        if self.ends and read is None and _works(command, functions):
            shown = " ".join(words).replace(LITERAL, "$")
            what, advice = f"`{shown}` is a part of the job", "write both as one program"
            raise NeedsShell(Note(place, what, advice, self.service))
        if not words:
            found.env.update(
                {name: self._filled(v, place, found) for name, v in command.assignments}
            )
        elif words[0] == ":" and not command.into:
            defaults = filter(None, map(_DEFAULT.fullmatch, words[1:]))
            found.defaults.update((each[1], each[2]) for each in defaults)
        elif _silent(words):
            return
        elif words[0] == "cd" and len(words) == 2 and "$" not in words[1]:
            found.workdir = words[1]
        elif words[0] == "export" and all(word[:1] != "-" for word in words[1:]):
            if not self._exported(words[1:], place, found):
                found.note(self._ran_before(command, text, place))
        elif read:
            (inner, names), begin = without_functions(read[0]), read[1]
            for each in simple_commands(inner):
                at = Place(begin.file, begin.line + inner.count("\n", 0, each.offset))
                self._before(each, inner, at, found, functions | names, depth + 1)
        elif words[0] not in _SAYS or any(not each.startswith("/dev/") for each in command.into):
            alone = command.plain and words[0] not in {*functions, "exec"}
            found.note(self._ran_before(command, text, place, alone=alone))

    def _ran_before(
        self, command: SimpleCommand, text: str, place: Place, *, alone: bool = False
    ) -> Note:
        shown = " ".join(command.words).replace(LITERAL, "$")
        advice = _RUN_BEFORE.format(self.service, shown)
        name = posixpath.basename(command.words[0])
        if name in _UTILITIES | _FILE_TOOLS and command.plain:
            advice = _NO_PROGRAM.format(name)
        elif not alone:
            shown = text.split("\n")[text.count("\n", 0, command.offset)].strip()
            advice = _SHELL_BEFORE
        return Note(place, f"`{shown}`", advice, self.service)

    def _exported(self, words: Iterable[str], place: Place, found: _Found) -> bool:
        """Take what a script exports; whether all of it is known without a shell."""
        whole = True
        for word in words:
            name, given, value = word.partition("=")
            if given and _NAME.fullmatch(name):
                found.env[name] = self._filled(value, place, found)
            elif name in found.defaults and name not in self.values:
                try:
                    found.env.setdefault(name, self._filled(found.defaults[name], place, found))
                except NeedsShell:  # such as $(nproc): the service may do without it
                    whole = False
            else:
                whole = whole and (name in self.values or name in found.env)
        return whole

    def _parts(
        self, word: str, split: bool, arguments: tuple[str, ...] | None, place: Place, found: _Found
    ) -> list[str]:
        """What a script's word becomes; `split`: whether a shell splits it at spaces."""
        known = word if arguments is None else positional(word, arguments)
        text = self._filled(known, place, found)
        if not split or (text and not re.search(r"[\s*?\[]", text)):
            return [text]
        if not _ONE_VARIABLE.fullmatch(word) or re.search(r"[*?\[]", text):
            raise NeedsShell(self._needs_shell(word, place))
        return text.split()

    def _filled(self, word: str, place: Place, found: _Found) -> str:
        text, missing = expand(word, {**self.values, **found.env})
        if missing or ("$" in text):
            name = re.escape(missing[0]) if missing else r"\(.*\)|\S+"
            part = re.search(rf"\$(?:{name}|\{{{name}\b[^{{}}]*\}})", word if missing else text)
            shown = word.replace(LITERAL, "$")
            of = "" if part is None or part[0] == shown else f" of `{shown}`"
            raise NeedsShell(
                Note(
                    place,
                    f"a shell fills in {part[0] if part else shown}{of}",
                    "read the variable in the service's own code, or write its value; until then"
                    " the service keeps its Dockerfile",
                    self.service,
                )
            )
        if text != word:
            found.filled.setdefault(word.replace(LITERAL, "$"), place)
        return text.replace(LITERAL, "$")

    def _needs_shell(self, text: str, place: Place) -> Note:
        shown = " ".join(text.replace(LITERAL, "$").split())
        shown = shown if len(shown) < 70 else f"{shown[:66]} ..."
        return Note(
            place,
            f"`{shown}` needs a shell",
            "write `command` as a list, without a shell's syntax; until then the service keeps its"
            " Dockerfile",
            self.service,
        )


def listed(command: Command) -> tuple[str, ...]:
    """A command's words, with those of the shell that runs it."""
    return (*command.by, command.text) if command.shell else command.words


def _after_shell(words: tuple[str, ...]) -> tuple[int, bool]:
    """Where the first word stands that is neither a shell nor its option, and whether it is text to
    run.
    """
    at, is_text = int(posixpath.basename("".join(words[:1])) in _SHELLS), False
    while at and at < len(words) and re.match(r"[-+]\w", words[at]):
        is_text = is_text or re.match(r"-\w*c", words[at]) is not None
        at += 2 if re.fullmatch(r"[-+]\w*[oO]", words[at]) else 1
    at = min(at, len(words))
    return at, is_text and at < len(words)


def _silent(words: tuple[str, ...]) -> bool:
    """Whether a command before the service needs no word: it is about the shell, or removes what no
    new container has.
    """
    removes = words[0] == "rm" and all(
        each.startswith(("-", *_FLEETING)) or each.endswith(".pid") for each in words[1:]
    )
    runs = words[0] == "exec" and bool(words[1:])  # in a block, which has a note
    activates = ACTIVATES.fullmatch(" ".join(words)) is not None
    return removes or runs or activates or words[0] in _SILENT or words[0].startswith("#!")


def _works(command: SimpleCommand, functions: frozenset[str]) -> bool:
    """Whether a command before the last starts a program that is more than a tool of scripts."""
    words = command.words[command.words[:1] in (("then",), ("else",), ("do",)) :]
    tools = _UTILITIES | _FILE_TOOLS | _SAYS | functions
    return (
        starts_program(words)
        and not _silent(words)
        and posixpath.basename(words[0]) not in tools
        and not words[0].startswith("$")
    )


def _reads(command: SimpleCommand) -> bool:
    """Whether a command does something with a script's arguments but to print them."""
    return command.words[:1] not in {(each,) for each in _SAYS} and any(
        reads_arguments(word)
        for word in (*command.words, *(value for _, value in command.assignments))
    )


_PORT_OPTIONS = frozenset({"--port", "-p", "--server.port", "--server-port", "--http-port"})
_BIND_OPTIONS = frozenset({"-b", "--bind", "--listen", "--address", "--host"})


def port_of(words: tuple[str, ...]) -> int | None:
    """The port that a command names."""
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        following = value if equals else (words[number + 1] if number + 1 < len(words) else "")
        if option in _PORT_OPTIONS and following.isdigit():
            return int(following)
        if option in _BIND_OPTIONS and (found := re.search(r":(\d+)$", following)):
            return int(found[1])
        if found := re.fullmatch(r"(?:\d+\.\d+\.\d+\.\d+|\[::\]|localhost):(\d+)", word):
            return int(found[1])
        if word in {"runserver", "http.server"} and following.isdigit():
            return int(following)
    return None


_SERVED = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)(?:\(\))?")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_FOLDER_OPTIONS = frozenset({"--app-dir", "--chdir", "--workdir"})


def served(words: tuple[str, ...], known: Callable[[str, str], bool]) -> tuple[Served, ...]:
    """The modules that a command names. `known`: whether the service's code has a module, in a
    folder.
    """
    folder = ""
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in _FOLDER_OPTIONS:
            folder = value if equals else (words[number + 1 : number + 2] or ("",))[0]
    folder = posixpath.normpath(folder.removeprefix("/app/")) if folder else ""
    found: dict[Served, None] = {}
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        value = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        if (match := _SERVED.fullmatch(value)) and known(match[1], folder):
            found[Served(match[1], match[2], folder)] = None
        elif before == "-m" and known(value, folder):
            found[Served(value, "", folder, main=True)] = None
        elif (before in {"-A", "--app"} or word.startswith("--app=")) and known(value, folder):
            found[Served(value, "", folder)] = None
        elif _MODULE.fullmatch(word) and word.endswith((".wsgi", ".asgi")) and known(word, folder):
            found[Served(word, "application", folder)] = None
        elif word.endswith(".py"):
            path = posixpath.normpath(word.removeprefix("/app/")).removesuffix(".py")
            where, name = posixpath.split(path)
            dotted = path.replace("/", ".")
            if (
                words[0] != "python"
                and where
                and known(f"{dotted.rpartition('.')[0]}.__init__", "")
            ):
                found[Served(dotted)] = None  # as a part of its package, which a server sees
            elif known(name, where):
                found[Served(name, "", where)] = None
    return tuple(found)
