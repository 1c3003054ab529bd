"""Files of this machine: read within a limit and inside of a folder, written atomically, locked."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol, TypeVar

import platformdirs

from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.host.kernel import entry, is_running
from slimbake.host.typed import WRONG, json_value

T = TypeVar("T")
CHECKOUTS = "checkouts"  # in the state folder: of each word its folder
LARGEST = 64 << 20  # bytes of a file of a repository that is read into memory
TEXT = 512 << 10  # bytes of a text that a person writes and slimbake parses
LOCK = 2 << 20  # of one that a tool writes
LARGEST_HASHED = 256 << 30  # of one that is only hashed; to hash as much takes a few minutes


def state_folder() -> Path:
    """The folder, made if it is missing: logs and records of the engine, the stand-in of uv."""
    folder = Path(platformdirs.user_state_dir("slimbake"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def exclusively(name: str, console: Console) -> Iterator[None]:
    """Hold the machine's lock of that name: of two bakes at once, one makes the stand-in."""
    with locked_file(
        state_folder() / f"{name}.lock", f"waiting for another slimbake ({name})", console
    ):
        yield


@contextlib.contextmanager
def locked_file(path: Path, waiting: str, console: Console) -> Iterator[None]:
    """Hold a lock that lies in a file; `waiting` is said where another process holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def checkout(root: Path) -> str:
    """A word for a repository's folder, which no other folder of this machine has.

    The machine's state says which folder it stands for.
    """
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
    write_atomically(state_folder() / CHECKOUTS / digest, str(root.resolve()).encode())
    return digest


def stands_for(word: str) -> Path | None:
    """The folder that a word of `checkout` stands for; None where it is gone, or nobody knows."""
    with contextlib.suppress(OSError):
        folder = Path((state_folder() / CHECKOUTS / word).read_text("utf-8"))
        return folder if folder.is_dir() else None
    return None


@contextlib.contextmanager
def apart(place: Path) -> Iterator[Path]:
    """Beside a place, the path of what is made and not whole yet. It is removed in the end, if it
    is still there, and so is what killed processes left of theirs.
    """
    remove_halves(place.parent, (place.name,))
    half = place.with_name(f".{place.name}.{os.getpid()}-{threading.get_native_id()}")
    _remove(half)
    try:
        yield half
    finally:
        _remove(half)


@contextlib.contextmanager
def half_of(target: Path) -> Iterator[Path]:
    """Where a file is put together that then lies at `target` whole, or not at all."""
    with apart(target) as half:
        yield half
        half.replace(target)


# A download has the process alone: `slimbake.inside.fetch` names it.
_HALF = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)(-\d+)?", re.DOTALL)


def is_half(name: str) -> bool:
    """Whether a file's name says that a running process has not made it whole yet."""
    match = _HALF.fullmatch(name)
    return match is not None and is_running(int(match["process"]))


def remove_halves(folder: Path, names: Collection[str] | None = None) -> None:
    """Remove what processes that were killed had not made whole of these names in a folder; None: of
    any name, where only slimbake writes.
    """
    running = cache(is_running)
    for left in os.listdir(folder):  # noqa: PTH208
        match = _HALF.fullmatch(left) if left.startswith(".") else None
        ours = match and (names is None or match["name"] in names)
        if match and ours and not running(int(match["process"])):
            _remove(folder / left)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path, ignore_errors=True)


