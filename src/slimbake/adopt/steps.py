"""Steps of a Dockerfile as steps of `build`: what another stage makes, and what Django does. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slimbake.adopt.code import APP, Code, Unreadable, code_of, path_in
from slimbake.adopt.django import django_outputs
from slimbake.adopt.model import ImageFacts, Repository, Step, Taken
from slimbake.adopt.shell import simple_commands

DJANGO = ("collectstatic", "compilemessages")
AUTHORITIES = "/usr/local/share/ca-certificates"  # from here `update-ca-certificates` takes them
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  # and here it writes all that are trusted
_JOINS = (
    "import pathlib, sys; *parts, made = map(pathlib.Path, sys.argv[1:]);"
    " made.write_bytes(b'\\n'.join(each.read_bytes() for each in parts))"
)
_BUILD = "/build"  # where the folder of a step with an image is


def stage_step(
    taken: Taken, context: str, code: Code, repository: Repository
) -> tuple[dict[str, Any] | None, str]:
    """The step that makes what an image takes of a stage, or why there is none.

    `context`: the build context; `code`: that of the service.
    """
    if taken.refused:
        return None, taken.refused
    facts = ImageFacts(
        place=taken.place,
        parent=taken.image,
        python=False,
        workdir=taken.workdir,
        copies=taken.copies,
    )
    try:
        of = code_of(facts, context, repository, frozenset())
    except Unreadable as why:
        return None, why.note.what
    if of.inner or of.paths or of.root == "/":
        return None, "its files come from several folders, or lie in /"
    below = _below(of.context, code.context)
    wanted = list(_wanted(taken, code))
    outside = next((each for each in wanted if not each.inside), None)
    if outside is not None:
        where = "all of" if outside.target == code.root else "not in"
        return None, f"{outside.source} goes to {outside.target}, which is {where} {code.root}"
    near = all(not below or f"{each.inside}/".startswith(f"{below}/") for each in wanted)
    folder = of.context if near else code.context
    work = _BUILD if near else posixpath.join(_BUILD, below)  # where its own folder is then
    parts = list(_commands(taken, of.root, work))
    outputs = []
    for each in wanted:
        output = posixpath.relpath(each.inside, below) if near and below else each.inside
        outputs.append(output)
        made = path_in([of.root]).sub(work, each.source)
        there = posixpath.join(_BUILD, output)
        if made != there:
            into = posixpath.dirname(there) if each.file else there
            source = shlex.quote(made) if each.file else f"{shlex.quote(made)}/."
            parts += [f"mkdir -p {shlex.quote(into)}", f"cp -R {source} {shlex.quote(there)}"]
    step: dict[str, Any] = {"image": taken.image.value}
    if folder != code.context:
        step["context"] = folder
    commands = simple_commands(parts[0]) if len(parts) == 1 else []
    bare = len(commands) == 1 and commands[0].plain and "$" not in parts[0]
    words = list(commands[0].words) if bare and not commands[0].assignments else []
    step["run"] = words or ["sh", "-c", " && ".join(parts)]
    step["outputs"] = list(dict.fromkeys(outputs))
    step["network"] = True  # as RUN has it
    if taken.env:
        moved = path_in([of.root])
        step["env"] = {name: moved.sub(work, value) for name, value in taken.env.items()}
    return step, ""


def django_step(
    step: Step, code: Code, system: Mapping[str, Any], repository: Repository
) -> tuple[dict[str, Any] | None, str]:
    """The step of Django's command, or why there is none."""
    at = next((n for n, word in enumerate(step.words) if word.endswith("manage.py")), 0)
    command = step.words[at + 1]
    here = code.moved(step.workdir)
    manage = posixpath.normpath(posixpath.join(here, code.moved(step.words[at])))
    if not manage.startswith(f"{APP}/"):
        return None, f"{step.words[at]} is not in {code.root}"
    if command == "compilemessages" and "gettext" not in system:
        return None, "it starts msgfmt, and the image has no gettext"
    manage = posixpath.relpath(manage, APP)
    texts = [
        text
        for path, text in repository.texts.items()
        if path.endswith(".py") and (code.context == "." or path.startswith(f"{code.context}/"))
    ]
    env = {
        name: code.moved(value)
        for name, value in step.env
        if value
        and (name == "PYTHONPATH" or any(re.search(rf"[\"']{name}[\"']", text) for text in texts))
    }
    outputs = django_outputs(command, manage, env, code.context, repository)
    if not outputs:
        if command == "compilemessages":
            return None, "init finds no *.po files"
        return (
            None,
            "init finds no STATIC_ROOT below the code, where alone a step of `build` writes",
        )
    words = ["python", manage, *(code.moved(word) for word in step.words[at + 1 :])]
    made: dict[str, Any] = {"run": words, "outputs": list(outputs)}
    if env:
        made["env"] = env
    return made, ""


