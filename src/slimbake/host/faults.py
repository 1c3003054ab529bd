"""What the operating system refuses, as a failure of the machine's set-up. Imported only then."""

from __future__ import annotations

import errno
import tempfile

from slimbake.errors import SetupError

_ROOM = "free some space (`slimbake prune` and `slimbake doctor` help), then run the command again"
_ACCESS = "give the user who runs slimbake access to it"
_WRITABLE = (
    "make it writable. For slimbake's own state, set XDG_STATE_HOME and XDG_CACHE_HOME to"
    " folders that are"
)
_TOO_DEEP = (
    "something is nested deeper than Python can follow",
    "look for folders within folders, or brackets within brackets, in what was added last",
)
_HINTS = {
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: _WRITABLE,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EIO: "the disk may be broken: look at the kernel's log",
    errno.ELOOP: "its links lead in a circle: remove one of them",
    errno.EISDIR: "a file is wanted there: move the folder away",
    errno.ENOTDIR: "a folder is wanted there: move the file away",
    errno.EEXIST: "a folder is wanted there: move away what is in its place",
    errno.ENAMETOOLONG: "use a shorter name or path",
    errno.EXDEV: "slimbake reads nothing outside the manifest's folder: move or copy it in",
    errno.ENXIO: "a regular file is wanted there",
    errno.EOVERFLOW: "slimbake reads files of at most 64 MiB there",
    errno.EMFILE: "raise the limit of open files: `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine: end other programs",
    errno.ENOMEM: "end other programs, or use a machine with more memory",
}


def fault_of(error: Exception) -> SetupError | None:
    """The failure that people can act on; None where the error may be slimbake's own."""
    if not isinstance(error, OSError):
        if isinstance(error, RecursionError):
            return SetupError(*_TOO_DEEP)
        return None
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.ENOENT and reason.startswith("no usable temporary directory"):
        return SetupError(reason, "set TMPDIR to a folder that is writable and has space")
    if error.errno == errno.ENOENT and error.filename is None:
        return SetupError("the working directory was removed", "change to a folder that is there")
    if error.errno == errno.ENOENT and str(error.filename).startswith(tempfile.gettempdir()):
        return SetupError(
            f"{error.filename} was removed while slimbake used it",
            "keep what cleans that folder away from it, then run the command again",
        )
    if error.errno == errno.ENOENT and str(error.filename).startswith("/proc/"):  # as HOME
        return SetupError(f"{error.filename} cannot be made", _WRITABLE)
    named = f"{error.filename2 or error.filename or ''}: {reason}".removeprefix(": ")
    if hint := _HINTS.get(error.errno or 0):
        return SetupError(named, hint)
    return None
