"""What a service installs: its requirements, Debian packages and Python. Pure."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from slimbake.adopt.code import Code
from slimbake.adopt.listed import lines_of, one_file
from slimbake.adopt.model import (
    ImageFacts,
    Place,
    Repository,
    Said,
    Step,
)
from slimbake.adopt.needs import Needs
from slimbake.adopt.sheet import Sheet, below, modules_of
from slimbake.config.specs import name_of

_VERSION = re.compile(r"python(?::|==?)?(3\.\d+)")
_PROGRAMS = {"xz-utils": "xz", "netcat-openbsd": "nc", "netcat-traditional": "nc"}
# Groups that no image is meant to have.
_DEVELOPMENT = frozenset({"dev", "test", "tests", "lint", "docs", "doc", "typing", "type", "ci"})


def narrowed_to(sheet: Sheet, code: Code, needs: Needs, facts: ImageFacts) -> Code:
    """Of a workspace, the member that is installed: its packages are what the command names."""
    folder = _member(sheet, needs.member, "") if needs.member else ""
    compose = sheet.of.compose
    said = (
        compose and (compose.command or compose.entrypoint),
        facts.command,
        facts.entrypoint,
    )
    words = [word for command in said if command for word in command.text.split()]
    named = any(
        posixpath.normpath(posixpath.join(code.context, word)) in sheet.repository.files
        for word in words
    )
    if not folder or named or folder == code.context:
        return code
    root = code.root if code.source(code.root, sheet.repository) == folder else "/"
    return replace(code, context=folder, root=root, inner="", paths=(), notes=())


def requirements_of(
    sheet: Sheet, needs: Needs, code: Code, words: tuple[str, ...]
) -> tuple[Any, list[str]]:
    files: dict[str, None] = {}
    context = code.context
    for path, place in needs.files.items():
        source = code.source(path, sheet.repository) or _beside(sheet, path, context)
        if source:
            files[source] = None
        elif not (needs.projects or needs.pipfile):
            sheet.note(
                place, f"{path} is not in the repository", "add it, or list what it requires"
            )
    if needs.pipfile:
        found = code.source(posixpath.join(needs.pipfile, "Pipfile"), sheet.repository)
        files[found or posixpath.join(context, "Pipfile")] = None
    if needs.environment:
        found = code.source(needs.environment, sheet.repository)
        files[found or posixpath.join(context, posixpath.basename(needs.environment))] = None
    _constrained(sheet, needs, code, files)
    _built(sheet, needs, code)
    _of_own(sheet, needs, code)
    folders: dict[str, None] = {}
    projects: dict[str, None] = {}
    extras = _extras(sheet, needs, code)
    for path, place in {**needs.projects, **needs.folders}.items():
        folder = _project(sheet, path, code) or (
            posixpath.join(code.context, code.inner).rstrip("/") if path == code.root else ""
        )
        if needs.member and path in needs.projects:
            folder = _member(sheet, needs.member, folder) or folder
        if not folder:
            sheet.note(place, f"{path} is not in the repository", "require its package by its name")
        elif _installs_itself(
            sheet, folder, words, context, path in needs.folders, path in needs.whole
        ):
            folders[f"./{folder}{extras}" if folder != "." else f".{extras}"] = None
        elif f"{below(folder)}pyproject.toml" in sheet.repository.files:
            projects[f"{below(folder)}pyproject.toml{extras}"] = None
    projects |= dict.fromkeys(_groups(sheet, needs, code))
    if not files and not folders and not projects and not needs.specs:
        files |= _found(sheet, context)
    return _written(sheet, files, projects, folders, list(needs.specs), context), list(needs.system)


def conda_python(sheet: Sheet, needs: Needs, code: Code) -> Said | None:
    """The version of Python that the file of a conda environment asks for."""
    file = code.source(needs.environment, sheet.repository) if needs.environment else ""
    for number, line in enumerate(sheet.repository.texts.get(file, "").splitlines(), 1):
        if line.strip().startswith("-") and (found := _VERSION.search(line.replace(" ", ""))):
            return Said(found[1], Place(file, number))
    return None


def _constrained(sheet: Sheet, needs: Needs, code: Code, files: Iterable[str]) -> None:
    """A note on each file of constraints that pip is given, and that no requirements file has."""
    texts = sheet.repository.texts
    said = {
        posixpath.normpath(posixpath.join(posixpath.dirname(line.place.file), line.value))
        for file in files
        for line in lines_of(file, texts)
        if line.option in {"-c", "--constraint"}
    }
    for path, place in needs.constraints.items():
        source = code.source(path, sheet.repository)
        exported = not source and "://" not in path and (needs.projects or needs.pipfile)
        if source not in said and not exported:  # of what the projects' locks pin
            advice = (
                "put a line `-c FILE` with its path from there into the requirements file"
                if any(file.endswith((".txt", ".in")) for file in files)
                else "put what is required into a requirements file, with a line `-c FILE`, and"
                " name that under `requirements`"
            )
            advice = advice if source else f"put the file into the repository, and {advice[4:]}"
            sheet.note(place, f"the constraints of {source or path}", advice)


def _built(sheet: Sheet, needs: Needs, code: Code) -> None:
    """A note on built packages that pip is given, and that no step made."""
    for path, place in needs.built.items():
        sheet.note(
            place,
            f"the built packages {code.source(path, sheet.repository) or path}",
            "slimbake installs from sources, an index or an address: require the folder of the"
            " sources, or put them on an index (docs/how-to/private-index.md)",
        )


def _of_own(sheet: Sheet, needs: Needs, code: Code) -> None:
    """Take packages by the names of the projects that are installed as those, with their extras."""
    names = {_name(text) for text in _projects(sheet, needs, code).values()} - {""}
    for spec in [each for each in needs.specs if name_of(each) in names]:
        del needs.specs[spec]
        if extras := re.match(r"[^\[;@]*\[([^\]]*)\]", spec):
            needs.extras += tuple(map(str.strip, extras[1].split(",")))


def _extras(sheet: Sheet, needs: Needs, code: Code) -> str:
    """The extras of the projects, in brackets."""
    texts = _projects(sheet, needs, code).values()
    known = {name for text in texts for name in _extras_of(_toml(text))}
    named = [*needs.extras, *(group for group in needs.groups if group in known)]
    if "*" in named:
        named = [each for each in (*named, *sorted(known)) if each != "*"]
    return f"[{','.join(dict.fromkeys(named))}]" if named else ""


def _groups(sheet: Sheet, needs: Needs, code: Code) -> Iterator[str]:
    """The groups of the projects that are installed, too; a note for what no project has."""
    lacking = dict(needs.groups)
    for file, text in _projects(sheet, needs, code).items():
        data = _toml(text)
        groups = _groups_of(data)
        wanted = [name for name in needs.groups if name in groups]
        if needs.poetry is not None:
            poetry = data.get("tool", {}).get("poetry", {}).get("group", {})
            left = needs.poetry | _DEVELOPMENT
            wanted += [n for n, g in poetry.items() if not g.get("optional") and n not in left]
        yield from (f"{file}:{name}" for name in dict.fromkeys(wanted))
        for name in (*groups, *_extras_of(data)):
            lacking.pop(name, None)
    for name, place in lacking.items():
        advice = "no pyproject.toml of the service has it: add what it lists to `requirements`"
        sheet.note(place, f"the group '{name}' is installed, too", advice)


def _projects(sheet: Sheet, needs: Needs, code: Code) -> dict[str, str]:
    """The texts of the projects that are installed, by their pyproject.toml."""
    member = _member(sheet, needs.member, "") if needs.member else ""
    folders = (
        member or _project(sheet, path, code) or code.context
        for path in (*needs.projects, *needs.folders)
    )
    files = (f"{below(posixpath.normpath(each))}pyproject.toml" for each in folders)
    return {each: sheet.repository.texts.get(each, "") for each in files}


def _project(sheet: Sheet, path: str, code: Code) -> str:
    """The folder of the repository that a project's folder in the image comes from."""
    if found := code.source(path, sheet.repository):
        return found
    file = code.source(posixpath.join(path, "pyproject.toml"), sheet.repository)
    return (posixpath.dirname(file) or ".") if file else ""