def authorities(code: Code, repository: Repository) -> dict[str, str]:
    """The repository's certificates that `update-ca-certificates` makes trusted, and where slimbake's
    image has each; "" where it has not.
    """
    found = {}
    for each in code.placed:
        inside = f"{each.target}/".startswith(f"{AUTHORITIES}/")
        for name in (repository.below(each.source) if each.folder else [""]) if inside else ():
            here = code.here(each)
            if posixpath.join(each.target, name).rstrip("/").endswith(".crt"):
                source = posixpath.normpath(posixpath.join(each.source, name))
                found[source] = posixpath.normpath(posixpath.join(here, name)) if here else ""
    return found


def authorities_step(certificates: Iterable[str]) -> tuple[dict[str, Any], str]:
    """The step that writes these certificates and Debian's into one file, and its path."""
    names = [posixpath.relpath(each, APP) for each in certificates]
    made = posixpath.join(posixpath.dirname(names[0]), posixpath.basename(BUNDLE))
    step = {"run": ["python", "-c", _JOINS, BUNDLE, *names, made], "outputs": [made]}
    return step, posixpath.join(APP, made)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One file or folder of a stage, and where the image has it."""

    source: str
    target: str
    inside: str  # relative to the service's folder; "": not in it
    file: bool  # as a name with an ending is


def _wanted(taken: Taken, code: Code) -> Iterator[_Wanted]:
    for each in taken.takes:
        for written in each.sources:
            source = posixpath.normpath(posixpath.join("/", written))
            file = bool(posixpath.splitext(source)[1])
            into = each.folder and (file or len(each.sources) > 1)
            base = posixpath.basename(source)
            target = posixpath.join(each.target, base) if into else each.target
            moved = posixpath.normpath(code.moved(target))
            inside = posixpath.relpath(moved, APP) if moved.startswith(f"{APP}/") else ""
            yield _Wanted(source, target, inside, file)


def _below(folder: str, above: str) -> str:
    """A folder relative to one above it; "" where it is that one, or not below it."""
    inside = above == "." or f"{folder}/".startswith(f"{above}/")
    found = posixpath.relpath(folder, above) if inside else "."
    return "" if found == "." else found


def _commands(taken: Taken, root: str, work: str) -> Iterator[str]:
    """What its RUNs do, for one shell; `work`: where its root is then."""
    here = _BUILD
    for workdir, written in taken.runs:
        inside = f"{workdir}/".startswith(f"{root}/")
        where = posixpath.join(work, posixpath.relpath(workdir, root) if inside else ".")
        where = posixpath.normpath(where)
        if where != here:
            yield f"cd {shlex.quote(where)}"
            here = where
        text = path_in([root]).sub(work, written)
        if not re.search(r"[\"'\\]", text):
            text = " ".join(text.split())
        commands = simple_commands(text)
        chain = all(each.plain and each.before in {"", "&&"} for each in commands)
        yield text if chain else f"({text})"
