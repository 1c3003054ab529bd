"""Runs a program in a mount namespace whose root is the root that we see: `python rooted.py PROGRAM ...`.

In a chroot the namespace's root is another folder, the machine's own. What enters a container's
namespace later, as `docker exec` and health checks do, would land there: setns(2) changes to the
root of a namespace, and runc's pivot_root(2) has not moved that. So dockerd starts by this program.
Where it is in no chroot, or may not change mounts, the program runs as it is.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_NEW_MOUNTS = 0x20000  # CLONE_NEWNS
_RECURSIVE, _SLAVE = 0x4000, 0x80000  # MS_REC, MS_SLAVE
_DETACH = 2  # MNT_DETACH


def leave_chroot() -> None:
    """Make the root of this process that of a mount namespace of its own. Raises OSError where that
    cannot be; the process is where it was then.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")

    where, before = Path.cwd(), os.open("/", os.O_PATH)
    outer = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    call("unshare", _NEW_MOUNTS)
    seen = os.open("/", os.O_PATH)  # the new namespace has mounts of its own
    call("setns", os.open("/proc/self/ns/mnt", os.O_RDONLY), _NEW_MOUNTS)
    try:
        if _mount(os.open("/", os.O_PATH)) == _mount(seen):
            raise OSError  # this is no chroot
        call("mount", None, b"/", None, _RECURSIVE | _SLAVE, None)
        os.fchdir(seen)
        call("pivot_root", b".", b".")
        call("umount2", b".", _DETACH)
    except OSError:
        call("setns", outer, _NEW_MOUNTS)
        os.fchdir(before)
        os.chroot(".")
        raise
    finally:
        os.chdir(where)


def _mount(descriptor: int) -> str:
    """The number of the mount that a folder lies on."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def main() -> None:
    try:
        leave_chroot()
    except OSError as error:
        if error.errno:
            sys.stderr.write(f"rooted: {error}\n")  # dockerd's log
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - a path that slimbake found


if __name__ == "__main__":
    main()
