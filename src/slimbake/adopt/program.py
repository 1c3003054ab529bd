"""What a service starts: its command, port, start check and working directory. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from slimbake.adopt.code import APP, Code, Unreadable
from slimbake.adopt.commands import (
    ACTIVATES,
    Plainly,
    Shellless,
    listed,
    port_of,
    reaper_of,
)
from slimbake.adopt.model import (
    Command,
    ImageFacts,
    Note,
    Place,
)
from slimbake.adopt.sheet import Sheet, below, folder_of, modules_of, script_at
from slimbake.adopt.shell import called, essential
from slimbake.config.compose import dotenv

# subprocess and asyncio, os; in code, as far as a line shows it
_SHELL_CALL = re.compile(
    r"^[^#\n]*(?:\bshell *= *True\b|\bos\.(?:system|popen)\(|\bcreate_subprocess_shell\(|"
    r"\bsubprocess\.getoutput\(|\bsubprocess\.getstatusoutput\()",
    re.MULTILINE,
)
# What only an entrypoint can take: an option, a script, a function
_ARGUMENT = re.compile(r"-.*|[\w./-]*\.py|\w+\.\w+")
# of the standard library and of packages for it
_READS_ARGUMENTS = re.compile(
    r"\b(?:argv|argparse|ArgumentParser|parse_args|optparse|getopt|click|typer|fire|docopt|absl|hydra"
    r"|tyro|cyclopts|jsonargparse|simple_parsing|HfArgumentParser)\b"
)
_SUPERVISORS = frozenset({"supervisord", "circusd", "honcho", "s6-svscan", "runsvdir"})
_CHECKED_PORT = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)")


def command_of(
    sheet: Sheet, facts: ImageFacts, code: Code, env: Mapping[str, str]
) -> tuple[Plainly, int]:
    """The command, and how many of its words are those of the entrypoint."""
    compose = sheet.of.compose
    entrypoint = (compose and compose.entrypoint) or facts.entrypoint
    command = (compose and compose.command) or (
        None if compose and compose.entrypoint else facts.command
    )
    if entrypoint is None and command and not command.shell:
        command = _for_its_base(sheet, command, facts, code)
    if entrypoint is None and command is None:
        raise Unreadable(
            Note(
                facts.place,
                "there is neither CMD nor ENTRYPOINT",
                "write `command` in its entry; until then the service keeps its Dockerfile",
            )
        )
    ends = sheet.of.job or bool(compose and compose.ends)
    reader = Shellless(
        code,
        env,
        lambda path: script_at(sheet, path, facts, code),
        sheet.of.name,
        ends,
        sheet.of.known,
    )
    for each in filter(None, (entrypoint, command)):
        sheet.changes = sheet.changes or reader.user(each)
    if entrypoint and command and (joined := reader.joined(entrypoint, command)):
        entrypoint, command = None, joined
    if sheet.needs_shell:
        return _shelled(sheet, reader, entrypoint, command, sheet.needs_shell)
    if entrypoint and command and reader.chooses(entrypoint):
        command = replace(entrypoint, words=(*entrypoint.words, *listed(command)))
        entrypoint = None
    first = reader.plainly(entrypoint) if entrypoint else Plainly((), passes=True)
    if first.passes and command is None and not first.words:
        raise Unreadable(
            Note(
                (entrypoint or facts.command or Command((), False, facts.place)).place,
                "the entrypoint starts what CMD names, and there is no CMD",
                "write `command` in its entry; until then the service keeps its Dockerfile",
            )
        )
    if command is None or (entrypoint and entrypoint.shell):  # Docker drops CMD then
        _filled_in(sheet, first)
        return first, len(first.words)
    last = reader.plainly(command) if first.passes else _as_is(reader, command)
    both = Plainly(
        (*first.words, *last.words),
        (*first.env, *last.env),
        last.workdir or first.workdir,
        False,
        (*first.notes, *last.notes),
        (*first.filled, *last.filled),
    )
    _filled_in(sheet, both)
    return both, len(first.words)


def _for_its_base(sheet: Sheet, command: Command, facts: ImageFacts, code: Code) -> Command:
    """A command that is only arguments, with the entrypoint of the base image that takes them.

    Raises Unreadable where that is not known.
    """
    first, parent = "".join(command.words[:1]), facts.parent.value
    name = posixpath.basename(re.sub(r"[:@].*", "", parent))
    if "/" not in parent.removeprefix("docker.io/library/") or not _ARGUMENT.fullmatch(first):
        return command
    if "python" in name and (first.startswith("-") or first.endswith(".py")):
        sheet.comments["command"] = f"init added python, the entrypoint of {parent}"
        return replace(command, words=("python", *command.words))
    module = posixpath.join(code.context, f"{first.partition('.')[0]}.py")
    its_own = "/" not in first and posixpath.normpath(module) in sheet.repository.files
    if first.startswith("-") or its_own:
        raise Unreadable(
            Note(
                command.place,
                f"the entrypoint of {parent} takes `{command.text}`",
                "write `entrypoint` and `command` in its entry; until then the service keeps its"
                " Dockerfile",
            )
        )
    return command


def _reads_arguments(sheet: Sheet, words: tuple[str, ...]) -> bool:
    """Whether a program may read arguments: surely not a script where no module of its context does."""
    inside = below(sheet.entry["context"])
    scripts = {f"{inside}{word.removeprefix(f'{APP}/')}" for word in words if word.endswith(".py")}
    texts = sheet.repository.texts
    return not scripts & {*texts} or any(
        _READS_ARGUMENTS.search(text)
        for path, text in texts.items()
        if path.startswith(inside) and path.endswith(".py")
    )


def _shelled(
    sheet: Sheet, reader: Shellless, entrypoint: Command | None, command: Command | None, why: Note
) -> tuple[Plainly, int]:
    """The same in an image with a shell, which stays where it does more than to start a program."""
    first, one = reader.shelled(entrypoint) if entrypoint else ((), "")
    drops = command is None or bool(entrypoint and entrypoint.shell)
    reads = bool(entrypoint and reader.chooses(entrypoint))
    last, other = ((), "") if command is None or drops else reader.shelled(command, read=reads)
    sheet.entry["shell"] = True
    sheet.comments["shell"] = f"{why.place}: {why.what}"
    scripts: dict[Place, str] = {}
    starts: tuple[str, ...] = ()
    for each in filter(None, (entrypoint, None if drops else command)):
        scripts |= reader.scripts(each)
        whole = (*each.words, *listed(command)) if each is entrypoint and reads and command else ()
        starts += reader.starts(replace(each, words=whole) if whole else each)
    _moved_in(sheet, scripts, reader.code)
    # texts of `sh -c` are among the words
    sheet.called = frozenset().union(*map(called, (*first, *last, *scripts.values())))
    if system := [*(["bash"] if "bash" in {one, other} else []), *essential(sheet.called)]:
        sheet.entry["system"] = system
    if (said := sheet.changes) and not any("id -u" in text for text in scripts.values()):
        advice = "containers start as `user` of the entry, without root: remove what changes it"
        sheet.note(said.place, f"the script changes to the user {said.value}", advice)
    return Plainly((*first, *last), starts=starts), len(first)


def _moved_in(sheet: Sheet, scripts: Mapping[Place, str], code: Code) -> None:
    """A note on each path of today's image that scripts name, and that is elsewhere in slimbake's."""
    found: dict[tuple[str, str], list[Place]] = {}
    for begin, text in scripts.items():
        for number, line in enumerate(text.split("\n"), begin.line):
            if activates := ACTIVATES.match(line.strip()):
                sheet.note(
                    Place(begin.file, number),
                    f"the script names {activates['path']}",
                    "slimbake's images have one environment for all packages: remove the line",
                )
            for move in {} if line.lstrip().startswith("#") else code.moves(line).items():
                found.setdefault(move, []).append(Place(begin.file, number))
    for (path, here), places in found.items():
        lines = ", ".join(map(str, places))
        advice = f"slimbake's image has it at {here}: change the path in {lines}"
        sheet.note(places[0], f"the script names {path}", advice)
    sheet.in_scripts = {path for path, _ in found}


def _filled_in(sheet: Sheet, plain: Plainly) -> None:
    """Say which variables of the command have no effect any more, where something sets them."""
    if not plain.filled:
        return
    sheet.comments["command"] = f"init filled in {', '.join(word for word, _ in plain.filled)}"
    facts, compose = sheet.of.facts, sheet.of.compose
    named = {*(facts.env if facts else ())}
    if compose:
        texts = (sheet.repository.texts.get(said.value, "") for said in compose.env_files)
        named |= {
            *compose.env,
            *compose.filled,
            *compose.passed,
            *(name for text in texts for name in dotenv(text)),
        }
    frozen = {
        name: place
        for word, place in plain.filled
        for name in re.findall(r"\$\{?(\w+)", word)
        if name in named
    }
    if frozen:
        sheet.note(
            next(iter(frozen.values())),
            f"`command` has the values of {', '.join(frozen)}",
            "another value has no effect when a container starts: let the service's own code"
            " read it, or write `shell: true` and the command as it was",
        )


def program_of(sheet: Sheet, words: tuple[str, ...], place: Place) -> tuple[str, ...]:
    """The words, less what cannot be in an image that nobody edits and writes to."""
    if words and posixpath.basename(words[0]) in _SUPERVISORS:
        sheet.note(
            place,
            f"{words[0]} starts several programs",
            "make each of them a service with its own command: Docker then starts, stops and checks"
            " each",
        )
    if "--reload" in words:
        sheet.note(place, "--reload", "an image's code does not change: it is left out")
        words = tuple(word for word in words if word != "--reload")
    beat = words[:1] == ("celery",) and "beat" in words
    if beat and (stored := _stores_schedule(sheet, words, place)):
        sheet.entry["start"] = "none"
        sheet.comments["start"] = "beat reads its schedule from tables that `migrate` makes"
        sheet.note(
            stored,
            "DatabaseScheduler: beat reads its schedule from the database",
            "a start check begins with an empty one, so it is off; run `migrate` before beat",
        )
    elif beat and not any(w.startswith(("-s", "--schedule", "-S", "--scheduler")) for w in words):
        words = (*words, "-s", "/tmp/celerybeat-schedule")  # noqa: S108 - in the container
        sheet.comments["command"] = "init added -s: beat writes its schedule, and /app is read-only"
    return words


def _stores_schedule(sheet: Sheet, words: tuple[str, ...], place: Place) -> Place | None:
    """Where it says that beat has its schedule in a database."""
    if any("DatabaseScheduler" in word for word in words):
        return place
    inside = below(sheet.entry["context"])
    for path, text in sorted(sheet.repository.texts.items()):
        if path.startswith(inside) and path.endswith(".py") and "DatabaseScheduler" in text:
            return Place(path, text[: text.index("DatabaseScheduler")].count("\n") + 1)
    return None


def start_of(
    sheet: Sheet, facts: ImageFacts, words: tuple[str, ...], fixed: int, starts: tuple[str, ...]
) -> None:
    """`starts`: what its shells start in the end."""
    if fixed:
        sheet.entry["entrypoint"] = list(words[:fixed])
    if fixed < len(words):
        sheet.entry["command"] = list(words[fixed:])
    elif "command" in sheet.comments:
        sheet.comments["entrypoint"] = sheet.comments.pop("command")
    ports = ports_of(sheet, facts, (*words, *starts))
    if ports:
        sheet.entry["port"], *others = ports
        if others:
            sheet.entry["expose"] = others
    _by_hand(sheet, ports)
    alone = fixed == len(words) and not ports
    compose = sheet.of.compose
    without = compose.starts if compose else alone and not _reads_arguments(sheet, words)
    if alone and without:
        # It starts without arguments, and `slimbake up` starts what has a command.
        sheet.entry["command"] = sheet.entry.pop("entrypoint")
        if why := sheet.comments.pop("entrypoint", ""):
            sheet.comments["command"] = why
    if sheet.of.job and (ports or not _runs_beside(sheet)):
        sheet.entry["start"] = "none"
        sheet.comments["start"] = "a job: it ends, and may need what runs beside it"
    elif fixed and words[fixed:] in (("--help",), ("-h",)):
        sheet.entry["start"] = list(words[fixed:])
        sheet.comments["start"] = "an entrypoint that waits for arguments"
        del sheet.entry["command"]
    elif alone and not (without or compose or (facts.entrypoint and facts.entrypoint.shell)):
        sheet.entry["start"] = ["--help"]
        sheet.comments["start"] = "an entrypoint that waits for arguments"


def reaper_kept(sheet: Sheet, facts: ImageFacts) -> None:
    """Have the same first process as today's image: tini, or another that does what it does."""
    compose = sheet.of.compose
    said = (compose and compose.entrypoint) or facts.entrypoint
    own = reaper_of(said, (compose and compose.command) or facts.command)
    if reaper := own or (("tini",) if compose and compose.init else ()):
        sheet.entry["system"] = [*sheet.entry.get("system", []), reaper[0]]
        sheet.entry["entrypoint"] = [*reaper, "--", *sheet.entry.get("entrypoint", [])]


