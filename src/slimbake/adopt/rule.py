"""The rule: what becomes of a service. Pure.

**own**: Python's image, packages of files that slimbake reads, sources as they lie in the repository,
a command. **own, with a shell**: its command is a script, or a shell's line. **kept**: all else; its
Dockerfile is baked as it is. Nothing is changed on a guess: the first thing that init does not know
keeps the Dockerfile, and is named.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from slimbake.adopt.code import APP, Code, code_of
from slimbake.adopt.commands import Needs, UnreadRun
from slimbake.adopt.differences import differences
from slimbake.adopt.dockerfile import OF_PLATFORM, find, stages
from slimbake.adopt.files import (
    Origins,
    Pair,
    joined,
    python_of,
    version_of,
)
from slimbake.adopt.model import (
    Build,
    Candidate,
    ComposeService,
    Draft,
    Entry,
    KeepError,
    Note,
    Place,
    Repository,
    Stage,
)
from slimbake.adopt.needs import needs_of
from slimbake.adopt.own import OF_BUILDS, Own
from slimbake.config.naming import CPU, CUDA
from slimbake.config.secrecy import hidden, looks_secret

_WRITE_ELSEWHERE = "a container begins with an empty /tmp: let it write elsewhere"


def draft(candidate: Candidate, repository: Repository) -> Draft:
    """What a service becomes."""
    kept = _kept(candidate)
    notes = (*candidate.notes, *_of_compose(candidate.compose))
    for key in [key for key in kept if _has_secret(kept, key)]:
        del kept[key]
        notes += (Note("lost", candidate.origin[0], f"its {key}: it has what may be a secret"),)
    fallback = Draft(
        name=candidate.name,
        origin=candidate.origin,
        outcome="kept",
        entry=kept,
        notes=notes,
        kept=kept,
        kept_notes=(*notes, *_of_kept(candidate, repository)),
    )
    blockers: list[KeepError] = []
    try:
        own = _own(fallback, candidate, repository, blockers)
    except KeepError as error:
        if all(error.place != blocker.place for blocker in blockers):
            blockers.append(error)
    except RecursionError:
        what = "its stages are nested too deeply"
        blockers.append(KeepError(candidate.origin[-1], what, "flatten them"))
    if not blockers:
        return own
    why = (Note("other", each.place, each.what, each.advice) for each in blockers)
    return replace(fallback, why=tuple(dict.fromkeys(why)), notes=fallback.kept_notes)


def _kept(candidate: Candidate) -> Entry:
    """The entry with its Dockerfile."""
    build, compose = candidate.build, candidate.compose
    entry: Entry = {"context": build.context, "dockerfile": build.dockerfile}
    entry["target"] = build.target
    entry["args"] = {
        name: value for name, value in build.args.items() if not looks_secret(name, value)
    }
    entry["contexts"] = {**build.contexts, **candidate.images}
    if compose:
        entry["command"] = []
        for command in (compose.entrypoint, compose.command):
            if command:
                entry["command"] += command.words
        if compose.ports:
            entry["port"] = compose.ports[0][1]
        entry["user"] = compose.user
        entry |= _containers(compose, candidate.ready, {}, Code())
    if compose and (health := compose.health):
        if health.command is None:
            entry["healthcheck"] = False
        else:
            test = [*health.command.shell, *health.command.words]
            entry["healthcheck"] = {"test": test, **health.times} if test else {**health.times}
    return {key: value for key, value in entry.items() if value not in ("", {}, [])}


def _of_kept(candidate: Candidate, repository: Repository) -> Iterator[Note]:
    """What a compose file says of a service that its own Dockerfile decides."""
    compose = candidate.compose
    if compose is None:
        return
    text = repository.text(candidate.build.dockerfile) or ""
    if compose.entrypoint and re.search(r"(?mi)^[ \t]*ENTRYPOINT\b", text):
        what = f"{candidate.name}: its `entrypoint` follows that of the Dockerfile"
        yield Note("breaks", compose.place, what, "write ENTRYPOINT there")
    if compose.workdir:
        what = f"{candidate.name}: its `working_dir` is that of the Dockerfile"
        yield Note("breaks", compose.place, what, "write WORKDIR there")


def _own(
    fallback: Draft, candidate: Candidate, repository: Repository, blockers: list[KeepError]
) -> Draft:
    """The same, built by slimbake, unless something is added to `blockers`. Raises KeepError, too."""
    build, compose = candidate.build, candidate.compose
    all_stages, stage = _stages(candidate, repository)
    origins = Origins(all_stages, build, repository)
    needs = needs_of(stage, origins, repository)
    blockers += needs.blockers
    own = Own(stage, needs, compose, repository)
    code = _code(needs, origins.pairs(stage), stage, build, repository)
    entry = own.entry(code)
    if needs.image:
        entry["from"] = needs.image
    steps = [_build_step(step, stage, own) for step in needs.steps]
    if steps:
        entry["build"] = steps
    if copies := [*_copies(needs, own.code, fallback, candidate)]:
        entry["copy"] = copies
    if compose:
        entry |= _containers(compose, candidate.ready, entry.get("env", {}), own.code)
    _expect_no_secret(entry, stage.place)
    _expect_no_packages(entry, needs, stage.place)
    torch, torch_notes = _torch(needs, stage, compose, repository)
    if torch != CPU:
        entry["torch"] = torch
    notes = [*fallback.notes, *needs.notes, *own.notes, *torch_notes]
    notes += differences(code, build, entry, repository)
    what = "this RUN runs as it is, after packages and code, and as root"
    notes += [Note("other", step.run.place, what, _WRITE_ELSEWHERE) for step in needs.steps]
    if needs.image and python_of(needs.image) is None:
        what = f"packages that {needs.image} itself has for Python are not used, nor its ENTRYPOINT"
        notes.append(
            Note("breaks", stage.place, what, "require them; `slimbake lock` looks into it")
        )
    return replace(
        fallback,
        outcome="own, with a shell" if own.script else "own",
        entry=entry,
        python=_python([stage, *all_stages]),
        wants_python=tuple(_pythons(needs, own.code.context, repository)),
        notes=tuple(notes),
    )


def _stages(candidate: Candidate, repository: Repository) -> tuple[list[Stage], Stage]:
    """The stages of a Dockerfile, and the one that is built. Raises KeepError where that is not known."""
    build, place = candidate.build, candidate.origin[0]
    if build.contexts:
        what = f"its build has further contexts: {', '.join(build.contexts)}"
        raise KeepError(place, what, "have what it copies in its context")
    text = repository.text(build.dockerfile)
    if text is None:
        what = f"{build.dockerfile} is not there"
        if repository.has(build.dockerfile):
            what = f"{build.dockerfile} cannot be read"
        raise KeepError(place, what, "name one that is a text")
    all_stages = stages(text, build.dockerfile, build.args)
    stage = find(all_stages, build.target)
    if stage is None:
        what = "it has no FROM"
        if build.target:
            what = f"it has no stage {build.target}"
        raise KeepError(Place(build.dockerfile), what, "name a stage of it")
    return all_stages, stage


def _python(stages: Sequence[Stage]) -> str:
    """The first version of Python that images of stages say; "" where none does."""
    for stage in stages:
        if version := version_of(stage.image):
            return version
    return ""


def _code(
    needs: Needs, pairs: Sequence[Pair], stage: Stage, build: Build, repository: Repository
) -> Code:
    """How the code of a service lies."""
    read = list(needs.files)
    for word in needs.requirements:
        if word.startswith("."):
            read.append(posixpath.normpath(word.partition("[")[0]))
    return code_of(pairs, stage.workdir, read, build, repository)


def _expect_no_secret(entry: Entry, place: Place) -> None:
    for key in entry:
        if _has_secret(entry, key):
            what = f"its {key} has what may be a secret"
            raise KeepError(place, what, "take it from a variable: $NAME in a shell's line")


def _has_secret(entry: Entry, key: str) -> bool:
    """Whether what an entry has under a key looks like a secret. Variables have passed already, each
    by its name.
    """
    if key in ("env", "environment", "args", "dockerfile"):
        return False
    text = " ".join(_texts(entry[key]))
    return hidden(text) != text


def _expect_no_packages(entry: Entry, needs: Needs, place: Place) -> None:
    """Raise KeepError where a text names a file of installed packages: slimbake has them elsewhere."""
    for key in ("entrypoint", "command", "healthcheck", "build", "env", "environment"):
        text = " ".join(_texts(entry.get(key, "")))
        pattern = r"[\w./-]+-packages/[\w./-]+"
        if key == "build":
            pattern = f"{pattern}|{needs.path_of_packages()}"
        if match := re.search(pattern, text):
            what = f"its {key} names where packages lie today: {match[0]}"
            raise KeepError(place, what, "let the program ask Python for that folder")


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of an entry."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _build_step(step: UnreadRun, stage: Stage, own: Own) -> Entry:
    """A RUN that runs as it is, in the image, after its packages and its code."""
    text, folder = own.numbered(own.moved(step.text)), own.moved(step.run.workdir)
    if folder != APP:
        text = f"cd {shlex.quote(folder)} && {text}"
    arguments = {}
    for name, value in step.run.values.items():
        if OF_PLATFORM.search(value):  # the step has it itself
            continue
        if value and stage.env.get(name) != value and not OF_BUILDS.match(name):
            arguments[name] = own.moved(value)
    if any(looks_secret(name, value) for name, value in arguments.items()):
        raise step.unknown
    entry: Entry = {"run": [*stage.shell, text], "network": True}
    if arguments:
        entry["env"] = arguments
    return entry


def _copies(needs: Needs, code: Code, draft: Draft, candidate: Candidate) -> Iterator[Entry]:
    """What an image has beside the code: of the repository, of images, and of stages, each built as
    today.
    """
    for path, place in code.copies:
        yield {"source": posixpath.relpath(path, code.context), "to": place}
    build = {key: draft.kept[key] for key in ("dockerfile", "context", "args") if key in draft.kept}
    for copy in needs.copies:
        if "target" in copy["from"]:
            lacks = build.get("args", {}) != candidate.build.args  # those that may be secret
            if lacks or candidate.images:
                what = "its stages need a secret, or an image of another build"
                raise KeepError(draft.origin[-1], what, "write `copy` yourself")
            copy["from"] = build | copy["from"]
        yield copy | {"to": code.moved(copy["to"])}


def _pythons(needs: Needs, folder: str, repository: Repository) -> Iterator[str]:
    """What the projects that a service installs, or is, say of Python's version."""
    for file in dict.fromkeys((*needs.files, joined(folder, "pyproject.toml"))):
        text = repository.text(file) or ""
        if file.endswith("pyproject.toml"):
            yield from re.findall(r'(?m)^(?:requires-python|python)\s*=\s*"([^"]+)"', text)


