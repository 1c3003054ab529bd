"""Trees of files, as every layer has them: Git's modes, one constant time, no links out."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..step import EPOCH, StepError, hashed

LINKED = 4096  # bytes: of smaller files a tar's headers are most


def refuse_links_out(source: Path, what: str) -> None:
    """Raise StepError for a link below a folder that is absolute or leads out of it."""
    for path in tree(source):
        if not path.is_symlink():
            continue
        target = path.readlink()
        if target.is_absolute() or not path.resolve().is_relative_to(source.resolve()):
            name = path.relative_to(source)
            raise StepError(f"{name} is a link that leads out of {what}: {target}")


def tree(root: Path) -> Iterator[Path]:
    """Every path below `root` and `root` itself, folders after their contents."""
    for name, folders, files in os.walk(root, topdown=False):
        folder = Path(name)
        links = [entry for entry in folders if os.path.islink(f"{name}/{entry}")]  # noqa: PTH114 - sooner
        for entry in sorted(files + links):
            yield folder / entry
        yield folder


def normalise(paths: Iterable[Path]) -> None:
    """Give paths Git's modes and one time, and their parent folders the same time."""
    touched: set[Path] = set()
    for path in paths:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        touched.add(path.parent)
    for folder in sorted(touched, key=lambda folder: len(folder.parts), reverse=True):
        os.utime(folder, (EPOCH, EPOCH))


def link_identical(paths: Iterable[Path]) -> None:
    """Make files of one content and mode hard links of one: a layer then holds the content once.

    Torch has a program of 5 MB under two names. A container that writes to one of them gets a copy.
    """
    alike: dict[tuple[int, int], list[Path]] = {}
    for path in sorted(paths):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_size >= LINKED:
            alike.setdefault((status.st_size, status.st_mode), []).append(path)
    for group in alike.values():
        if len(group) == 1:
            continue
        firsts: dict[str, Path] = {}
        for path in group:
            first = firsts.setdefault(hashed(path), path)
            if first is not path:
                path.unlink()
                path.hardlink_to(first)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are files with the same bytes, or links to the same path."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() == other.is_symlink() and one.readlink() == other.readlink()
    return other.is_file() and filecmp.cmp(one, other, shallow=False)