def _by_hand(sheet: Sheet, ports: Collection[int]) -> None:
    if sheet.of.compose and not sheet.of.compose.starts:
        sheet.entry["up"] = False
        if not ports:
            sheet.entry["start"] = "none"
            sheet.comments["start"] = "people start it, on what is there by then"


def ports_of(sheet: Sheet, facts: ImageFacts | None, words: tuple[str, ...]) -> list[int]:
    compose = sheet.of.compose
    own = port_of(words)
    published = [said.value for _, said in compose.ports] if compose else []
    exposed = [said.value for said in compose.expose] if compose else []
    overridden = bool(compose and (compose.command or compose.entrypoint))
    image = [] if facts is None or (overridden and not published) else list(facts.ports)
    found = [str(own)] if own else []
    found += published + exposed
    numbers = []
    for port in found:
        number = port.partition("/")[0]
        if number.isdigit():
            numbers.append(int(number))
    for said in image:
        number, _, protocol = said.value.partition("/")
        if number.isdigit() and protocol in {"", "tcp"}:
            numbers.append(int(number))
        else:
            sheet.note(said.place, f"EXPOSE {said.value}", "slimbake takes TCP ports by number")
    check = (compose and compose.healthcheck) or (
        None if overridden or not facts else facts.healthcheck
    )
    asked = _CHECKED_PORT.search(check.command.text) if check and check.command else None
    if asked and not numbers:
        numbers.append(int(asked[1]))
    if compose and numbers:
        for host, said in compose.ports:
            if said.value == str(numbers[0]) and host and int(host) != numbers[0]:
                sheet.entry["publish"] = int(host)
            elif host and said.value.isdigit() and said.value != str(numbers[0]):
                sheet.note(
                    said.place,
                    f"port {said.value} is published at {host}, too",
                    "`slimbake up` publishes `port` alone; the others are for containers, and"
                    " your compose file can publish them",
                )
    return list(dict.fromkeys(numbers))