def _torch(
    needs: Needs, stage: Stage, compose: ComposeService | None, repository: Repository
) -> tuple[str, tuple[Note, ...]]:
    """The build of torch that a service gets, and what that changes for it."""
    if needs.torch == CPU or re.fullmatch(r"cu\d+", needs.torch):
        return needs.torch, ()
    if needs.torch:
        what = f"torch is its CPU build, not `{needs.torch}`"
        return CPU, (Note("breaks", stage.place, what, "`torch: cuda` in the service for CUDA"),)
    place = _plain_torch(needs, stage, repository)
    if place is None:
        return CPU, ()
    if (compose and compose.gpu) or "cuda" in needs.image:
        return CUDA, ()
    what = "torch is its CPU build, and PyPI's has CUDA"
    return CPU, (Note("breaks", place, what, "`torch: cuda` in the service for CUDA"),)


def _plain_torch(needs: Needs, stage: Stage, repository: Repository) -> Place | None:
    """Where a service asks for torch by its name; None where it does not."""
    for requirement in needs.requirements:
        if re.fullmatch(r"torch(?:[=<>~!\[ ].*)?", requirement):
            return stage.place
    for file in needs.files:
        text = repository.text(file) or ""
        if match := re.search(r"(?m)^[ \t\"']*torch\b(?![-_\w])", text):
            return Place(file, text.count("\n", 0, match.end()) + 1)
    return None


