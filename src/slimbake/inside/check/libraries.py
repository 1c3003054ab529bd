"""Finds shared libraries that an image lacks, and the Debian packages that have them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..elf import LIBRARIES, needed

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
        more = f" and {len(self.files) - NAMED} more" if len(self.files) > NAMED else ""
        verb = "needs" if len(self.files) == 1 else "need"
        asking = f"{', '.join(self.files[:NAMED])}{more} {verb}"
        guess = package_name(self.name)
        rule = f"; by Debian's rule for names it is in {guess}" if guess else ""
        remedy = f"`system: [{self.package}]` brings it" if self.package else ""
        return f"{asking} {self.name}, which the image lacks: {remedy or f'no package known{rule}'}"


def unanswered(root: Path) -> list[Unanswered]:
    """The libraries that shared objects and programs of an image need, and nothing in it answers.

    One that lies anywhere counts as found: what loads it may have loaded it by its path before, as
    torch does with those of NVIDIA.
    """
    files = list(native_files(root))
    there = {path.name for path in files}
    listed = root / LIBRARIES.relative_to("/")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    if listed.is_file() and not lines:  # on an image of the user's, which answers for itself
        files = [path for path in files if path.is_relative_to(listed.parent)]
    asking: dict[str, list[str]] = {}
    for path in files:
        for name in needed(path):
            if name.rpartition("/")[2] not in there:
                asking.setdefault(name, []).append(f"/{path.relative_to(root)}")
    package_of = dict(line.split(" ", 1) for line in lines)
    return [
        Unanswered(name, tuple(asking[name]), package_of.get(name, "")) for name in sorted(asking)
    ]


def native_files(root: Path) -> Iterator[Path]:
    """Files and links that may be shared objects or programs, by name and mode; sorted by folder."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders[:] = sorted(set(folders) - (_ELSEWHERE if folder == root else set()))
        for file in sorted(files):
            path = folder / file
            if _SHARED.fullmatch(file) or (
                "bin" in folder.name and not path.is_symlink() and path.stat().st_mode & 0o100
            ):
                yield path


def package_name(library: str) -> str:
    """The package that has a library by Debian's rule: libGL.so.1 is in libgl1. "" of other names."""
    match = re.fullmatch(r"(lib[A-Za-z0-9+._-]+?)(?:\.so\.([0-9]+)|-([0-9.]+)\.so)", library)
    if not match:
        return ""
    stem, version = match[1].lower().replace("_", "-"), match[2] or match[3]
    return f"{stem}{'-' if stem[-1].isdigit() else ''}{version}"
