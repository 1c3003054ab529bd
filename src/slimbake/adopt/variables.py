"""The variables of a service: which go into its image, and which stay out. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from slimbake.adopt.code import APP, Code
from slimbake.adopt.commands import (
    Plainly,
)
from slimbake.adopt.model import (
    ImageFacts,
    Place,
    Said,
)
from slimbake.adopt.needs import Needs
from slimbake.adopt.sheet import BUILD_ENV, Sheet, below, modules_of, variable_files
from slimbake.config.compose import dotenv
from slimbake.config.secrecy import OF_A_FILE, SECRET, WITH_PASSWORD, looks_secret

_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_LOCALE = (
    "slimbake's images have the locale C.UTF-8 alone: code that formats by locale names it, for"
    " example with babel; or `system: [locales-all]`, of 235 MB, has all locales"
)
_LOCAL_ENV = {
    "LANG": _LOCALE,
    "LC_ALL": _LOCALE,
    "HOME": "images have a home of their own: if the service writes to it, name the folder under"
    " `tmpfs` or `volumes`",
}
_SAME_LOCALE = ("C", "C.UTF-8", "C.utf8", "POSIX")


def variables_of(sheet: Sheet, facts: ImageFacts | None, code: Code | None) -> dict[str, str]:
    said = {
        **(facts.env if facts else {}),
        **(sheet.of.compose.env if sheet.of.compose else {}),
    }
    found = {}
    for name in variable_files(sheet):
        if SECRET.search(name) and not OF_A_FILE.search(name):
            sheet.left_out[name] = "smoke"
    for name, each in said.items():
        if BUILD_ENV.fullmatch(name):
            _of_a_build(sheet, name, each, code)
            continue
        value = code.moved(each.value) if code else each.value
        if name == "PYTHONPATH":
            found[name] = _python_path(_import_path(each.value, facts, code), code)
        elif facts and facts.env.get(name) is each:
            found[name] = value  # it is in today's image, too
            if each.value and looks_secret(name, value):
                sheet.note(
                    each.place,
                    f"{name} looks like a secret, and is in the image",
                    "whoever has an image can read its variables: take it out of `env`, and put"
                    " it where the containers are started",
                )
        elif SECRET.search(name) and OF_A_FILE.search(name):
            found |= _of_its_file(sheet, name, each, code)
        elif looks_secret(name, value):
            _left(sheet, name, each.place, value)
        else:
            found[name] = value
    if code and code.paths:
        parts = [*code.paths, *found.get("PYTHONPATH", "").split(":")]
        found["PYTHONPATH"] = ":".join(dict.fromkeys(filter(None, parts)))
    return found


def _of_a_build(sheet: Sheet, name: str, said: Said, code: Code | None) -> None:
    """A note on a variable that images have of slimbake's own, where a service may miss it."""
    if name == "PATH" and code:
        _programs(sheet, said, code)
    if (advice := _LOCAL_ENV.get(name)) and said.value not in _SAME_LOCALE:
        sheet.note(said.place, f"{name}={said.value}", advice)


def _left(sheet: Sheet, name: str, place: Place, value: str) -> None:
    """Keep a secret of containers out of the image; smokes have a word in its place."""
    word = _PASSWORD.sub(r"\1:smoke@", value) if WITH_PASSWORD.search(value) else "smoke"
    sheet.left_out[name] = word
    sheet.note(
        place,
        f"{name} looks like a secret",
        "whoever has an image can read its variables, so it stays where it is. For"
        f" `slimbake up`, write {name} into `.env`, and `environment: {{{name}:"
        f' "${{{name}}}"}}`',
    )


def _import_path(value: str, facts: ImageFacts | None, code: Code | None) -> str:
    """PYTHONPATH for slimbake's image: folders of the code are where this has them, and those of
    installed packages go.
    """
    if code is None or facts is None:
        return value
    found: dict[str, None] = {}
    for part in filter(None, value.split(":")):
        folder = part.rstrip("/")
        packages = [each for each in code.placed if posixpath.dirname(each.target) == folder]
        if code.moved(folder) == folder and (here := [*filter(None, map(code.here, packages))]):
            found |= dict.fromkeys(map(posixpath.dirname, here))
        elif folder in facts.handed and not any(
            f"{each.target}/".startswith(f"{folder}/") for each in code.placed
        ):
            continue  # the packages of another stage
        elif not _installed_to(folder, facts):
            found[code.moved(part)] = None
    return ":".join(found)


def _of_its_file(sheet: Sheet, name: str, said: Said, code: Code | None) -> dict[str, str]:
    """A variable that names a file which has a secret; {} where no container of slimbake has it:
    it is not of the repository, nor in a volume.
    """
    compose, path = sheet.of.compose, said.value
    volumes = [each.value for _, each in compose.volumes] if compose else []
    if code and (code.source(path, sheet.repository) or not path.startswith("/")):
        return {name: code.moved(path)}
    if any(path.startswith(f"{each.rstrip('/')}/") for each in volumes):
        return {name: path}
    sheet.absent.append(name)
    sheet.note(
        said.place,
        f"{name} names the file {path}",
        "images do not have it, so the variable stays in the compose file, beside what mounts"
        " the file; containers of `slimbake up` start without both",
    )
    return {}


