"""Full disks: small file systems of their own under the repository and under each folder of the
machine. A command says that the disk is full and where, leaves every file whole, and goes on once
there is room.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.abuse.homes import GENERATE, LOCK, References, Words, goes_on, whole
from tests.abuse.machines import documented

from slimbake.errors import SETUP

PAGE = 4096
ROOM = 64 << 20
FREE = (0, 2, 12)  # pages
COMMANDS: dict[Words, tuple[str, ...]] = {
    ("init",): ("repository", "tmp"),
    LOCK: ("repository", "state", "tmp", "cache"),
    ("lock", "--fetch"): ("wheelhouse", "tmp"),
    GENERATE: ("repository", "cache"),
    ("add", "two", "--base", "web"): ("repository",),
}
CASES = [
    pytest.param(command, place, free, id=f"{' '.join(command)} {place} {free}")
    for command, places in COMMANDS.items()
    for place in places
    for free in FREE
]


@contextmanager
def mounted(place: Path, contents: Path | None = None, room: int = ROOM) -> Iterator[None]:
    """A file system of its own at a folder, with the contents of another. Skips where none can be
    mounted.
    """
    words = ["mount", "-t", "tmpfs", "-o", f"size={room}", "abuse", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this is not root, or file systems cannot be mounted here")
    try:
        if contents:
            shutil.copytree(contents, place, symlinks=True, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def used(disk: Path) -> int:
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@pytest.mark.parametrize(("command", "place", "free"), CASES)
def test_a_command_that_finds_no_room_says_so_and_goes_on(
    command: Words, place: str, free: int, references: References
) -> None:
    known = references(command)
    home = references.again(command)
    disk = home.folder / place
    with mounted(disk, known.start / place):
        resize(disk, used(disk) + free * PAGE or PAGE)  # 0 is without a limit
        done = documented(*home.run(*command))
        assert done.code in {SETUP, known.ended.code}, done.stderr
        if done.code != known.ended.code:
            assert re.search(f"(?i)no space left on device|MB are free in {disk}", done.stderr)
            assert len(done.stderr.splitlines()) > 1, "what to do"
        whole(home.left(), known)
        assert {*home.left()} <= {*known.before, *known.after}
        resize(disk, ROOM)
        goes_on(home, command, known)
