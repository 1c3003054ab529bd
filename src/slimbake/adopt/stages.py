"""Whether an image has packages of a stage that it takes files of. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from slimbake.adopt.model import Copy, Step
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


def without_packages(steps: Sequence[Step], into: Iterable[Copy], takes: Sequence[Copy]) -> bool:
    """Whether what an image takes of a stage is surely no package that the stage's steps install.

    `into`: what the stage itself takes of others.
    """
    taken = [posixpath.normpath(posixpath.join("/", s)) for each in takes for s in each.sources]
    if any(_BY_NAME.search(each) or "*" in each for each in taken):
        return False
    places = _PLACES | {each.target for each in into}
    for step in steps:
        program, rest = (program_of(step.words) or ("",))[0], step.words[1:]
        named = set(_paths(step))
        if program in _INSTALLERS or (program == "python" and {"venv", "virtualenv"} & {*rest}):
            places |= named | {*_of_variables(step)}
            places |= {posixpath.join(step.workdir, each) for each in (".venv", "__pypackages__")}
        elif program in _COPIERS | BLOCKS and _overlap(named, places):
            places |= named
    return not _overlap(taken, places)


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