def _written(
    sheet: Sheet,
    files: Mapping[str, None],
    projects: Mapping[str, None],
    folders: Mapping[str, None],
    specs: list[str],
    context: str,
) -> Any:
    """The value of `requirements`: one file by its name where it says all, else a list."""
    texts = sheet.repository.texts
    if not projects and not folders and (file := one_file(files, specs, texts)):
        return posixpath.relpath(file, context)
    if len(projects) == 1 and not files and not folders and not specs:
        return posixpath.relpath(next(iter(projects)), context)
    return list(dict.fromkeys((*files, *projects, *folders, *specs)))


def _beside(sheet: Sheet, path: str, context: str) -> str:
    name = posixpath.basename(path)
    for folder in dict.fromkeys((context, sheet.of.build.context)):
        if f"{below(folder)}{name}" in sheet.repository.files:
            return f"{below(folder)}{name}"
    return ""


def _found(sheet: Sheet, context: str) -> dict[str, None]:
    for name in ("requirements.txt", "pyproject.toml", "Pipfile", "environment.yml"):
        if f"{below(context)}{name}" in sheet.repository.files:
            return {f"{below(context)}{name}": None}
    return {}


def _member(sheet: Sheet, name: str, folder: str) -> str:
    for file in sorted(sheet.repository.texts):
        if posixpath.basename(file) == "pyproject.toml" and _name(
            sheet.repository.texts[file]
        ) == name.lower().replace("_", "-"):
            return posixpath.dirname(file) or "."
    return folder


