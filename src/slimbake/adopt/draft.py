"""One service's facts as an entry of the manifest, and notes on what did not come along. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from slimbake.adopt.code import Code, NeedsShell, Unreadable, code_of
from slimbake.adopt.commands import (
    served,
)
from slimbake.adopt.copies import (
    TRUSTS,
    hidden_files,
    misplaced_files,
    own_files,
    steps_of,
    trusted,
)
from slimbake.adopt.dockerfile import dockerfile_facts
from slimbake.adopt.generated import generated_files
from slimbake.adopt.health import check_entry, check_followed, healthcheck_of, on_top
from slimbake.adopt.ignored import sent
from slimbake.adopt.model import (
    Candidate,
    ComposeService,
    Draft,
    ImageFacts,
    Note,
    Repository,
    Said,
    Step,
)
from slimbake.adopt.mounts import (
    in_memory,
    made_folders,
    mounted_files,
    volume_name,
    volumes_of,
    writable_home,
)
from slimbake.adopt.needs import Needs, needs_of
from slimbake.adopt.packages import (
    calls_program,
    conda_python,
    narrowed_to,
    python_of,
    requirements_of,
    torch_of,
    uninstalled,
)
from slimbake.adopt.program import (
    calls_a_shell,
    command_of,
    ports_of,
    program_of,
    reaper_kept,
    start_of,
    started_beside,
    workdir_of,
)
from slimbake.adopt.sheet import Sheet, below
from slimbake.adopt.steps import (
    AUTHORITIES,
)
from slimbake.adopt.variables import exported_by, needed_variables, time_zone, variables_of

# Images that have Python and Debian's packages alone, as far as their names say it
_PLAIN = re.compile(
    r"(?:^|/)(?:[^/:@]*python[^/:@]*|debian|ubuntu|alpine|uv|[^/:@]*(?:conda|mamba|forge)[^/:@]*)(?:[:@]|$)"
)
_USUAL_SIGNAL = ("SIGTERM", "15")


def draft(candidate: Candidate, repository: Repository) -> Draft:
    """A service's entry; one that cannot be read keeps its Dockerfile."""
    copies = candidate.facts.copies if candidate.facts else ()
    seen = sent(candidate.build, {each.context for each in copies if each.context}, repository)
    try:
        try:
            made = _own(Sheet(candidate, seen, repository))
        except NeedsShell as why:
            made = _own(Sheet(candidate, seen, repository, why.note))
    except Unreadable as why:
        return _kept(
            Sheet(candidate, repository, repository), replace(why.note, service=candidate.name)
        )
    return replace(made, kept=_kept(Sheet(candidate, repository, repository)))


def _own(sheet: Sheet) -> Draft:
    """The entry of a service that slimbake builds itself."""
    of, facts = sheet.of, sheet.of.facts
    if facts is None:
        raise Unreadable(
            Note(of.origin[0], f"{of.build.dockerfile} cannot be read", "name one that is there")
        )
    if not facts.python:
        raise Unreadable(
            Note(
                facts.parent.place,
                f"its base image is {facts.parent.value}, and slimbake finds no Python there",
                "slimbake bakes it from its Dockerfile, beside the others",
            )
        )
    if not _PLAIN.search(facts.parent.value):
        sheet.note(
            facts.parent.place,
            f"what {facts.parent.value} has beside Python",
            "slimbake's images have a runtime of their own: require the Python packages that the"
            " service has of it, name Debian packages under `system`, and write its variables and"
            " ENTRYPOINT into the entry. CUDA's libraries come with packages such as torch",
        )
    needs = needs_of(facts.steps, of.name, facts.handed)
    code = code_of(
        facts,
        of.build.context,
        sheet.repository,
        frozenset((*needs.folders, *needs.projects)) - {facts.workdir},
    )
    code = narrowed_to(sheet, code, needs, facts)
    env = variables_of(sheet, facts, code)
    env |= time_zone(sheet, needs, env)
    plain, fixed = command_of(sheet, facts, code, env)
    env |= exported_by(plain, code)
    env |= trusted(sheet, needs, code, env)
    compose = of.compose
    said = (compose and (compose.command or compose.entrypoint)) or facts.command
    sheet.entry["context"] = code.context
    words = program_of(sheet, plain.words, said.place if said else facts.place)
    if not words:
        raise Unreadable(
            Note(
                said.place if said else facts.place,
                "the command is empty, so nothing would start",
                "write `command` in its entry; until then the service keeps its Dockerfile",
            )
        )
    requirements, system = requirements_of(sheet, needs, code, words)
    if requirements:
        sheet.entry["requirements"] = requirements
    system += [each for each in needs.fetchers if calls_program(sheet, each, code)]
    if system := [*sheet.entry.get("system", []), *system]:
        sheet.entry["system"] = list(dict.fromkeys(system))
    if needs.build and requirements:
        sheet.entry["wheels"] = {"system": list(needs.build)}
    calls_a_shell(sheet, code)
    hidden_files(sheet, code)
    for path, note in needs.endings:
        text = sheet.repository.texts.get(code.source(path, sheet.repository), "\r")
        sheet.notes += [note] if "\r" in text else []
    steps_of(sheet, facts, needs, code)
    generated_files(sheet, facts, needs, code, env)
    start_of(sheet, facts, words, fixed, plain.starts)
    known = {*needs.folders, *needs.projects}
    if any(step.words[0].endswith(TRUSTS) for step in facts.steps):
        known |= {e.target for e in code.placed if f"{e.target}/".startswith(f"{AUTHORITIES}/")}
    misplaced_files(sheet, code, known, facts)
    reaper_kept(sheet, facts)
    if workdir := workdir_of(sheet, facts, code, plain):
        sheet.entry["workdir"] = workdir
    if env:
        sheet.entry["env"] = env
    volumes_of(sheet, facts, code)
    made_folders(sheet, needs, code)
    _rest(sheet, facts, needs, code)
    in_memory(sheet, code)
    writable_home(sheet, facts.steps)
    needs.needless += uninstalled(sheet, needs)
    needed_variables(sheet, code)
    started_beside(sheet)
    own_files(sheet, needs, code)
    noted = (*code.notes, *facts.notes, *needs.notes)
    sheet.notes += [replace(each, service=of.name) for each in noted]
    sheet.notes += plain.notes
    return _drafted(
        sheet,
        served=tuple(
            replace(each, folder=posixpath.normpath(posixpath.join(code.inner, each.folder)))
            if code.inner
            else each
            for each in served(
                (*words, *plain.starts), lambda m, at: _known(sheet, _at(code, at), m)
            )
        ),
        python=python_of(facts) or conda_python(sheet, needs, code),
        torch=needs.torch or torch_of(sheet, needs, code),
        needless=tuple(needs.needless),
    )


