"""What is mounted into containers of a service, and folders that it writes to. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from slimbake.adopt.code import APP, Code
from slimbake.adopt.ignored import obeyed
from slimbake.adopt.model import (
    ComposeService,
    ImageFacts,
    Step,
)
from slimbake.adopt.needs import Needs
from slimbake.adopt.sheet import BUILD_ENV, Sheet, modules_of
from slimbake.config.compose import dotenv
from slimbake.config.containers import mountable, overlap
from slimbake.config.naming import HOME, NONROOT_HOME

# A volume there would hide what the image has; below /app, where that has files.
_TAKEN = ("/app", "/usr", "/etc", "/lib", "/bin", "/sbin", "/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108


_CODE = "it stays in the compose file: an image holds the code, and `slimbake up --watch` brings edits into containers"
_DATA = (
    "it stays in the compose file, and `slimbake up` mounts nothing of this machine: what the service"
    " writes there, let a volume have, `volumes: {NAME: PATH}`; a model, `weights: {path: FOLDER}`"
)


def volumes_of(sheet: Sheet, facts: ImageFacts, code: Code) -> None:
    found: dict[str, str] = {}
    compose = sheet.of.compose
    mounted = {said.value for _, said in compose.volumes} if compose else set()
    wanted = [
        (f"{sheet.of.name}{said.value.replace('/', '-')}", said)
        for said in facts.volumes
        if said.value not in mounted
    ]
    for source, said in compose.volumes if compose else ():
        if source.startswith((".", "/", "~")):
            at = posixpath.join(posixpath.dirname(said.place.file), source)
            files = sheet.whole.below(posixpath.normpath(at)) if source.startswith(".") else []
            has_code = any(each.endswith(".py") for each in files)
            advice = _CODE if has_code else _DATA
            sheet.note(said.place, f"the mount of {source} at {said.value}", advice)
        else:
            wanted.append((source or f"{sheet.of.name}{said.value.replace('/', '-')}", said))
    for name, said in wanted:
        path = code.moved(said.value)
        taken = any(f"{path}/".startswith(f"{each}/") for each in _TAKEN)
        if taken and not _free(sheet, path, code):
            sheet.note(
                said.place,
                f"the volume at {said.value}",
                "a volume there would hide what the image has: let the service write to /data,"
                " and name that under `volumes`",
            )
        else:
            found[volume_name(name)] = path
    if found:
        sheet.entry["volumes"] = found


def _free(sheet: Sheet, path: str, code: Code) -> bool:
    """Whether a path lies below /app, where neither the context nor a step has files, as long as
    `init` has written no `.dockerignore`.
    """
    sent = obeyed(sheet.of.build, code.context, sheet.whole)
    repository = sheet.repository if sent else sheet.whole
    there = posixpath.normpath(posixpath.join(code.context, posixpath.relpath(path, APP)))
    made = (
        posixpath.normpath(posixpath.join(step.get("context", code.context), each))
        for step in sheet.entry.get("build", ())
        for each in step["outputs"]
    )
    return (
        path.startswith(f"{APP}/")
        and there not in repository.files
        and not repository.below(there)
        and not any(overlap(there, each) for each in made)
    )


def made_folders(sheet: Sheet, needs: Needs, code: Code) -> None:
    """Folders that a Dockerfile makes for its service, and that a container will not have."""
    volumes: Mapping[str, str] = sheet.entry.get("volumes", {})
    memory = sheet.of.compose.tmpfs if sheet.of.compose else ()
    mounted = {*volumes.values(), *(code.moved(said.value.rstrip("/")) for said in memory)}
    last = [step for step in needs.needless if step.last]
    own = [
        posixpath.normpath(posixpath.join(step.workdir, word))
        for step in last
        for word in step.words
        if step.words[0] == "chown"
    ]
    for step in (each for each in last if each.words[0] == "mkdir"):
        for written in (w for w in step.words[1:] if not w.startswith("-")):
            folder = posixpath.normpath(posixpath.join(step.workdir, written))
            path = f"{code.moved(folder)}/"
            inner = path.rstrip("/")
            if inner.startswith("/tmp/") and _names(sheet, folder, code):  # noqa: S108
                known = sheet.entry.setdefault("tmpfs", [])
                known += [] if inner in known else [inner]
                continue
            advice = ""
            if any(path != f"{v}/" and path.startswith(f"{v}/") for v in volumes.values()):
                advice = "a new volume is empty: let the code make the folder"
            elif (
                folder in own
                and not path.startswith(("/tmp/", "/home/", "/root/"))  # noqa: S108
                and not any(f"{v}/".startswith(path) for v in (*mounted, code.app))
            ):
                advice = "the service may write to `tmpfs` and `volumes`: name it there"
            elif inner in mounted or not _lacks(sheet, path, code):
                continue
            if path.startswith(f"{APP}/"):
                advice = (
                    "/app is read-only: let the service write to /data, and name that under"
                    " `volumes`, or below /tmp"
                )
            sheet.note(step.place, f"RUN mkdir {written}", advice)
            needs.needless = [each for each in needs.needless if each is not step]


def _lacks(sheet: Sheet, path: str, code: Code) -> bool:
    """Whether the command or the code names a folder by its path from today's root, which the
    image has not.
    """
    made = [each for step in sheet.entry.get("build", ()) for each in step["outputs"]]
    inner = posixpath.relpath(path, APP)
    there = posixpath.join(code.context, inner)
    if not path.startswith(f"{code.app}/") or inner in made:
        return False
    if posixpath.normpath(there) in sheet.repository.folders:
        return False
    name = re.escape(posixpath.relpath(path, code.app))
    words = [*sheet.entry.get("entrypoint", ()), *sheet.entry.get("command", ())]
    quoted = re.compile(rf"[\"'](?:\./)?{name}(?=[\"'/])")
    started = re.compile(rf"(?:^|=)(?:\./|{code.app}/)?{name}(?=$|/)")
    return any(map(started.search, words)) or any(
        quoted.search(text) for _, text in modules_of(sheet, code)
    )


def _names(sheet: Sheet, folder: str, code: Code) -> bool:
    """Whether a variable or the code has the path of a folder."""
    texts = (*sheet.entry.get("env", {}).values(), *(text for _, text in modules_of(sheet, code)))
    path = re.compile(rf"(?<![\w./-]){re.escape(folder)}(?![\w.-])")
    return any(path.search(each) for each in texts)


def mounted_files(sheet: Sheet, compose: ComposeService, code: Code | None) -> None:
    """What its containers have in memory, and of variables. Those of Compose's `environment` win
    over files there, and of slimbake's `env`, the image's, they do not.
    """
    if tmpfs := [s.value for s in compose.tmpfs if s.value.rstrip("/") != "/tmp"]:  # noqa: S108
        known = sheet.entry.get("tmpfs", [])
        sheet.entry["tmpfs"] = list(dict.fromkeys([*known, *tmpfs]))
    given = {name: each.written for name, each in compose.filled.items()}
    for file in compose.env_files:
        values = dotenv(sheet.repository.texts.get(file.value, ""))
        for name, value in values.items():
            if name in compose.filled:
                continue
            mine = sheet.entry.get("env", {}).get(name, value) if name in compose.env else value
            given |= {name: mine.replace("$", "$$")} if mine != value else {}
    if given := {name: value for name, value in given.items() if not BUILD_ENV.fullmatch(name)}:
        sheet.entry["environment"] = {
            name: code.moved(value) if code else value for name, value in given.items()
        }
    if files := [said.value for said in compose.env_files]:
        sheet.entry["env_file"] = files


def in_memory(sheet: Sheet, code: Code | None) -> None:
    """Leave out each tmpfs at a path where slimbake mounts none, with a note."""
    compose = sheet.of.compose
    places = {said.value: said.place for said in compose.tmpfs} if compose else {}
    kept = []
    for said in sheet.entry.pop("tmpfs", []):
        path = (code.moved(said) if code else said).rstrip("/")
        if mountable(path) or (code and _free(sheet, path, code)):
            kept.append(path)
        else:
            advice = "slimbake mounts nothing there: let the service write below /tmp"
            sheet.note(places[said], f"the tmpfs at {said}", advice)
    if kept:
        sheet.entry["tmpfs"] = kept


def writable_home(sheet: Sheet, steps: Iterable[Step]) -> None:
    """A tmpfs at the home of a user to whom the Dockerfile gives one, if nothing is mounted there:
    an image's own home is read-only.
    """
    compose = sheet.of.compose
    said = (compose and compose.user) or (sheet.of.facts and sheet.of.facts.user)
    name = said.value.partition(":")[0] if said else ""
    makes = next((step for step in steps if name and _makes_home(step, name)), None)
    home = HOME if "user" in sheet.entry else NONROOT_HOME
    mounted = [*sheet.entry.get("volumes", {}).values(), *sheet.entry.get("tmpfs", ())]
    if makes and not any(f"{home}/".startswith(f"{each}/") for each in mounted):
        sheet.entry["tmpfs"] = [*sheet.entry.get("tmpfs", ()), home]
        sheet.comments["tmpfs"] = f"{makes.place} makes a home for its user"


def _makes_home(step: Step, user: str) -> bool:
    """Whether a step makes a user's home. `user`: a name or a number."""
    program, *rest = step.words
    short = "".join(word for word in rest if re.fullmatch("-[A-Za-z]+", word))
    if not any(word.rpartition("=")[2] == user for word in rest):
        return False
    if program == "useradd":
        return "--create-home" in rest or "m" in short
    named = any(word.partition("=")[0] == "--home" for word in rest)
    without = "--no-create-home" in rest or "H" in short or ("--system" in rest and not named)
    return program == "adduser" and not without


def volume_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