def _installs_itself(
    sheet: Sheet, folder: str, words: tuple[str, ...], context: str, installed: bool, whole: bool
) -> bool:
    """Whether a project is needed as a package: for its programs or metadata, or for modules
    that are not in the context itself.

    `installed`: whether pip installs it; `whole`: whether Poetry or uv does, with what it needs.
    """
    text = sheet.repository.texts.get(f"{below(folder)}pyproject.toml")
    if text is None or not _name(text):
        setup = (f"{below(folder)}{name}" for name in ("setup.py", "setup.cfg"))
        return installed and any(each in sheet.repository.files for each in setup)
    table, tool = _toml(text), _toml(text).get("tool")
    tables = (table.get("project"), tool.get("poetry") if isinstance(tool, dict) else None)
    scripts = {name for t in tables if isinstance(t, dict) for name in t.get("scripts") or ()}
    if words and words[0] in scripts:
        return True
    if folder != context:
        return installed or "build-system" in table
    if (
        (installed or whole)
        and "build-system" in table
        and (scripts or _asks_for(sheet, _name(text), folder))
    ):
        return True
    return any(each.startswith("src/") for each in sheet.repository.below(folder)) and not any(
        each.count("/") == 1 and each.endswith("/__init__.py")
        for each in sheet.repository.below(folder)
    )


def _asks_for(sheet: Sheet, name: str, folder: str) -> bool:
    """Whether code asks for the metadata of a distribution, such as its version."""
    call = re.compile(rf"(?:version|metadata|distribution)\(\s*[\"']{re.escape(name)}[\"']")
    return any(
        call.search(text)
        for path, text in sheet.repository.texts.items()
        if path.endswith(".py") and (folder == "." or path.startswith(f"{folder}/"))
    )


def torch_of(sheet: Sheet, needs: Needs, code: Code) -> str:
    """The build of torch that requirements name the index of."""
    for path in (*needs.files, *needs.projects):
        source = code.source(path, sheet.repository)
        for name in (source, f"{below(source)}pyproject.toml" if source else ""):
            found = re.search(r"/whl/(cpu|cu\d+)\b", sheet.repository.texts.get(name, ""))
            if found:
                return found[1]
    facts = sheet.of.facts
    gpu = sheet.of.compose and sheet.of.compose.gpu
    cuda = facts and ("cuda" in facts.parent.value or "nvidia" in facts.parent.value)
    return "pypi" if gpu or cuda else ""


def uninstalled(sheet: Sheet, needs: Needs) -> Iterator[Step]:
    """What is installed and slimbake has no need of, as steps of apt-get."""
    noted = {note.what for note in sheet.notes}
    kept = {*sheet.entry.get("system", ()), *noted}
    for name, place in {**needs.there, **needs.fetchers}.items():
        if name not in kept:
            words = f"apt-get install {name}".split()
            yield Step(tuple(words), True, "/", place, last=True)


def calls_program(sheet: Sheet, package: str, code: Code) -> bool:
    """Whether a shell of the image calls a program of this Debian package, or the code has it as the
    first word of a string.
    """
    program = _PROGRAMS.get(package, package)
    if program in sheet.called:
        return True
    called = re.compile(rf"[\"'](?:/usr/bin/)?{re.escape(program)}(?:[\"']|\s)")
    return any(called.search(text) for _, text in modules_of(sheet, code))


def python_of(facts: ImageFacts) -> Said | None:
    """The version of Python that the image's base has, else that its steps and stages name."""
    named = (Said(word, step.place) for step in facts.steps for word in step.words)
    for said in (facts.parent, *facts.builders, *named):
        if found := _VERSION.search(said.value):
            return Said(found[1], said.place)
    return None


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}  # whoever reads the requirements reports it


def _name(text: str) -> str:
    data = _toml(text)
    project = data.get("project")
    poetry = data.get("tool", {}).get("poetry")
    name = (project or {}).get("name") or (poetry or {}).get("name") or ""
    return str(name).lower().replace("_", "-")


def _extras_of(data: Mapping[str, Any]) -> list[str]:
    """The extras of a pyproject.toml."""
    poetry = data.get("tool", {}).get("poetry", {})
    listed = (data.get("project", {}).get("optional-dependencies"), poetry.get("extras"))
    return [name for each in listed for name in each or ()]


def _groups_of(data: Mapping[str, Any]) -> list[str]:
    """Its groups of dependencies."""
    tools = data.get("tool", {})
    poetry, pdm = tools.get("poetry", {}).get("group"), tools.get("pdm", {}).get("dev-dependencies")
    return [name for each in (data.get("dependency-groups"), poetry, pdm) for name in each or ()]


def _dependencies(text: str) -> list[str]:
    project = _toml(text).get("project")
    listed = project.get("dependencies", []) if isinstance(project, dict) else []
    return [str(each) for each in listed]


def closure(folder: str, repository: Repository) -> list[str]:
    """What a package of the repository requires of others, with what those that it needs there do."""
    by_name = {
        _name(text): posixpath.dirname(path) or "."
        for path, text in repository.texts.items()
        if posixpath.basename(path) == "pyproject.toml"
    }
    found: dict[str, None] = {}
    waiting, seen = [folder], set()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        for spec in _dependencies(repository.texts.get(f"{below(at)}pyproject.toml", "")):
            local = by_name.get(name_of(spec), "")
            if local:
                waiting.append(local)
            else:
                found[spec] = None
    return list(found)
