"""The surroundings in which images run, where no option of Docker gives them: in a build's step.

`slimbake.checks.surroundings` has the same as options of `docker run`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..step import INSIDE, NONROOT

_WRITE = 0o222


def service_user() -> tuple[int, int]:
    """User and group of the service: those of SLIMBAKE_USER, where the manifest names some."""
    user, _, group = os.environ.get("SLIMBAKE_USER", "").partition(":")
    return int(user or NONROOT), int(group or NONROOT)


def as_service() -> dict[str, Any]:
    """The same, as subprocess.Popen takes it."""
    user, group = service_user()
    return {"user": user, "group": group, "extra_groups": []}


def settle(variables: Mapping[str, str], root: str = "/") -> None:
    """As root: leave nothing writable for the service's user but /tmp, its volumes and tmpfs, the
    paths of SLIMBAKE_VOLUMES and SLIMBAKE_TMPFS, each after a colon.

    A step's root file system is writable, and a container's is not: there a home that the user owns
    is no place to write to either.
    """
    volumes = _paths(variables.get("SLIMBAKE_VOLUMES", ""))
    memory = _paths(variables.get("SLIMBAKE_TMPFS", ""))
    for path in volumes | memory:
        with contextlib.suppress(OSError):  # of a container that is read-only itself
            if path in memory:  # what a mount would hide
                shutil.rmtree(path, ignore_errors=True)
            Path(path).mkdir(parents=True, exist_ok=True)  # as Docker does for a volume
            if path in memory:
                Path(path).chmod(0o1777)
    for folder in image_folders(root, volumes | memory):
        _protect(folder, Path(folder).lstat())
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    _protect(entry.path, entry.stat(follow_symlinks=False))


def _paths(variable: str) -> set[str]:
    return {path.rstrip("/") for path in variable.split(":") if path}


def _protect(path: str, status: os.stat_result) -> None:
    user, group = service_user()
    bits = 0o002
    if status.st_uid == user:
        bits |= 0o200
    if status.st_gid == group:
        bits |= 0o020
    if status.st_mode & bits:
        with contextlib.suppress(OSError):  # a file that the engine mounts, such as resolv.conf
            Path(path).chmod(status.st_mode & 0o7777 & ~_WRITE)


def image_folders(root: str, without: Iterable[str] = ()) -> Iterator[str]:
    """The folders of the image's own file system: without those that are mounted into it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mounted = {line.split()[4].replace("\\040", " ") for line in lines}
    mounted |= {str(INSIDE), *without}
    for folder, subfolders, _ in os.walk(root):
        above = folder.rstrip("/")
        subfolders[:] = [name for name in subfolders if f"{above}/{name}" not in mounted]
        yield folder


def as_nonroot(environment: Mapping[str, str]) -> dict[str, str]:
    """A step's variables as a container of the image has them: root's home is not the service's."""
    if environment.get("HOME") not in (None, _home(0)):
        return dict(environment)  # the image's own
    return {**environment, "HOME": home()}


def given_env(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that the manifest's `start` gives to checks alone, as SLIMBAKE_ENV has them."""
    return dict(json.loads(variables.get("SLIMBAKE_ENV") or "{}"))


def become_nonroot() -> None:
    """Give up root for good: with the user go the capabilities."""
    os.setgroups([])
    user, group = service_user()
    os.setgid(group)
    os.setuid(user)
    os.environ |= as_nonroot(os.environ) | given_env(os.environ)


def home() -> str:
    """That of the service's user."""
    return _home(service_user()[0])


def _home(user: int) -> str:
    """As Docker has it for a user that has no home."""
    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return "/"
