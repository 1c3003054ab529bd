"""Which images a repository builds: by its bake files, its pipelines, and its commands. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from slimbake.adopt.compose import list_of, plain
from slimbake.adopt.hcl import blocks, filled
from slimbake.adopt.model import BuildFacts, Place, Repository
from slimbake.config.document import read_yaml
from slimbake.render import MARK

_COMMAND = re.compile(
    r"\b(?:docker|podman|nerdctl)\s+(?:buildx\s+|image\s+)?build\s((?:\\\s*\n|[^\n`;&|])*)"
)
_WITH_VALUE = frozenset({"-t", "--tag", "-f", "--file", "--target", "--build-arg"})
_ACTION = "docker/build-push-action"
_OF_GITHUB = re.compile(r"\$\{\{\s*matrix\.([\w.-]+)\s*\}\}")
_OF_GITLAB = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MOST = 64  # combinations of one matrix
_LOOP = re.compile(r"\bfor\s+(\w+)\s+in\s+([^;\n]+?)\s*(?:;|\\?\n)\s*do\b")
_PROSE = re.compile(r"(?:^|/)README[^/]*$|\.(?:txt|in|md)$")
TAG = re.compile(r"(?:@.*|:[^/:]*)$")


@dataclass(frozen=True, slots=True)
class Declared:
    """A build that something in the repository starts."""

    image: str  # as it is written; "": it has no name
    build: BuildFacts
    place: Place
    target: str = ""  # of a bake file

    @property
    def name(self) -> str:
        """What it is called; "" where only variables say it."""
        last = posixpath.basename(TAG.sub("", self.image))
        return self.target or ("" if "$" in last else last)


def declared(repository: Repository) -> Iterator[Declared]:
    """The builds of bake files, pipelines and commands, but for those that only a text for people
    has.
    """
    for file, text in sorted(repository.texts.items()):
        if file.endswith(".hcl") and MARK not in text.partition("\n")[0]:
            yield from _of_bake_file(file, text, repository)
    for file, text in sorted(repository.pipelines.items()):
        yield from _of_pipeline(file, text, repository)
    yield from (each for each in commands(repository) if not _PROSE.search(each.place.file))


def commands(repository: Repository) -> Iterator[Declared]:
    """The images that commands build which stand in a file, such as a README or a Makefile."""
    for file, text in sorted(repository.texts.items()):
        yield from _commands(text, file, posixpath.dirname(file), repository)


def _commands(text: str, file: str, folder: str, repository: Repository) -> Iterator[Declared]:
    for found in _COMMAND.finditer(text):
        place = Place(file, text.count("\n", 0, found.start()) + 1)
        for words in _in_loops(found[1], text[: found.start()]):
            for name, build in _build(words, folder, repository):
                yield Declared(name, build, place)


def _in_loops(command: str, before: str) -> list[str]:
    """A command with each value of the variables that the loops around it have."""
    found = [command]
    for loop in reversed([*_LOOP.finditer(before)]):
        name = re.compile(rf"\$+(?:\{{{loop[1]}\}}|{loop[1]}\b)")
        words = [word.strip("\"'") for word in loop[2].split()]
        closed = re.search(r"(?:^|[\s;])done\b", before[loop.end() :])
        if not closed and name.search(command) and not re.search(r"[$*`]", loop[2]):
            found = [word.join(name.split(each)) for each in found for word in words]
    return found[:_MOST]


def _build(text: str, folder: str, repository: Repository) -> Iterator[tuple[str, BuildFacts]]:
    """What one command builds, by each name that it gives it. Paths are relative to the root, or to
    the folder of the file in which it stands.
    """
    given: dict[str, list[str]] = {}
    places: list[str] = []
    rest = [word.strip("\"'") for word in text.replace("\\\n", " ").split()]
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if not word.startswith("-"):
            places.append(word)
        elif equals or option in _WITH_VALUE:
            value = value if equals or not rest else rest.pop(0)
            given.setdefault(option, []).append(value)
    names = [*given.get("-t", ()), *given.get("--tag", ())]
    files = [*given.get("-f", ()), *given.get("--file", ())]
    pairs = [each.partition("=") for each in given.get("--build-arg", ())]
    for at in (".", folder):
        for place in places:
            build = _facts(
                posixpath.join(at, place),
                posixpath.join(at, files[0]) if files else "",
                "".join(given.get("--target", ())[-1:]),
                {name: value for name, _, value in pairs},
                repository,
            )
            if build:
                yield from ((name, build) for name in names or [""])
                return


def _facts(
    context: str,
    file: str,
    target: str,
    args: Mapping[str, str],
    repository: Repository,
    contexts: Mapping[str, str] = {},
) -> BuildFacts | None:
    """A build, without the arguments that only a variable says; None where its Dockerfile is not in
    the repository.
    """
    context = posixpath.normpath(context)
    file = posixpath.normpath(file or posixpath.join(context, "Dockerfile"))
    if context not in repository.folders or file not in repository.texts or "$" in target:
        return None
    known = {name: value for name, value in args.items() if "$" not in value}
    folders = {name: posixpath.normpath(at) for name, at in contexts.items()}
    return BuildFacts(
        context=context,
        dockerfile=file,
        target=target,
        args=known,
        contexts={name: at for name, at in folders.items() if at in repository.folders},
    )


def _of_pipeline(file: str, text: str, repository: Repository) -> Iterator[Declared]:
    """The builds of GitHub's action and of commands, in each combination of a job's matrix."""
    raw = read_yaml(text).value
    raw = raw if isinstance(raw, dict) else {}
    jobs = raw.get("jobs", raw)
    for job in jobs.values() if isinstance(jobs, dict) else ():
        if isinstance(job, dict):
            for values in _combinations(job):
                yield from _of_job(job, values, file, repository)


def _of_job(
    job: Mapping[str, Any], values: Mapping[str, Any], file: str, repository: Repository
) -> Iterator[Declared]:
    place = Place(file)

    def said(value: Any) -> str:
        value = "\n".join(map(said, value)) if isinstance(value, list) else value
        value = _OF_GITHUB.sub(lambda found: _value(values, found[1]) or found[0], plain(value))
        return _OF_GITLAB.sub(lambda f: _value(values, f[1] or f[2]) or f[0], value)

    for step in [job, *(each for each in list_of(job.get("steps")) if isinstance(each, dict))]:
        for key in ("run", "script"):
            for each in _commands(said(step.get(key)), file, ".", repository):
                yield replace(each, place=place)
        given = step.get("with")
        if _ACTION in str(step.get("uses")) and isinstance(given, dict):
            pairs = (each.partition("=") for each in said(given.get("build-args")).split("\n"))
            args = {name.strip(): value.strip() for name, _, value in pairs if name.strip()}
            at = said(given.get("context")) or "."
            path, target = said(given.get("file")), said(given.get("target"))
            build = _facts(at, path, target, args, repository)
            if build:
                tags = re.split(r"[\s,]+", said(given.get("tags")).strip())
                yield Declared(tags[0], build, place)


def _value(values: Mapping[str, Any], path: str) -> str:
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return plain(found)


def _combinations(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the variables of a job's matrix are, in each of its runs; [{}] without one."""
    strategy, parallel = job.get("strategy"), job.get("parallel")
    matrix = strategy.get("matrix") if isinstance(strategy, dict) else None
    if isinstance(parallel, dict):
        every = [each for each in list_of(parallel.get("matrix")) if isinstance(each, dict)]
        return [run for each in every for run in _products(each)] or [{}]
    if not isinstance(matrix, dict):
        return [{}]
    runs = _products({k: v for k, v in matrix.items() if k not in {"include", "exclude"}})
    runs = [each for each in runs if each]
    own = [{*each} for each in runs]
    for more in (each for each in list_of(matrix.get("include")) if isinstance(each, dict)):
        fits = [
            number
            for number, keys in enumerate(own)
            if all(runs[number][key] == more[key] for key in keys & {*more})
        ]
        for number in fits:
            runs[number] = {**runs[number], **more}
        runs += [] if fits else [dict(more)]
    return runs or [{}]


