"""What an image takes of a stage with Python: packages, or files that its steps make. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from slimbake.adopt.code import path_in
from slimbake.adopt.model import Copy, Made, Step
from slimbake.adopt.needs import program_of
from slimbake.adopt.shell import BLOCKS

_PLACES = frozenset({"/usr", "/bin", "/lib", "/opt/conda"})  # where packages are installed
_BY_NAME = re.compile(
    r"/(?:\.local|\.?venv|__pypackages__|(?:site|dist)-packages)(?:/|$)|^/(?:root|home(?:/[^/]+)?)$"
)
_VARIABLES = re.compile(  # that say where
    r"(?:PIP|UV|POETRY|PIPENV|PDM|CONDA)_\w+|VIRTUAL_ENV|PATH|PYTHONPATH|PYTHONUSERBASE|HOME"
)
_INSTALLERS = frozenset(
    {
        *("pip", "uv", "uv-pip", "poetry", "pdm", "pipenv", "build-wheel", "virtualenv", "pipx"),
        *("conda", "mamba", "micromamba"),
    }
)
_COPIERS = frozenset({"cp", "mv", "ln", "install", "tar", "rsync", "find"})
_OF_SYSTEM = ("/etc", "/var", "/sbin", "/lib64", "/run", "/dev")
_PREPARES = frozenset({"mkdir", "chown", "chmod", "chgrp"})


def without_packages(steps: Sequence[Step], into: Iterable[Copy], takes: Sequence[Copy]) -> bool:
    """Whether what an image takes of a stage is surely no package that the stage's steps install.

    `into`: what the stage itself takes of others.
    """
    return not _hold(_sources(takes), _places(steps, into))


def made_files(
    stage: str,
    steps: Sequence[Step],
    into: Iterable[Copy],
    copies: Sequence[Copy],
    takes: Sequence[Copy],
) -> Iterator[Made]:
    """What an image takes of a stage that is neither packages nor all that the stage copies."""
    places = _places(steps, into)
    copied = [
        (_target(each, s), posixpath.join(each.context, s)) for each in copies for s in each.sources
    ]
    for each in takes:
        for source in _sources([each]):
            named = [step for step in steps if names_path(step, source)]
            empty = named and all(step.words[0] in _PREPARES for step in named)
            around = any(f"{target}/".startswith(f"{source.rstrip('/')}/") for target, _ in copied)
            if _hold([source], places) or _overlap([source], _OF_SYSTEM) or empty or around:
                continue
            inside = (
                posixpath.normpath(posixpath.join(at, posixpath.relpath(source, target)))
                for target, at in copied
                if source.startswith(f"{target.rstrip('/')}/")
            )
            take = replace(each, sources=(source,), target=_target(each, source))
            yield Made(stage, take, tuple(inside))


def names_path(step: Step, path: str) -> bool:
    """Whether a step of a stage runs in a folder, or has its path in its words or variables."""
    words = step.written or step.words
    texts = [*words[1:], *(value for _, value in step.env)]
    return (
        f"{step.workdir}/".startswith(f"{path}/")
        or _overlap(_paths(replace(step, words=words)), [path])
        or any(map(path_in([path]).search, texts))
    )


def _target(copied: Copy, source: str) -> str:
    """Where a copy puts one of its sources; only a name with an ending is that of a file."""
    file = copied.folder and posixpath.splitext(source)[1]
    target = posixpath.join(copied.target, posixpath.basename(source) if file else "")
    return posixpath.normpath(target)


def _sources(takes: Iterable[Copy]) -> list[str]:
    return [posixpath.normpath(posixpath.join("/", s)) for each in takes for s in each.sources]


def _hold(taken: Sequence[str], places: Iterable[str]) -> bool:
    """Whether some of these paths may have packages."""
    return any(_BY_NAME.search(each) or "*" in each for each in taken) or _overlap(taken, places)


def _places(steps: Iterable[Step], into: Iterable[Copy]) -> frozenset[str]:
    """The paths of a stage that may have packages."""
    places = _PLACES | {each.target for each in into}
    for step in steps:
        program, rest = (program_of(step.words) or ("",))[0], step.words[1:]
        named = set(_paths(step))
        if program in _INSTALLERS or (program == "python" and {"venv", "virtualenv"} & {*rest}):
            places |= named | {*_of_variables(step)}
            places |= {posixpath.join(step.workdir, each) for each in (".venv", "__pypackages__")}
        elif program in _COPIERS | BLOCKS and (
            _overlap(named, places) or any("$(" in word or "`" in word for word in rest)
        ):
            places |= named
    return places


def _overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    return any(
        one == other or one.startswith(f"{other.rstrip('/')}/") or other.startswith(f"{one}/")
        for one in (each.rstrip("/") for each in some)
        for other in others
    )


def _paths(step: Step) -> Iterator[str]:
    """The paths that a step names, and words that may be such."""
    for word in step.words[1:]:
        for part in word.split("="):
            part = part[2:] if re.match(r"-\w/", part) else part
            if part and not part.startswith("-"):
                yield posixpath.normpath(posixpath.join(step.workdir, part))
    yield from step.into


def _of_variables(step: Step) -> Iterator[str]:
    """The folders that variables of installers name; of a folder of programs, the one around it."""
    for name, value in step.env:
        for part in value.split(":") if _VARIABLES.fullmatch(name) else ():
            around = part.rstrip("/").removesuffix("/bin")
            if around.startswith("/"):
                yield around