def _programs(sheet: Sheet, path: Said, code: Code) -> None:
    """A note on each folder of PATH that has scripts of the repository beside the one that starts
    the service: slimbake's images have a PATH of their own.
    """
    facts, compose = sheet.of.facts, sheet.of.compose
    starts = [facts and facts.entrypoint, facts and facts.command]
    starts += [compose.entrypoint, compose.command] if compose else []
    started = {posixpath.basename(w) for each in starts if each for w in each.text.split()}
    for folder in filter(None, path.value.split(":")):
        here = code.moved(folder)
        inside = below(code.source(posixpath.normpath(folder), sheet.repository))
        texts = (
            sheet.repository.texts.items() if inside and f"{here}/".startswith(f"{APP}/") else ()
        )
        scripts = [
            name
            for file, text in sorted(texts)
            if text.startswith("#!") and file.startswith(inside)
            if "/" not in (name := file.removeprefix(inside)) and name not in started
        ]
        if scripts:
            sheet.note(
                path.place,
                f"PATH has {folder}, with {', '.join(scripts)}",
                "slimbake's images have a PATH of their own: call them by their path, such as"
                f" {posixpath.join(here, scripts[0])}, or write PATH under `env`, with"
                " /opt/slimbake/bin:/usr/local/bin:/usr/bin at its end",
            )


def time_zone(sheet: Sheet, needs: Needs, env: Mapping[str, str]) -> dict[str, str]:
    """The time zone that a step of the Dockerfile sets, as the variable that programs read."""
    if needs.zone is None or "TZ" in {*env, *variable_files(sheet)}:
        return {}
    sheet.comments["env"] = f"TZ: {needs.zone.place} sets the time zone"
    return {"TZ": needs.zone.value}


def exported_by(plain: Plainly, code: Code) -> dict[str, str]:
    """What the shell that started the command set."""
    env = {name: code.moved(value) for name, value in plain.env}
    if "PYTHONPATH" in env:
        env["PYTHONPATH"] = _python_path(env["PYTHONPATH"], code)
    return env


def needed_variables(sheet: Sheet, code: Code) -> None:
    """Give the start check those variables that the code reads and no image holds: they have no
    defaults, so nothing starts without them.
    """
    compose = sheet.of.compose
    names = [*sheet.left_out, *sheet.absent, *variable_files(sheet)]
    given: dict[str, str] = {}
    if compose:
        given |= {name: each.value for name, each in compose.filled.items()}
        for said in compose.env_files:
            given |= dotenv(sheet.repository.texts.get(said.value, ""))
    names = [
        name for name in dict.fromkeys((*names, *given)) if name not in sheet.entry.get("env", {})
    ]
    found = dict(_readers(sheet, code, names))
    for name in found:
        sheet.left_out.setdefault(name, _placeholder(name, given.get(name, "")))
    if compose and sheet.of.ready and not sheet.of.lacks:
        # its start check has the compose file's variables
        found = {name: place for name, place in found.items() if name in compose.passed}
    if found and "start" not in sheet.entry:
        name, place = next(iter(found.items()))
        sheet.entry["start"] = {"env": {name: sheet.left_out[name] for name in found}}
        sheet.comments["start"] = f"{place} reads {name}, which no image holds"
        sheet.note(
            place,
            f"the code reads {', '.join(found)}, which no image holds",
            "smoke and start check have placeholders: write better ones, or `start: none` where"
            " it does not start without the real ones",
        )


def _readers(sheet: Sheet, code: Code, names: list[str]) -> Iterator[tuple[str, Place]]:
    """Which of these variables the code cannot do without, and the line that reads each."""
    if not names:
        return
    one_of = "|".join(map(re.escape, names))
    reads = re.compile(
        rf"(?:environ\[|\b(?:config|env(?:\.\w+)?)\()\s*[\"']({one_of})[\"']\s*[\])]"
    )
    field = re.compile(rf"^[ \t]+({one_of})[ \t]*:[ \t]*[^=\n]+$", re.I | re.M)
    by_lower = {name.lower(): name for name in names}
    seen: set[str] = set()
    for path, text in modules_of(sheet, code):
        patterns = (reads, field) if "BaseSettings" in text else (reads,)
        for match in (m for pattern in patterns for m in pattern.finditer(text)):
            name = by_lower[match[1].lower()]
            if name not in seen:
                seen.add(name)
                yield name, Place(path, text[: match.start(1)].count("\n") + 1)


def _placeholder(name: str, value: str) -> str:
    """In place of a variable's value, which may be a secret, one that is read alike."""
    if OF_A_FILE.search(name):
        return "/dev/null"  # what opens it reads an empty file
    if re.fullmatch(r"\d+", value):
        return "1" * len(value)
    if re.fullmatch(r"true|false|yes|no|on|off", value, re.I):
        return value
    if address := re.match(r"([a-z][a-z0-9+.-]*)://(/?)", value):
        return f"{address[1]}://{'/smoke' if address[2] else 'localhost'}"
    if re.fullmatch(r"[\w.-]+:\d{1,5}", value):
        return "localhost:1"
    return "smoke"


def _python_path(value: str, code: Code | None) -> str:
    parts = [part.rstrip("/") for part in value.split(":") if part and "$" not in part]
    return ":".join(dict.fromkeys((code.app if code else APP, *parts)))


def _installed_to(folder: str, facts: ImageFacts) -> bool:
    """Whether pip installs into a folder of the image."""
    given = {f"{option}{folder}" for option in ("--target=", "-t=", "")}
    return any(
        {*step.words} & given and "install" in step.words
        for step in facts.steps
        if any(word.partition("=")[0] in {"-t", "--target"} for word in step.words)
    )