def _containers(
    compose: ComposeService, ready: Sequence[str], env: Mapping[str, str], code: Code
) -> Entry:
    """How a compose file runs the containers of a service. `env`: the variables of its image."""
    entry: Entry = {}
    for published, target in compose.ports[:1]:
        if published and published != target:
            entry["publish"] = published
    entry["volumes"] = {name: code.moved(path) for name, path in compose.volumes.items()}
    entry["tmpfs"] = [code.moved(path) for path in compose.tmpfs]
    if compose.stop_signal:
        entry["stop_signal"] = compose.stop_signal
    entry["env_file"] = list(compose.env_files)
    if compose.profiles:
        entry["up"] = False
    entry["depends_on"] = list(compose.depends_on)
    if any(compose.depends_on.values()):
        entry["depends_on"] = {
            other: {"condition": condition or "service_started"}
            for other, condition in compose.depends_on.items()
        }
    if ready:
        entry["start"] = {"with": list(ready)}  # which reads the variables in the compose file
    else:
        entry["environment"] = {}
        for name, value in compose.environment.items():
            moved = code.moved(value)
            if _shown(name, value) and env.get(name) != moved:
                entry["environment"][name] = moved
    return {key: value for key, value in entry.items() if value not in ({}, [])}


def _shown(name: str, value: str) -> bool:
    """Whether the manifest may have a variable of a compose file."""
    return not value or not looks_secret(name, value)


def _of_compose(compose: ComposeService | None) -> Iterator[Note]:
    """What stays in the compose file."""
    if compose is None:
        return
    yield from compose.notes
    for what in compose.stays:
        yield Note("compose", compose.place, what)
    secrets = [name for name, value in compose.environment.items() if not _shown(name, value)]
    if secrets:
        what = f"{', '.join(secrets)} may be secret"
        yield Note("compose", compose.place, what, "`start: {env: ...}` sets a value for checks")