_SCRATCH = "slimbake-of-"  # then the number of the process


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Have all temporary files of this process in one folder, which goes with it. Those of
    processes that were killed go too.

    Where no folder can be made, nothing is changed: not every command needs one.
    """
    before = tempfile.tempdir
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            _remove_scratch(Path(tempfile.gettempdir()))
            directory = tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-")
            folder = stack.enter_context(directory)
            stack.callback(os.close, _held(folder, fcntl.LOCK_SH))
            tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _remove_scratch(top: Path) -> None:
    """A folder is in use if its process is there, or, as of another container, its lock is held."""
    for folder in top.glob(f"{_SCRATCH}*"):
        number = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if number.isdigit() and not is_running(int(number)):
            with contextlib.suppress(OSError):
                os.close(_held(str(folder), fcntl.LOCK_EX))
                shutil.rmtree(folder, ignore_errors=True)


def _held(folder: str, how: int) -> int:
    """Lock a folder, as long as what is returned is open. Raises OSError where others hold it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put a file in place whole or not at all; a device, such as /dev/null, stays where it is."""
    if path.is_char_device():
        path.write_bytes(content)
        return
    write_all({path: content}, mode)


def write_all(files: Mapping[Path, bytes], mode: int | None = 0o644) -> None:
    """Put files in place, each whole; after an error none of them. `mode`: None = of the file that
    is replaced.
    """
    with staged() as write:
        for path, content in files.items():
            file_mode = stat.S_IMODE(path.stat().st_mode) if mode is None else mode
            write(path, (content,), file_mode)


_BUFFER = 1 << 16  # bytes; where no number is given, Python asks the kernel of each file for one


class WriteFile(Protocol):
    """Writes a file of these pieces."""

    def __call__(self, path: str | Path, parts: Iterable[bytes], mode: int = 0o644) -> None: ...


@contextlib.contextmanager
def staged() -> Iterator[WriteFile]:
    """What writes files, once each. They take their places in the end, each whole; after an error
    before that none does. What killed processes left of theirs goes.
    """
    # Texts, as a fleet has tens of thousands of files.
    names: dict[str, dict[str, None]] = {}
    suffix = f".{os.getpid()}-{threading.get_native_id()}"

    def write(path: str | Path, parts: Iterable[bytes], mode: int = 0o644) -> None:
        above, name = os.path.split(path)
        folder = above or "."
        if folder not in names:
            Path(folder).mkdir(parents=True, exist_ok=True)
        names.setdefault(folder, {})[name] = None
        half = f"{folder}/.{name}{suffix}"
        _remove(Path(half))  # a process that was killed left it
        number = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(number, "wb", _BUFFER) as file:
            file.writelines(parts)
            file.flush()
            os.fchmod(number, mode)

    def places() -> Iterator[tuple[str, str]]:
        return ((folder, name) for folder, every in names.items() for name in every)

    try:
        yield write
        for folder, every in names.items():
            remove_halves(Path(folder), every)
        for folder, name in places():
            os.replace(f"{folder}/.{name}{suffix}", f"{folder}/{name}")  # noqa: PTH105
    except BaseException:
        for folder, name in places():
            _remove(Path(folder, f".{name}{suffix}"))
        raise


def kind_of(mode: int) -> str:
    """What a file is that is no file, folder or link, in words."""
    return {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }.get(stat.S_IFMT(mode), "no regular file")


@contextlib.contextmanager
def _inside(root: str | Path, path: str | Path) -> Iterator[str]:
    """The path by which what lies at `path` below `root` is read. Raises OSError: EXDEV where a link
    leads out of `root`.
    """
    try:
        with entry(f"{root}/{path}") as (place, way):
            above = os.path.realpath(root).rstrip("/")
            if not f"{place}/".startswith(f"{above}/"):
                reason = f"a link leads out of the repository, to {place}"
                raise OSError(errno.EXDEV, reason, str(path))
            yield way
    except OSError as error:
        error.filename = str(path)
        raise


def opened(root: str | Path, path: str | Path, largest: int = LARGEST) -> BufferedReader:
    """Open a file of a repository. Nothing else opens what lies there: anybody may have written it.

    `path`: below `root`; `largest`: bytes. Raises OSError: EXDEV where a link leads out of `root`,
    EISDIR, ENXIO for what is no regular file, EOVERFLOW for more than `largest`.
    """
    with _inside(root, path) as way:
        status = os.stat(way)  # noqa: PTH116
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ENXIO, f"it is {kind_of(status.st_mode)}", str(path))
        if status.st_size > largest:
            reason = f"it has {status.st_size:,} bytes, and slimbake reads {largest:,} at most"
            raise OSError(errno.EOVERFLOW, reason, str(path))
        return Path(way).open("rb")


def content(root: str | Path, path: str | Path, largest: int = LARGEST) -> bytes:
    """Read a file of a repository. Raises OSError as `opened` does."""
    with opened(root, path, largest) as file:
        return file.read()


def listed(root: str | Path, path: str | Path) -> list[str]:
    """The names in a folder of a repository, sorted. Raises OSError: EXDEV where a link leads out of
    `root`.
    """
    with _inside(root, path) as way:
        return sorted(os.listdir(way))  # noqa: PTH208


def read_text(root: Path, path: str, hint: str) -> str:
    """A file of text that slimbake wrote. Raises UsageError, with `hint`, where it is not UTF-8."""
    try:
        return content(root, path, LOCK).decode()
    except UnicodeDecodeError as error:
        byte = f"the byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise UsageError(f"{path} is not UTF-8: {byte}", hint) from None


def read_json(file: Path, parse: Callable[[Any], T], hint: str, root: Path | None = None) -> T:
    """What a file of JSON says. Raises UsageError, with `hint`, where it cannot be read or `parse`
    takes it for something else. `root`: of the repository that has it; None for what the command
    line names.
    """
    try:
        return parse(json_value(content(root, file) if root else file.read_bytes()))
    except (OSError, *WRONG) as error:
        message = f"{file} cannot be read: {type(error).__name__}: {error}"
        raise UsageError(message, hint) from None
