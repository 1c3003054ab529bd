"""Opens, looks at and lists cold files by their paths, as `inspect`, torch.compile, pdb and Alembic do.

What is on disk is never asked of a store, and all begins with the first package that has cold modules:
a program that imports none, such as pip in an image that is built on top, sees the disk alone.
"""

import io
import os
import stat
import sys
from functools import wraps

from .serve import EPOCH, cold_file, find, inside, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_open_disk, _list_disk, _scan_disk = io.open, os.listdir, os.scandir
_access_disk = os.access
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_DIRECTORY


def patch() -> None:
    """Have the functions of the standard library that take paths find cold files, wherever a module
    has taken them by now. `posix` and `_io` keep theirs: Python's own importer asks the disk alone.
    """
    opens = _or_cold(io.open, _open)
    opens.__module__ = "io"
    ours = {
        io.open: opens,
        io.open_code: _or_cold(io.open_code, _open_code),
        os.open: _or_cold(os.open, _os_open),
        os.access: wraps(os.access)(_access),
        os.stat: _or_cold(os.stat, _stat),
        os.lstat: _or_cold(os.lstat, _stat),
        os.listxattr: _or_cold(os.listxattr, _listxattr),  # `shutil.copy2` asks
        os.listdir: wraps(os.listdir)(_listdir),
        os.scandir: wraps(os.scandir)(_scandir),
    }
    sys.modules["_io"].open_code = ours[io.open_code]  # type: ignore[attr-defined]
    supports = ("dir_fd", "effective_ids", "fd", "follow_symlinks")
    for group in (getattr(os, f"supports_{each}") for each in supports):
        group.update(ours[disk] for disk in group & ours.keys())
    known = {id(disk): function for disk, function in ours.items()}
    for module in [each for name, each in sys.modules.items() if name not in _AS_THEY_ARE]:
        names: Any = getattr(module, "__dict__", None)
        if type(names) is not dict or known.keys().isdisjoint(map(id, list(names.values()))):
            continue
        for name, value in list(names.items()):
            if id(value) in known:
                names[name] = known[id(value)]


_AS_THEY_ARE = ("posix", "_io", __name__)


def _or_cold(disk: "Any", cold: "Any") -> "Any":
    """A function of paths that asks `cold` where there is no file; None is no answer."""

    @wraps(disk)
    def call(*words: "Any", **options: "Any") -> "Any":
        try:
            return disk(*words, **options)
        except FileNotFoundError:
            found = cold(*words, **options)
            if found is None:
                raise
            return found

    return call


def _open(file: "Any", mode: str = "r", *rest: "Any", **options: "Any") -> "Any":
    content = None if set(mode) & set("wax+") else cold_file(file)
    if content is None:
        return None
    return _open_disk(file, mode, *rest[:5], **{**options, "opener": lambda *_: memory(content)})


def _open_code(path: str) -> "io.BytesIO | None":
    content = cold_file(path)
    return None if content is None else io.BytesIO(content)


def _os_open(
    path: "Any", flags: int, *_: int, dir_fd: int | None = None, **_mode: int
) -> int | None:
    content = None if flags & _WRITES or dir_fd is not None else cold_file(path)
    return None if content is None else memory(content)


def _access(path: "Any", mode: int, *, dir_fd: int | None = None, **options: bool) -> bool:
    if _access_disk(path, mode, dir_fd=dir_fd, **options):
        return True
    found = _stat(path, dir_fd=dir_fd)
    denied = os.W_OK if found and stat.S_ISDIR(found.st_mode) else os.W_OK | os.X_OK
    return bool(found) and not mode & denied


def _stat(path: "Any", *, dir_fd: int | None = None, **_: "Any") -> os.stat_result | None:
    if dir_fd is not None:
        return None
    if found := find(path):
        mode, size = stat.S_IFREG | 0o644, found[1][3]
    elif inside(path):  # a folder of which nothing is left on disk
        mode, size = stat.S_IFDIR | 0o755, 0
    else:
        return None
    times = [f"st_{each}time" for each in "amc"]
    named = {**dict.fromkeys(times, float(EPOCH)), "st_blksize": 4096, "st_blocks": -(-size // 512)}
    named.update((f"{each}_ns", EPOCH * 10**9) for each in times)
    return os.stat_result((mode, 0, 0, 1, 0, 0, size, *[EPOCH] * 3), named)


def _listxattr(path: "Any" = ".", **_: "Any") -> list[str] | None:
    return [] if find(path) else None


def _listdir(path: "Any" = ".") -> "list[Any]":
    cold = inside("." if path is None else path)
    if not cold:
        return _list_disk(path)
    try:
        names = _list_disk(path)
    except FileNotFoundError:
        names = []
    encoded = isinstance(path, bytes)
    there = {os.fsdecode(name) for name in names}
    return names + [os.fsencode(n) if encoded else n for n in cold if n not in there]


def _scandir(path: "Any" = ".") -> "Any":
    cold = inside("." if path is None else path)
    return _Scan(path, cold) if cold else _scan_disk(path)


class _Scan:
    """What `os.scandir` gives: the entries of a folder on disk, then its cold ones."""

    def __init__(self, path: "Any", cold: "dict[str, bool]") -> None:
        self._path = path
        try:
            self._disk: Any = _scan_disk(path)
        except FileNotFoundError:
            self._disk = None
        self._entries = self._all(cold)

    def _all(self, cold: "dict[str, bool]") -> "Iterator[Any]":
        there = set()
        for entry in self._disk or ():
            there.add(os.fsdecode(entry.name))
            yield entry
        for name, folder in cold.items():
            if name not in there:
                yield ColdEntry("." if self._path is None else self._path, name, folder)

    def __iter__(self) -> "Iterator[Any]":
        return self

    def __next__(self) -> "Any":
        return next(self._entries)

    def close(self) -> None:
        """Close the folder on disk."""
        if self._disk is not None:
            self._disk.close()

    def __enter__(self) -> "_Scan":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ColdEntry:
    """A cold file, or a folder of which nothing is left on disk, as `os.DirEntry` has one."""

    def __init__(self, folder: "Any", name: str, is_folder: bool) -> None:
        self._folder = is_folder
        self.name = os.fsencode(name) if isinstance(folder, bytes) else name
        self.path = os.path.join(folder, self.name)  # noqa: PTH118

    def __fspath__(self) -> "Any":
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def inode(self) -> int:
        """No file on disk has this number."""
        return 0

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""
        return self._folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file."""
        return not self._folder

    def is_symlink(self) -> bool:
        """No link is cold."""
        return False

    def is_junction(self) -> bool:
        """Windows alone has these."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As `os.stat` of its path."""
        return os.stat(self.path, follow_symlinks=follow_symlinks)  # noqa: PTH116


def memory(content: bytes) -> int:
    """A file descriptor that reads this."""
    file = os.memfd_create("cold", os.MFD_CLOEXEC)
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def dlopen(disk: "Any") -> "Any":
    """`_ctypes.dlopen`, which loads cold extension modules by their paths too."""

    @wraps(disk)
    def call(name: "Any", *rest: int) -> "Any":
        try:
            return disk(name, *rest)
        except OSError:
            if not find(name):
                raise
            return load(os.fsdecode(name), lambda at: disk(at, *rest))

    return call
