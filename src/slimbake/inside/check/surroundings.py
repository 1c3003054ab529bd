"""The surroundings in which images run, where no option of Docker gives them: in a build's step.

`slimbake.checks.surroundings` has the same as options of `docker run`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..step import INSIDE, NONROOT

_WRITE = 0o222


def settle(volumes: Iterable[str], root: str = "/") -> None:
    """As root: leave nothing writable for the service's user but /tmp and its volumes.

    A step's root file system is writable, and a container's is not: there a home that the user owns
    is no place to write to either.
    """
    kept = {path.rstrip("/") for path in volumes}
    for path in kept:
        with contextlib.suppress(OSError):  # of a container that is read-only itself
            Path(path).mkdir(parents=True, exist_ok=True)  # as Docker does for a volume
    for folder in image_folders(root, kept):
        _protect(folder, Path(folder).lstat())
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    _protect(entry.path, entry.stat(follow_symlinks=False))


def _protect(path: str, found: os.stat_result) -> None:
    mine = {
        0o200: found.st_uid == NONROOT,
        0o020: found.st_gid == NONROOT,
        0o002: True,
    }
    if any(owns and found.st_mode & bit for bit, owns in mine.items()):
        with contextlib.suppress(OSError):  # a file that the engine mounts, such as resolv.conf
            Path(path).chmod(found.st_mode & 0o7777 & ~_WRITE)


def image_folders(root: str, without: Iterable[str] = ()) -> Iterator[str]:
    """The folders of the image's own file system: without those that are mounted into it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mounted = {line.split()[4].replace("\\040", " ") for line in lines}
    mounted |= {str(INSIDE), *without}
    for folder, below, _ in os.walk(root):
        below[:] = [name for name in below if f"{folder.rstrip('/')}/{name}" not in mounted]
        yield folder


def as_nonroot(environment: Mapping[str, str]) -> dict[str, str]:
    """A step's variables as a container of the image has them: root's home is not the service's."""
    if environment.get("HOME") not in (None, _home(0)):
        return dict(environment)  # the image's own
    return {**environment, "HOME": _home(NONROOT)}


def become_nonroot() -> None:
    """Give up root for good: with the user go the capabilities."""
    os.setgroups([])
    os.setgid(NONROOT)
    os.setuid(NONROOT)
    os.environ |= as_nonroot(os.environ)


def _home(user: int) -> str:
    """As Docker has it for a user that has no home."""
    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return "/"