def _kept(sheet: Sheet, why: Note | None = None) -> Draft:
    """The entry of a service that keeps its Dockerfile."""
    of, facts = sheet.of, sheet.of.facts
    sheet.entry["context"] = of.build.context
    sheet.entry["dockerfile"] = of.build.dockerfile
    if why:
        sheet.notes.append(why)
        sheet.comments["dockerfile"] = f"{why.place}: {why.what}"
    if of.build.args:
        sheet.entry["args"] = dict(of.build.args)
    if of.build.contexts:
        sheet.entry["contexts"] = dict(of.build.contexts)
    if of.build.target and not _last_stage(sheet):
        sheet.notes.append(
            Note(
                of.origin[0],
                f"the target '{of.build.target}'",
                "slimbake builds the last stage: put this one last, or into a file of its own",
                of.name,
            )
        )
    if of.compose:
        _of_containers(sheet, of.compose)
        in_memory(sheet, None)
    ports = ports_of(sheet, facts, ())
    if ports:
        sheet.entry["port"] = ports[0]
    env = variables_of(sheet, None, None)
    if env:
        sheet.entry["env"] = env
    if facts and not facts.python and not facts.user:
        sheet.note(
            facts.place,
            "it may run as root",
            "containers of `slimbake up` have no capabilities: a program that changes owner or"
            " user, as nginx does, needs `cap_add: [CHOWN, SETGID, SETUID]`, and `tmpfs` for"
            " what it writes",
        )
    asks = [each for each in of.compose.beside if each not in of.ready] if of.compose else []
    if asks and not (facts and facts.python):  # such as a proxy, which looks names up at once
        sheet.entry["start"] = "none"
        sheet.comments["start"] = f"it may need {', '.join(asks)} beside it"
    started_beside(sheet)
    return _drafted(sheet, python=python_of(facts) if facts and facts.python else None)


def _of_containers(sheet: Sheet, compose: ComposeService) -> None:
    """What containers of an image get, whoever made it."""
    mounted_files(sheet, compose, None)
    if said := compose.entrypoint:
        whole = " ".join(each.text for each in (said, compose.command) if each)
        sheet.note(
            said.place,
            f"the command `{whole}`",
            "an image of a Dockerfile has the ENTRYPOINT that stands there; this one stays in the"
            " compose file",
        )
    if (said := compose.command) and said.text and not compose.entrypoint:
        sheet.entry["command"] = ["sh", "-c", said.text] if said.shell else list(said.words)
    for source, kept in compose.volumes:
        if source.startswith((".", "/", "~")):
            advice = "it stays in the compose file: `slimbake up` mounts nothing of this machine"
            sheet.note(kept.place, f"the mount of {source} at {kept.value}", advice)
            continue
        name = volume_name(source or f"{sheet.of.name}{kept.value.replace('/', '-')}")
        if name in sheet.entry.setdefault("volumes", {}):
            advice = "it stays in the compose file: here a volume has one place in a container"
            sheet.note(kept.place, f"the volume at {kept.value}", advice)
        sheet.entry["volumes"].setdefault(name, kept.value)
    facts = sheet.of.facts
    check = on_top(compose.healthcheck, facts.healthcheck if facts else None)
    if check and check.command is None:
        sheet.entry["healthcheck"] = False
    if check and (said := check.command):
        words = ["sh", "-c", said.text] if said.shell else list(said.words)
        sheet.entry["healthcheck"] = check_entry(words, check)
    if (signal := compose.stop_signal) and signal.value not in _USUAL_SIGNAL:
        sheet.entry["stop_signal"] = signal.value


