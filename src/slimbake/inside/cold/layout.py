"""The format of a cold store, and how it is read.

    head     one line of ASCII: magic, version, size of the file, sizes and CRCs of what follows
    folders  two lines a folder: its path below site-packages; where its rows are, and their CRC
    rows     one line a module: the name of its file, without `.py`; distribution, block, offset,
             size, and 1 where its bytecode is on disk, else 0; `NAME/` is a package, whose
             `__init__` stands among the rows of the package's own folder
    table    the names of `*.dist-info` folders; an empty line; the size of each block
    blocks   xz streams of concatenated files, each with a check of its own

Every start of Python imports this module and reads head and folders: nothing is imported here that
Python has not loaded by then. Rows are read where a module is not on disk, blocks where it is cold.
"""

import os
from _thread import RLock, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import NamedTuple

    class Row(NamedTuple):
        """Where a module is in its store."""

        dist: int
        block: int
        offset: int
        size: int
        compiled: int


MAGIC = "slimbake-cold"
VERSION = "4"
HEAD = 128  # bytes
SUFFIX = ".cold"
SOURCE = " source"  # at the end of a line of a warm list: a start reads this module's text, too
EXTENSION = ".so"  # of extension modules in warm lists, which hold for all platforms
FIX = "pull the image again, or rebuild it without cache"
PATIENCE = 1.0  # seconds that a fork waits for an import of ours

_importing = RLock()
_forking: "dict[int, bool]" = {}  # thread -> whether it holds the lock for its fork


def alone(load: "Callable[[], ModuleType]") -> "ModuleType":
    """What `load` imports, which nothing but this package has asked for. A fork waits for it: its
    child has the import's lock, and not the thread that would end it.
    """
    lock = _importing
    held = lock.acquire(timeout=PATIENCE)
    try:
        return load()
    finally:
        if held:
            lock.release()


def _before_fork() -> None:
    _forking[get_ident()] = _importing.acquire(timeout=PATIENCE)


def _in_parent() -> None:
    if _forking.pop(get_ident(), False):
        _importing.release()


def _in_child() -> None:
    global _importing  # whoever else holds it is not there
    _importing = RLock()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


def _lzma() -> "ModuleType":
    import lzma

    return lzma


def _zlib() -> "ModuleType":
    import zlib

    return zlib


def file_name(row: str) -> str:
    """The file of a module, by the name of its row: an extension module has its suffix there."""
    return row if "." in row else f"{row}.py"


def warm_name(name: str) -> str:
    """An extension module as warm lists have it: without the platform that it was built for."""
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}{EXTENSION}"


class StoreError(ImportError):
    """A cold store cannot be read; the text names it and says what to do."""


class Store:
    """A cold store, open for reading. It holds no file and no lock: a fork shares nothing."""

    def __init__(self, path: "str", read: "Callable[[int, int], bytes] | None" = None) -> None:
        """`read`: gives bytes by offset and size; by default it reads the file `path`.

        Raises StoreError.
        """
        self.path = path
        self._read = read or self._pread
        head = self._read(0, HEAD).decode("ascii", "replace").split()
        if head[:1] != [MAGIC] or len(head) < 2:
            self._fault("is not a cold store")
        if head[1] != VERSION:
            self._fault(f"has the version {head[1]}, not {VERSION}")
        try:
            total, *sizes, crc, self._crc = map(int, head[2:])
            if len(sizes) != 3:
                raise ValueError
        except ValueError:
            self._fault("is altered in its head")
        self._starts = [HEAD]
        for size in sizes:
            self._starts.append(self._starts[-1] + size)
        if len(self._read(total - 1, 2)) != 1:
            self._fault("is truncated")
        lines = self._section(0, crc).split("\n")
        self.folders = dict(zip(lines[::2], lines[1::2]))  # noqa: B905 - both come from one list
        self._rows: dict[str, dict[str, Row]] = {}
        self._table: tuple[list[str], list[tuple[int, int]]] | None = None

    def rows(self, folder: str) -> "dict[str, Row]":
        """The modules of a folder by name, read once. Packages, as `NAME/`, have no size."""
        if folder not in self._rows:
            if folder not in self.folders:
                return {}
            start, size, crc = self.folders[folder].split()
            text = self._checked(self._starts[1] + int(start), int(size), int(crc))
            fields = [line.split("\t") for line in text.split("\n")]
            self._rows[folder] = {
                name: tuple(map(int, numbers))  # type: ignore[misc]
                for name, *numbers in fields
            }
        return self._rows[folder]

    def dist(self, row: "Row") -> str:
        """The `*.dist-info` folder of the distribution that a module belongs to."""
        return self._tables()[0][row[0]]

    def block(self, number: int) -> bytes:
        """A block, decompressed and checked."""
        lzma = alone(_lzma)
        start, size = self._tables()[1][number]
        try:
            packed = self._read(self._starts[3] + start, size)
            content: bytes = lzma.decompress(packed, lzma.FORMAT_XZ)
        except (lzma.LZMAError, EOFError):
            raise self._error(f"is altered in block {number}") from None
        return content

    def entries(self) -> "Iterator[tuple[str, Row]]":
        """Each module: its path below site-packages, and where it is."""
        for folder in self.folders:
            for name, row in self.rows(folder).items():
                if row:
                    yield f"{folder}/{file_name(name)}".lstrip("/"), row

    def contents(self) -> "Iterator[tuple[str, bytes]]":
        """Each module: its path below site-packages, and its file. A block is read once."""
        number, block = -1, b""
        for path, row in sorted(self.entries(), key=lambda entry: entry[1][1:3]):
            if row[1] != number:
                number, block = row[1], self.block(row[1])
            yield path, block[row[2] : row[2] + row[3]]

    def _tables(self) -> "tuple[list[str], list[tuple[int, int]]]":
        if self._table is None:
            dists, _, blocks = self._section(2, self._crc).partition("\n\n")
            places, start = [], 0
            for size in map(int, blocks.split()):
                places.append((start, size))
                start += size
            self._table = dists.split("\n"), places
        return self._table

    def _section(self, number: int, crc: int) -> str:
        start, end = self._starts[number : number + 2]
        return self._checked(start, end - start, crc)

    def _checked(self, start: int, size: int, crc: int) -> str:
        content = self._read(start, size)
        if len(content) != size or alone(_zlib).crc32(content) != crc:
            self._fault("is altered in its index")
        return content.decode()

    def _pread(self, start: int, size: int) -> bytes:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._error(f"cannot be read ({error.strerror})") from None
        try:
            return os.pread(file, size, start)
        finally:
            os.close(file)

    def _error(self, words: str) -> StoreError:
        return StoreError(f"the cold store {self.path} {words}: {FIX}", path=self.path)

    def _fault(self, words: str) -> None:
        raise self._error(words)
