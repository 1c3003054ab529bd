"""The files of a service that its Dockerfile copies or makes. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slimbake.adopt.code import APP, Code, Placed, path_in
from slimbake.adopt.listed import OF_INSTALLERS, OF_MACHINE
from slimbake.adopt.model import (
    ImageFacts,
    Place,
    Step,
)
from slimbake.adopt.needs import Needs, not_run
from slimbake.adopt.sheet import BUILD_ENV, Sheet, below, modules_of
from slimbake.adopt.steps import (
    BUNDLE,
    authorities,
    authorities_step,
    django_step,
    stage_step,
)

# What says how a project is built or what it requires, whoever reads it.
_BUILDS = re.compile(r"\.(?:toml|lock|cfg|sh)$|requirements[\w.-]*$|Pipfile[\w.]*$|/setup\.py$")
_NOT_READING = frozenset({"chown", "chmod", "chgrp", "mkdir", "rm", "ls", "touch"})
TRUSTS = "update-ca-certificates"
# What a model's files end in.
_WEIGHTS = (
    *(".safetensors", ".onnx", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".keras"),
    *(".tflite", ".joblib", ".pkl", ".pb", ".npz"),
)
_ELSEWHERE = "move it there, or make `context` the folder around both"


def trusted(sheet: Sheet, needs: Needs, code: Code, env: Mapping[str, str]) -> dict[str, str]:
    """Have the certificates trusted that a step of the Dockerfile makes so: a step of `build` joins
    them to Debian's, and variables name the file.
    """
    step = next(
        (each for each in needs.needless if each.last and each.words[0].endswith(TRUSTS)), None
    )
    found = authorities(code, sheet.repository) if step else {}
    if not step or not found:
        return {}
    if lost := [source for source, here in found.items() if not here]:
        sheet.note(
            step.place,
            f"{', '.join(lost)}: trusted by `{TRUSTS}`",
            f"slimbake's images trust the authorities of Debian alone, and {code.context} does"
            " not have this file: move it there, and run `slimbake init` again, which then"
            " joins both in a step of `build`",
        )
        needs.needless = [each for each in needs.needless if each is not step]
        return {}
    made, bundle = authorities_step(found.values())
    sheet.entry["build"] = [made]
    sheet.comments["build"] = f"{step.place} has {', '.join(found)} trusted"
    names = [name for name, value in env.items() if value == BUNDLE]
    return dict.fromkeys(names + ["SSL_CERT_FILE"] * ("SSL_CERT_FILE" not in env), bundle)


def steps_of(sheet: Sheet, facts: ImageFacts, needs: Needs, code: Code) -> None:
    """The steps of `build`, in the order of their lines."""
    found: list[tuple[Place, dict[str, Any]]] = []
    for taken in facts.taken:
        env = {k: v for k, v in taken.env.items() if not BUILD_ENV.fullmatch(k)}
        kept = replace(taken, env=env)
        step, why = stage_step(kept, sheet.of.build.context, code, sheet.repository)
        if step:
            found.append((taken.place, step))
        else:
            sheet.note(
                taken.place,
                f"the stage '{taken.name}', on {taken.image.value}, builds files that are copied",
                f"{why}: write it as a step of `build` with its outputs (docs/how-to/build-steps.md),"
                " or keep the Dockerfile with `dockerfile:`",
            )
    for each in needs.django:
        step, why = django_step(each, code, needs.system, sheet.repository)
        if step:
            found.append((each.place, step))
        else:
            sheet.notes.append(not_run(each, sheet.of.name, why))
    if found:
        steps = [step for _, step in sorted(found, key=lambda one: one[0])]
        sheet.entry["build"] = [*sheet.entry.get("build", ()), *steps]


def own_files(sheet: Sheet, needs: Needs, code: Code) -> None:
    """Files of the repository that a Dockerfile removes, and folders that it lets its user write
    to: slimbake's image has the ones, and no container writes to the others.
    """
    within = (*sheet.entry.get("volumes", {}).values(), *sheet.entry.get("tmpfs", ()))
    for step in [each for each in needs.needless if each.last]:
        for path in _paths(step):
            source = code.source(path, sheet.repository)
            here = code.moved(path)
            inside = source and source.startswith(below(code.context))
            if not inside or here in {APP, code.app}:
                continue
            if step.words[0] == "rm" and not _BUILDS.search(f"/{source}"):
                advice = (
                    f"slimbake's image has {source}: list it in {below(code.context)}.dockerignore"
                    " if no step of `build` reads it"
                )
            elif (
                step.words[0] == "chown"
                and source in sheet.repository.folders
                and not any(f"{here}/".startswith(f"{each}/") for each in within)
            ):
                advice = (
                    "containers write to `tmpfs` and `volumes` alone, which begin empty: if the"
                    " service writes there, name a folder there, and change the path"
                )
            else:
                continue
            sheet.note(step.place, f"RUN {step.words[0]} {path}", advice)
            needs.needless = [each for each in needs.needless if each is not step]


def hidden_files(sheet: Sheet, code: Code) -> None:
    """A note on each dot file or folder that the code names, or that has the name of a package that
    it imports.
    """
    for path in sorted(sheet.repository.hidden):
        name = path.rpartition("/")[2]
        stem = re.escape(name.lstrip("."))
        word = re.compile(
            rf"^\s*(?:import|from)\s(?:[^#\n]*\W)?{stem}\b|[\"'/]\.{stem}\b", re.MULTILINE
        )
        inside = f"{path}/".startswith(below(code.context)) and not name.startswith(".env")
        if inside and any(word.search(text) for _, text in modules_of(sheet, code)):
            sheet.note(
                Place(path),
                f"{name} is not in the image",
                "slimbake copies no dot files: if the service reads it, the line"
                f" `!{path.removeprefix(below(code.context))}` in {below(code.context)}.dockerignore"
                " keeps it",
            )


def misplaced_files(sheet: Sheet, code: Code, installed: set[str], facts: ImageFacts) -> None:
    """A note on each file and folder that the code names where the Dockerfile copies it to, and
    that is not there in slimbake's image; and on each file that is nowhere in it, and that no
    step of the build reads.
    """
    noted = {each.place for each in code.notes}
    runs = [*sheet.entry.get("entrypoint", ()), *sheet.entry.get("command", ())]
    for each in code.placed:
        target, root = each.target, code.root.rstrip("/")
        below = target.startswith(f"{root}/") and root != ""
        relative = posixpath.relpath(target, code.root) if below else ""
        here = code.here(each)
        if target in {*installed, code.root} or each.place in noted:
            continue
        if target == "/":
            _spread(sheet, each, here, code, facts)
            continue
        if here == (posixpath.join(code.app, relative) if below else target):
            continue
        if OF_INSTALLERS.search(target):
            sheet.note(each.place, f"{each.source} is copied to {target}", OF_MACHINE)
            continue
        words = re.escape(relative or target.rstrip("/"))
        named = re.compile(rf"[\"'](?:\./)?{words}(?=[\"'/])|/{words}(?=[\"'])")
        for path, text in modules_of(sheet, code):
            if found := named.search(text):
                line = Place(path, text.count("\n", 0, found.start()) + 1)
                advice = (
                    f"slimbake's image has it at {here}: change the path in {line}"
                    if here
                    else f"it is not in {code.context}, and {line} names it: "
                    + (_as_weights(sheet, each) or _ELSEWHERE)
                )
                sheet.note(each.place, f"{each.source} is copied to {target}", advice)
                break
        else:
            for_build = posixpath.dirname(target) in installed or _BUILDS.search(target)
            modules = each.folder and any(
                path.endswith(".py") for path in sheet.repository.below(each.source)
            )
            weights = "" if here else _as_weights(sheet, each)
            read = _read_by(facts, target) and not weights
            moves = target in sheet.in_scripts or _moves(sheet, facts, target)
            if modules or for_build or read or (here and moves) or here in runs:
                continue
            advice = (
                f"slimbake's image has it at {here}: where the service reads it, change the path"
                if here
                else f"it is not in {code.context}, so it is not in slimbake's image: "
                + (weights or "if the service reads it, move it there")
            )
            sheet.note(each.place, f"{each.source} is copied to {target}", advice)
    made = {posixpath.normpath(posixpath.join(facts.workdir, word)) for word in runs}
    for path, (_, place) in facts.scripts.items():
        starts = [word for each in (facts.entrypoint, facts.command) if each for word in each.words]
        followed = _read_by(facts, path) or posixpath.basename(path) in starts
        if path in made or not followed:
            why = ", and the command names it:" if path in made else ": if the service reads it,"
            advice = f"it is not in slimbake's image{why} write it as a file"
            sheet.note(place, f"a here-document is copied to {path}", advice)


def _spread(sheet: Sheet, each: Placed, here: str, code: Code, facts: ImageFacts) -> None:
    """A note on a folder whose files a Dockerfile puts where each belongs in the file system, and
    that no step of the build reads.
    """
    files = (f"/{file}" for file in sheet.repository.below(each.source))
    read = each.folder and any(_read_by(facts, file) for file in files)
    if each.folder and each.source != code.context and not read:
        has = f"has its files at {here}" if here else "does not have its files"
        advice = f"slimbake's image {has}: where the service reads them, change the path"
        sheet.note(each.place, f"{each.source} is copied to /", advice)


def _as_weights(sheet: Sheet, each: Placed) -> str:
    """How a model that lies outside of the service's folder comes into the image; "" for what is
    none.
    """
    folder = each.source if each.folder else posixpath.dirname(each.source)
    model = [*sheet.repository.below(folder)] if each.folder else [each.source]
    if not folder or not any(name.endswith(_WEIGHTS) for name in model):
        return ""
    return f"`weights: {{path: {folder}}}` has it at /weights, so change the path to that"


def _moves(sheet: Sheet, facts: ImageFacts, target: str) -> bool:
    """Whether a variable or the command has a path of today's image: these get the new one."""
    compose = sheet.of.compose
    said = [*facts.env.values(), *(compose.env.values() if compose else ())]
    commands = [facts.entrypoint, facts.command]
    commands += [compose.entrypoint, compose.command] if compose else []
    texts = [each.value for each in said] + [each.text for each in commands if each]
    path = path_in([target.rstrip("/")])
    return any(path.search(text) for text in texts)


def _read_by(facts: ImageFacts, target: str) -> bool:
    """Whether a step of the build names a file or a folder around it, or the image starts with it."""
    starts = [each.text for each in (facts.entrypoint, facts.command) if each]
    steps = (step for step in facts.steps if step.words[0] not in _NOT_READING)
    named = [(step.workdir, word) for step in steps for word in step.words]
    named += [(facts.workdir, word) for text in starts for word in text.split()]
    if starts and posixpath.basename(target) == starts[0].split()[0]:  # by PATH
        return True
    for folder, word in named:
        path = posixpath.normpath(posixpath.join(folder, word.rpartition("=")[2]))
        if path != "/" and f"{target}/".startswith(f"{path.rstrip('/')}/"):
            return True
    return False


def _paths(step: Step) -> list[str]:
    """What the words of a step would be as paths; the owner that `chown` gives is none."""
    words = [word for word in step.words[1:] if not word.startswith("-")]
    by_file = any(word.startswith("--reference") for word in step.words)
    words = words[1:] if step.words[0] == "chown" and not by_file else words
    return [posixpath.normpath(posixpath.join(step.workdir, word)) for word in words]
