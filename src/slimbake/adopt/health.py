"""The health check of a service. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import Any

from slimbake.adopt.code import APP, Code
from slimbake.adopt.commands import (
    is_shell_script,
    only_debians,
)
from slimbake.adopt.fetches import Fetch, fetch_of, with_variables
from slimbake.adopt.model import (
    Command,
    Healthcheck,
    ImageFacts,
)
from slimbake.adopt.needs import Needs
from slimbake.adopt.sheet import Sheet, below, folder_of, on_path, script_at
from slimbake.adopt.shell import simple_commands

_DOCKERS_TIMEOUT = "30s"  # of a check without one; slimbake's default is shorter


def healthcheck_of(
    sheet: Sheet,
    check: Healthcheck | None,
    command: Command | None,
    needs: Needs,
    facts: ImageFacts,
    code: Code,
) -> None:
    """`command`: what the check comes to."""
    fetch = fetch_of(command) if command else None
    if check is not None and check.command is None:
        sheet.entry["healthcheck"] = False
    elif check is not None and check.command is not None and command is not None:
        words = _check_words(sheet, command, fetch)
        words, absent = ([], "") if not words else _of_a_file(sheet, words, facts, code)
        lost = " and ".join(f"`{each}`" for each in fetch.lost) if fetch else ""
        if words:
            sheet.entry["healthcheck"] = check_entry(words, check)
            if fetch and fetch.secret:
                sheet.note(
                    check.place,
                    f"{fetch.secret} of the HEALTHCHECK looks like a secret, and is in the image",
                    "whoever has an image can read its check: let it name a variable, which"
                    " containers get where they are started",
                )
            if lost:
                sheet.note(
                    check.place,
                    f"HEALTHCHECK: {lost}",
                    "init's check makes the request alone: for more, write `healthcheck` as a"
                    " list of words, such as of a script of the service",
                )
        else:
            why = f"Python's request has no {lost}" if lost else absent or "it needs a shell"
            default = (
                "the default check connects to the port"
                if "port" in sheet.entry
                else "the service has no check then"
            )
            sheet.note(
                check.place,
                f"HEALTHCHECK {check.command.text}",
                f"{why}: {default}; write `healthcheck` as a list of words",
            )
    asked = (check, sheet.of.facts and sheet.of.facts.healthcheck)
    called = " ".join(each.command.text for each in asked if each and each.command)
    known = {*re.split(r"[^\w-]", called), *(("curl", "wget") if fetch else ())}
    for name, place in needs.fetchers.items():
        if name not in known and name not in sheet.entry.get("system", ()):
            sheet.note(place, name, f"if the service calls it, add it: `system: [{name}]`")


def check_followed(sheet: Sheet, command: Command, facts: ImageFacts, code: Code) -> Command:
    """A check's command; without a shell in the image, what a script does in place of its name."""
    words = command.text.split()
    words = words[words[:1] in (["sh"], ["bash"]) :]
    read = script_at(sheet, words[0], facts, code) if len(words) == 1 else None
    if not read or not is_shell_script(read[0]) or sheet.entry.get("shell"):
        return command
    return Command((read[0],), True, command.place)


def _check_words(sheet: Sheet, command: Command, fetch: Fetch | None) -> list[str]:
    """A health check without a shell; [] where it needs one, or is a fetch that Python cannot do."""
    if fetch:
        return ["python", "-c", fetch.code] if fetch.code else []
    if not command.shell:
        return [
            (
                "python"
                if re.fullmatch(r"(?:/\S*/)?python3?(?:\.\d+)?", word) and not number
                else word
            )
            for number, word in enumerate(command.words)
        ]
    commands = simple_commands(command.text)
    silent = (("exit",), ("false",), ("set",))
    meaningful = [c for c in commands if c.words[:1] not in silent]
    if len(meaningful) != 1:
        return []
    in_shell = ["sh", "-c", command.text] if sheet.entry.get("shell") else []
    words, only = meaningful[0].words, meaningful[0]
    if not words or not only.plain or only.assignments or only_debians(words[0]):
        return in_shell
    if "$" not in command.text:
        return list(words)
    if any(re.fullmatch(r"\$(?:\w+|\{\w+\})", each) for each in only.split):
        return in_shell  # a shell makes several words of it, or none
    code = with_variables(words)
    return ["python", "-c", code] if code else []


def _of_a_file(
    sheet: Sheet, words: list[str], facts: ImageFacts, code: Code
) -> tuple[list[str], str]:
    """The words of a check; those of one that is a file of the repository name it where slimbake's
    image has it. No words, and why, where that image cannot start it.
    """
    at = 1 if words[0] == "python" and words[1:] and words[1][:1] != "-" else 0
    where = posixpath.normpath(posixpath.join(folder_of(sheet, facts), words[at]))
    script = at == 1 or "/" in words[at]
    source = code.source(where, sheet.repository) if script else ""
    source = source or on_path(sheet, words[at], facts, code)
    if source not in sheet.repository.files:
        return words, ""
    if not source.startswith(below(code.context)):
        return [], f"{source} is not in {code.context}, so it is not in slimbake's image"
    first = sheet.repository.texts.get(source, "").partition("\n")[0]
    if at == 0 and re.match(r"#!.*\b(?:ba|da)?sh\b", first) and "shell" not in sheet.entry:
        return [], "it needs a shell"
    by = ["python"] if at == 0 and re.match(r"#!.*\bpython", first) else words[:at]
    here = posixpath.join(APP, posixpath.relpath(source, code.context))
    return [*by, here, *words[at + 1 :]], ""


def check_entry(words: list[str], check: Healthcheck) -> dict[str, Any]:
    settings = {
        key: int(value) if key == "retries" and value.isdigit() else value
        for key, value in check.settings
    }
    return {"test": words, **settings} | {"timeout": settings.get("timeout", _DOCKERS_TIMEOUT)}


def on_top(check: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    """A compose file's check, as Docker reads it: what it leaves open is the image's."""
    if not check or not image:
        return check
    merged = {**dict(image.settings), **dict(check.settings)}
    return replace(check, settings=tuple(merged.items()))