def _runs_beside(sheet: Sheet) -> bool:
    """Whether all that it depends on is ready-made, and a start check can start it."""
    needs = sheet.of.compose.beside if sheet.of.compose else {}
    return bool(needs) and {*needs} == {*sheet.of.ready} and sheet.of.lacks is None


def started_beside(sheet: Sheet) -> None:
    """Start it in its start check beside what it depends on."""
    ready, lacks, alone = sheet.of.ready, sheet.of.lacks, sheet.of.alone
    if alone and sheet.of.compose:
        sheet.note(
            sheet.of.compose.place,
            f"depends_on: {', '.join(alone)}",
            "`slimbake up` and start checks start ready-made services that the compose file of"
            " this folder itself defines: define them there, or start them before",
        )
    said = sheet.entry.get("start", {})
    if not ready or not isinstance(said, dict):
        return
    if lacks is None:
        sheet.entry["start"] = {"with": list(ready), **said}
        return
    sheet.note(
        lacks.place,
        f"{lacks.value} is not there",
        f"without it, Compose starts nothing: write it, and `start: {{with:"
        f" [{', '.join(ready)}]}}` where a service does not start without these",
    )


def workdir_of(sheet: Sheet, facts: ImageFacts, code: Code, plain: Plainly) -> str:
    here = posixpath.normpath(posixpath.join(folder_of(sheet, facts), plain.workdir))
    moved = code.moved(here)
    said = facts.starts_in
    if said and code.root == facts.workdir == here == moved and here not in {APP, "/"}:
        sheet.note(
            said.place,
            f"WORKDIR {said.value}",
            "images start in /app, where the code is: the service reads relative paths there,"
            f" unless its entry has `workdir: {here}`",
        )
    inside = moved == APP or not moved.startswith(f"{APP}/")
    return "" if inside else moved


def calls_a_shell(sheet: Sheet, code: Code) -> None:
    """Ask for a shell where the code starts one."""
    for path, text in modules_of(sheet, code):
        if "shell" not in sheet.entry and (found := _SHELL_CALL.search(text)):
            sheet.entry["shell"] = True
            place = Place(path, text.count("\n", 0, found.start()) + 1)
            sheet.comments["shell"] = f"{place} starts one"


def _as_is(reader: Shellless, command: Command) -> Plainly:
    """Words that follow an entrypoint. Raises NeedsShell where a shell is among them."""
    if command.shell:
        return reader.plainly(command)
    return Plainly(tuple(map(reader.code.moved, command.words)))
