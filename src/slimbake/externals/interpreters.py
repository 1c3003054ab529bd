"""The Python of an image of `from`, found by running it once in a build of no image."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from slimbake import docker
from slimbake.docker.engine import engine_platform
from slimbake.errors import SetupError, SlimbakeError
from slimbake.externals.resolve import context_of
from slimbake.externals.stages import Stages, linked_stages, stages_of
from slimbake.fleet.interpreter import Interpreter, parsed_interpreter
from slimbake.fleet.model import External
from slimbake.host.machine import Machine
from slimbake.host.wheels import MACHINES
from slimbake.inside import zipapp
from slimbake.inside.step import INTERPRETER

_LIMIT = 4096  # bytes of an answer
_WORDS = 7  # of an answer

_FOLDER = "slimbake-answer"
# For any Python, also one that is too old for slimbake's programs. It runs as the image's own user, of
# whom it asks the numbers; its folder is writable for all. Of a virtual environment it names the
# interpreter that made it.
_PROGRAM = """\
import glob, os, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION").replace(" ", "-")
except (AttributeError, OSError, ValueError):
    libc = "none"
try:
    import pwd
    home = pwd.getpwuid(os.getuid()).pw_dir
except (ImportError, KeyError):
    home = ""
if home == "/" or not os.path.isdir(home):
    home = "-"
version = "%d.%d.%d" % sys.version_info[:3]
if sys.version_info[3] != "final":
    version += sys.version_info[3][:1] + str(sys.version_info[4])
compilers = [
    name
    for name in ("cc", "gcc", "g++", "clang", "tcc", "nvcc", "icpx", "hipcc")
    if any(os.access(os.path.join(at, name), os.X_OK) for at in os.get_exec_path())
]
places = ("/usr/local/cuda*/lib*/", "/usr/local/cuda*/targets/*/lib/", "/usr/lib/*/", "/usr/lib64/")
if any(glob.glob(place + "libnvrtc.so*") for place in places):
    compilers.append("nvrtc")
kind = getattr(getattr(sys, "implementation", None), "name", "python") + getattr(sys, "abiflags", "")
words = [
    os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    version,
    libc,
    os.uname()[4],
    "%d:%d" % (os.getuid(), os.getgid()),
    home,
    ",".join(compilers) or "-",
    kind,
]
with open(os.path.join(os.path.dirname(__file__), "words"), "w") as answer:
    answer.write("\\n".join(words))
"""
_STEP = """
FROM ready AS step
COPY --from=answer . /
RUN --network=none {command}
FROM scratch
COPY --from=step /{folder}/words /
"""
_ABSENT = re.compile(r"executable file not found|no such file or directory|stat [^:]+: ")
_OLD_GLIBC = re.compile(r"version `GLIBC_([0-9.]+)' not found")
_FOREIGN = re.compile(
    r"exec format error|no match for platform|does not match the specified platform"
)


class UnfitError(SlimbakeError):
    """The image cannot be used as `from`."""


def find_interpreter(
    external: External,
    python: External,
    python_program: str,
    platforms: Sequence[str],
    machine: Machine,
) -> Interpreter:
    """Run the Python of an image of `from`: the version that it has to have, else `python3`, else
    `python`, as the image's own user. In an image without Python, run slimbake's own.

    `python`: the image that slimbake's own is made from, with `python_program`; `platforms`: what is
    built on the image. Raises UnfitError where no Python fits, and SetupError where the image cannot
    be asked.
    """
    chosen = _nearest(platforms)
    image, own = (context_of(each) for each in (external, python))
    others = []
    for program in (f"python{external.version}", "python3", "python"):
        words = _answer(stages_of(image), program, chosen, external, machine)
        if not words:
            continue
        version = words[1]
        if version.startswith(f"{external.version}."):
            return _fitting(words, external, chosen)
        others.append(f"{version} ({words[0]})")
    if others:
        raise UnfitError(
            f"'{external.image}' has Python {', '.join(dict.fromkeys(others))}, and"
            f" {external.version} is wanted",
            "change `python:`, or take an image that has that version",
        )
    program = f"{INTERPRETER}/bin/python{external.version}"
    try:
        words = _answer(
            linked_stages(image, own, python_program), program, chosen, external, machine
        )
    except SetupError as error:
        if found := _OLD_GLIBC.search(error.message):
            raise UnfitError(
                f"'{external.image}' has no Python, and slimbake's own needs glibc {found[1]}, which"
                " is newer than the image's",
                f"take an image of a newer distribution, or install Python {external.version} in it",
            ) from None
        raise
    if not words:
        raise UnfitError(
            f"'{external.image}' has no Python, and no glibc, which slimbake's own needs",
            "take an image of Debian, Ubuntu or another distribution with glibc",
        )
    return _fitting(words, external, chosen)


def _nearest(platforms: Sequence[str]) -> str:
    """Of these platforms the engine's own, which needs no emulation; else the first."""
    if len(platforms) > 1 and (own := engine_platform()) in platforms:
        return own
    return platforms[0]


def _answer(
    stages: Stages, program: str, chosen: str, external: External, machine: Machine
) -> list[str]:
    """What a program of an image answers; nothing where there is none of that name."""
    command = json.dumps([program, "-ISB", f"/{_FOLDER}/find.py"])
    with tempfile.TemporaryDirectory(prefix="slimbake-from-") as scratch:
        given, out, programs = (Path(scratch, name) for name in ("given", "out", "programs"))
        folder = given / _FOLDER
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        program_file = folder / "find.py"
        program_file.write_text(_PROGRAM)
        program_file.chmod(0o644)
        out.mkdir()
        programs.mkdir()
        (programs / "make.pyz").write_bytes(zipapp("make"))
        try:
            docker.build(
                stages.text + _STEP.format(command=command, folder=_FOLDER),
                {**stages.contexts, "answer": str(given), "inside": str(programs)},
                f"type=local,dest={out}",
                arguments=dict(machine.proxies),
                platform=chosen,
            )
        except SetupError as error:
            if _FOREIGN.search(error.message):
                raise UnfitError(
                    f"'{external.image}' is not for {chosen}",
                    "take an image for that platform, or change `platforms:`",
                ) from None
            if _ABSENT.search(error.message):
                return []
            raise
        with (out / "words").open("rb") as file:
            return file.read(_LIMIT).decode("utf-8", "replace").split("\n")


def _fitting(words: Sequence[str], external: External, chosen: str) -> Interpreter:
    """An answer as a value. Raises UnfitError where layers of packages do not run on it."""
    path, _, libc, machine, *_, kind = words
    if machine != MACHINES.get(chosen, machine):
        raise UnfitError(
            f"'{external.image}' is for {machine}, not for {chosen}",
            "take an image for that platform, or change `platforms:`",
        )
    if not libc.startswith("glibc-"):
        raise UnfitError(
            f"the Python of '{external.image}' has another C library than glibc, such as Alpine's"
            " musl",
            "take an image of Debian, Ubuntu or another distribution with glibc",
        )
    if kind != "cpython":
        raise UnfitError(
            f"the Python of '{external.image}' is {kind}: {path}",
            "take an image with plain CPython, neither free-threaded nor a debug build",
        )
    interpreter = parsed_interpreter(words[:_WORDS])
    if interpreter is None:
        raise UnfitError(
            f"the Python of '{external.image}' says of itself what slimbake cannot take:"
            f" {' '.join(words)!r}",
            "take an image whose Python has a path of letters, digits, '.', '_', '+' and '-'",
        )
    return interpreter
