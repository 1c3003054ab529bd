"""The format of a cold store, and how it is read.

    head     one line of ASCII: magic, version, size of the file, sizes and CRCs of what follows
    folders  two lines a folder: its path below site-packages; where its rows are, and their CRC
    rows     one line a module: the name of its file, without `.py`; distribution, block, offset,
             size, 1 where its bytecode is on disk, else 0, and CRC; `NAME/` is a package, whose
             `__init__` stands among the rows of the package's own folder
    table    the names of `*.dist-info` folders; an empty line; the size of each block
    blocks   xz streams of concatenated files

Every start of Python imports this module and reads head and folders: nothing is imported here that
Python has not loaded by then. Rows are read where a module is not on disk, blocks where it is cold.
"""

import os
import posix  # as Python's importer has it: a program under test may replace what `os` has
from _thread import RLock, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import ModuleType
    from typing import NamedTuple

    class Row(NamedTuple):
        """Where a module is in its store."""

        dist: int
        block: int
        offset: int
        size: int
        compiled: int
        crc: int


MAGIC = "slimbake-cold"
VERSION = "5"
HEAD = 128  # bytes
SUFFIX = ".cold"
SOURCE = " source"  # at the end of a line of a warm list: a start reads this module's text, too
EXTENSION = ".so"  # of extension modules in warm lists, which hold for all platforms
FIX = "pull the image again, or rebuild it without cache"
PATIENCE = 1.0  # seconds that a fork waits for an import of ours

_importing = RLock()
_imported: "dict[Callable[[], ModuleType], ModuleType]" = {}
_forking: "dict[int, bool]" = {}  # thread -> whether it holds the lock for its fork


def alone(load: "Callable[[], ModuleType]") -> "ModuleType":
    """What `load` imports, which nothing but this package has asked for. A fork waits for it: its
    child has the import's lock, and not the thread that would end it.
    """
    if load in _imported:
        return _imported[load]
    lock = _importing
    held = lock.acquire(timeout=PATIENCE)
    try:
        module = load()
    finally:
        if held:
            lock.release()
    _imported[load] = module
    return module


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
        self._index = b""
        self._rows: dict[str, dict[str, str]] = {}
        self._table: tuple[list[str], list[tuple[int, int]]] | None = None

    def names(self, folder: str) -> "Collection[str]":
        """The names of a folder's rows: modules, and packages as `NAME/`."""
        return self._lines(folder).keys()

    def row(self, folder: str, name: str) -> "Row | None":
        """Where a module of a folder is. None for a package, as `NAME/`, and for what is not here."""
        line = self._lines(folder).get(name)
        return tuple(map(int, line.split("\t"))) if line else None  # type: ignore[return-value]

    def _lines(self, folder: str) -> "dict[str, str]":
        """The rows of a folder by name. Few of them are asked for, so that none is parsed here."""
        if folder not in self._rows:
            if folder not in self.folders:
                return {}
            if not self._index:
                self._index = self._read(self._starts[1], self._starts[2] - self._starts[1])
            start, size, crc = map(int, self.folders[folder].split())
            text = self._checked(self._index[start : start + size], size, crc)
            self._rows[folder] = dict([line.partition("\t")[::2] for line in text.split("\n")])
        return self._rows[folder]

    def dist(self, row: "Row") -> str:
        """The `*.dist-info` folder of the distribution that a module belongs to."""
        return self._tables()[0][row[0]]

    def block(self, number: int, size: int = -1) -> bytes:
        """The first bytes of a block, decompressed: all of them by default, checked to their end.

        Raises StoreError.
        """
        lzma = alone(_lzma)
        start, packed = self._tables()[1][number]
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        try:
            content: bytes = stream.decompress(self._read(self._starts[3] + start, packed), size)
        except (lzma.LZMAError, EOFError):
            raise self._altered(number) from None
        if size < 0 and not stream.eof:
            raise self._altered(number)
        return content

    def file(self, row: "Row", block: bytes) -> bytes:
        """A module's file out of its block, checked. Raises StoreError."""
        _, number, offset, size, _, crc = row
        content = block[offset : offset + size]
        if len(content) != size or alone(_zlib).crc32(content) != crc:
            raise self._altered(number)
        return content

    def entries(self) -> "Iterator[tuple[str, Row]]":
        """Each module: its path below site-packages, and where it is."""
        for folder in self.folders:
            for name in self.names(folder):
                if row := self.row(folder, name):
                    yield f"{folder}/{file_name(name)}".lstrip("/"), row

    def contents(self) -> "Iterator[tuple[str, bytes]]":
        """Each module: its path below site-packages, and its file. A block is read once."""
        number, block = -1, b""
        for path, row in sorted(self.entries(), key=lambda entry: entry[1][1:3]):
            if row[1] != number:
                number, block = row[1], self.block(row[1])
            yield path, self.file(row, block)

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
        return self._checked(self._read(start, end - start), end - start, crc)

    def _checked(self, content: bytes, size: int, crc: int) -> str:
        if len(content) != size or alone(_zlib).crc32(content) != crc:
            self._fault("is altered in its index")
        return content.decode()

    def _pread(self, start: int, size: int) -> bytes:
        try:
            file = posix.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._error(f"cannot be read ({error.strerror})") from None
        try:
            return posix.pread(file, size, start)
        finally:
            posix.close(file)

    def _altered(self, block: int) -> StoreError:
        return self._error(f"is altered in block {block}")

    def _error(self, words: str) -> StoreError:
        return StoreError(f"the cold store {self.path} {words}: {FIX}", path=self.path)

    def _fault(self, words: str) -> None:
        raise self._error(words)
