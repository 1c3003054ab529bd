"""Finds shared libraries that an image lacks, and the Debian packages that have them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..elf import LIBRARIES, needed
from ..lines import some

# Of other programs, of the engine, and of data: no shared object of the image lies there.
_ELSEWHERE = frozenset(("dev", "inside", "proc", "run", "sys", "tmp", "weights"))
_SHARED = re.compile(r".+\.so(\.[0-9.]+)?")
NAMED = 2  # files that a message names


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A library that the loader would look for in vain."""

    name: str
    files: tuple[str, ...]  # what needs it
    package: str  # of Debian, as the external image and the locked packages have it; "" = unknown

    def __str__(self) -> str:
        asking = some(self.files, NAMED)
        verb = "needs" if len(self.files) == 1 else "need"
        guess = package_name(self.name)
        if self.package:
            remedy = f"`system: [{self.package}]` brings it"
        elif guess:
            remedy = f"no package known; by Debian's rule for names it is in {guess}"
        else:
            remedy = "no package known"
        return f"{asking} {verb} {self.name}, which the image lacks: {remedy}"


def unanswered(root: Path) -> list[Unanswered]:
    """The libraries that shared objects and programs of an image need, and nothing in it answers.

    One that lies anywhere counts as found: what loads it may have loaded it by its path before, as
    torch does with those of NVIDIA.
    """
    files = list(native_files(root))
    names = {path.name for path in files}
    listed = root / LIBRARIES.relative_to("/")
    package_of: dict[str, str] = {}
    if listed.is_file():
        for line in listed.read_text().splitlines():
            library, _, package = line.partition(" ")
            package_of[library] = package
        if not package_of:  # on an image of the user's, which answers for itself
            files = [path for path in files if path.is_relative_to(listed.parent)]
    asking: dict[str, list[str]] = {}
    for path in files:
        for name in needed(path):
            if name.rpartition("/")[2] not in names:
                asking.setdefault(name, []).append(f"/{path.relative_to(root)}")
    return [
        Unanswered(name, tuple(askers), package_of.get(name, ""))
        for name, askers in sorted(asking.items())
    ]


def native_files(root: Path) -> Iterator[Path]:
    """Files and links that may be shared objects or programs, by name and mode; sorted by folder."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders.sort()
        if folder == root:
            folders[:] = [name for name in folders if name not in _ELSEWHERE]
        for file in sorted(files):
            path = folder / file
            if _SHARED.fullmatch(file) or _is_program(path):
                yield path


def _is_program(path: Path) -> bool:
    return "bin" in path.parent.name and not path.is_symlink() and bool(path.stat().st_mode & 0o100)


def package_name(library: str) -> str:
    """The package that has a library by Debian's rule: libGL.so.1 is in libgl1. "" of other names."""
    match = re.fullmatch(r"(lib[A-Za-z0-9+._-]+?)(?:\.so\.([0-9]+)|-([0-9.]+)\.so)", library)
    if not match:
        return ""
    stem = match[1].lower().replace("_", "-")
    if stem[-1].isdigit():
        stem += "-"
    return stem + (match[2] or match[3])