def _last_stage(sheet: Sheet) -> bool:
    """Whether the compose file's target is what a build makes anyway."""
    build, facts = sheet.of.build, sheet.of.facts
    text = sheet.repository.texts.get(build.dockerfile, "")
    last = dockerfile_facts(text, build.dockerfile, "", dict(build.args))
    return bool(facts and last and last.place == facts.place)


def _drafted(sheet: Sheet, **more: Any) -> Draft:
    of = sheet.of
    compose = of.compose.notes if of.compose else ()
    return Draft(
        name=of.name,
        origin=of.origin,
        entry=sheet.entry,
        comments=sheet.comments,
        left_env=tuple(sheet.left_out.items()),
        build=of.build,
        image=of.compose.image if of.compose else "",
        internal=bool(of.compose and of.compose.starts and not of.compose.ports)
        and "port" in sheet.entry,
        notes=tuple(dict.fromkeys((*sheet.notes, *compose))),
        **more,
    )


def _rest(sheet: Sheet, facts: ImageFacts, needs: Needs, code: Code) -> None:
    compose = sheet.of.compose
    signal = (compose and compose.stop_signal) or facts.stop_signal
    if signal and signal.value not in _USUAL_SIGNAL:
        sheet.entry["stop_signal"] = signal.value
    if user := (compose and compose.user) or sheet.changes or facts.user:
        _user(sheet, user, facts.steps)
    if labels := {k: v for k, v in facts.labels.items() if not k.startswith("slimbake.")}:
        sheet.entry["labels"] = labels
    if compose:
        mounted_files(sheet, compose, code)
    check = compose and compose.healthcheck
    if facts.healthcheck and not check:
        overridden = bool(compose and (compose.command or compose.entrypoint))
        if not overridden or "port" in sheet.entry:
            check = facts.healthcheck
        elif not sheet.of.job:
            sheet.note(
                facts.healthcheck.place,
                "HEALTHCHECK",
                f"it asks what CMD starts, and {sheet.of.name} has another command: write"
                " `healthcheck` where it can be asked, too",
            )
    elif check:
        check = on_top(check, facts.healthcheck)
    command = check and check.command and check_followed(sheet, check.command, facts, code)
    healthcheck_of(sheet, check or None, command or None, needs, facts, code)


def _user(sheet: Sheet, user: Said, steps: Iterable[Step]) -> None:
    """A volume has its files by number, so a user's name is carried over as its number."""
    name, _, group = user.value.partition(":")
    number = _number(name, steps, ("useradd", "adduser"), "uid")
    if number and int(number):
        found = _number(group, steps, ("groupadd", "addgroup"), "gid")
        sheet.entry["user"] = f"{number}:{found}" if found else number
        if group and not found:
            why = f"no `groupadd` says its number: write `user: {number}:NUMBER` if files need it"
            sheet.note(user.place, f"the group {group} of USER {user.value}", why)
    elif number or name == "root":
        why = "slimbake's images run as 65532, without root"
        sheet.note(user.place, f"USER {user.value}", why)
    elif "volumes" in sheet.entry:
        why = "no `useradd` says its number: write that as `user:`, since it owns the volumes"
        sheet.note(user.place, f"USER {user.value}", why)
    elif not any(name in step.words for step in steps):  # one of the base image's
        why = "slimbake's images run as 65532: write its number as `user:` if files belong to it"
        sheet.note(user.place, f"USER {user.value}", why)


def _number(name: str, steps: Iterable[Step], programs: tuple[str, str], option: str) -> str:
    """The number of a user or a group: as it is written, or as a step of the build gives it; "" where
    neither says it. `option`: `uid`, of which `-u` is short, or `gid`.
    """
    if name.isdecimal():
        return name
    for step in steps:
        if step.words[0] in programs and name in step.words[1:]:
            said = " ".join(step.words)
            found = re.search(rf" (?:--{option}[ =]|-[a-zA-Z]*{option[0]} ?)(\d+)(?= )", f"{said} ")
            if found:
                return found[1]
    return ""


def _at(code: Code, folder: str) -> str:
    return posixpath.join(code.context, code.inner, folder)


def _known(sheet: Sheet, folder: str, module: str) -> bool:
    """Whether a folder has a module; a package in `src` is installed, or named by PYTHONPATH."""
    inside = below(posixpath.normpath(folder))
    path = module.replace(".", "/")
    sources = [f"{inside}{path}", f"{inside}src/{path}"]
    named = {f"{each}{end}" for each in sources for end in (".py", "/__init__.py")}
    return bool(named & sheet.repository.files) or sources[0] in sheet.repository.folders