def _products(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = [*matrix]
    found = product(*(list_of(matrix[key]) for key in keys))
    return [
        dict(zip(keys, each, strict=True)) for each, _ in zip(found, range(_MOST), strict=False)
    ]


def _of_bake_file(file: str, text: str, repository: Repository) -> Iterator[Declared]:
    """The targets of a bake file that build a Dockerfile of the repository."""
    found = [*blocks(text)]
    variables = {
        each.name: each.values["default"]
        for each in found
        if each.kind == "variable" and isinstance(each.values.get("default"), str)
    }
    targets = {each.name: each for each in found if each.kind == "target"}
    parents = {name for each in targets.values() for name in list_of(each.values.get("inherits"))}

    def whole(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
        if name in above or name not in targets:
            return {}
        own = targets[name].values
        made: dict[str, Any] = {}
        for each in list_of(own.get("inherits")):
            below = whole(str(each), (*above, name))
            made |= {**below, "args": {**_dict(made.get("args")), **_dict(below.get("args"))}}
        return made | {**own, "args": {**_dict(made.get("args")), **_dict(own.get("args"))}}

    for name, target in targets.items():
        if name in parents and "tags" not in target.values:
            continue  # it is there to be inherited from
        said = whole(name)
        matrix = said.get("matrix")
        for values in _products(matrix) if isinstance(matrix, dict) else [{}]:
            known = {**variables, **values}

            def text_of(key: str, known: Mapping[str, Any] = known, said: Any = said) -> str:
                return filled(said.get(key), known)

            at = text_of("context") or "."
            path = text_of("dockerfile")
            args = {key: filled(value, known) for key, value in _dict(said.get("args")).items()}
            path = posixpath.join(at, path) if path else ""
            more = {key: filled(each, known) for key, each in _dict(said.get("contexts")).items()}
            build = _facts(at, path, text_of("target"), args, repository, more)
            if build:
                tags = [filled(each, known) for each in list_of(said.get("tags"))]
                called = text_of("name") if isinstance(matrix, dict) else name
                yield Declared(next(iter(tags), ""), build, Place(file, target.line), called)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
