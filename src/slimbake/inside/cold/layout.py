"""The format of a cold store, and how it is read.

    head     one line of ASCII: magic, version, size of the table and of the rows, CRC of the table
    table    the names of `*.dist-info` folders; an empty line; a line a folder: its path below
             site-packages, where its rows begin, their size and CRC
    rows     a line a module: its name; the fields of a Row. Those of a folder include
             `NAME/__init__` of each package in it
    blocks   zlib streams of concatenated files

Every start of Python reads head and table; rows are read where a module is not on disk, blocks where
it is cold. No file stays open and nothing is locked: threads and forks share nothing.
"""

import posix  # as Python's importer has it: a test may replace what `os` has
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import NamedTuple

    class Row(NamedTuple):
        """Where a module is in its store."""

        dist: int  # in `Store.dists`: the `*.dist-info` folder of its distribution
        block: int  # where its block begins behind the rows
        packed: int  # its size there
        size: int  # of the module's file
        compiled: int  # 1 where its bytecode is on disk
        offset: int  # of the file in the block
        crc: int


MAGIC = "slimbake-cold"
VERSION = "6"
HEAD = 64  # bytes
SUFFIX = ".cold"
SOURCE = " source"  # at the end of a line of a warm list: a start reads this module's text, too
TEXT = " text"  # a start opens this file by its path, and imports no module from it
BLOCK = 256_000  # bytes of source: a cold import decompresses one block, in less than 1 ms
KEPT = 4  # blocks in memory: an import goes back and forth between neighbours


class StoreError(ImportError):
    """A cold store is damaged; the text names it and says what to do."""


class Store:
    """A cold store, open for reading. Errors of the system come as they are, with the store's path."""

    def __init__(self, path: str, read: "Callable[[int, int], bytes] | None" = None) -> None:
        """`read`: gives bytes by offset and size; by default it reads the file `path`.

        Raises StoreError and OSError.
        """
        self.path = path
        self._read = read or self._pread
        head = self._read(0, HEAD).decode("ascii", "replace").split()
        if head[:2] != [MAGIC, VERSION] or len(head) != 5:
            raise self._error(f"is not one of version {VERSION}")
        if not all(field.isdecimal() for field in head[2:]):
            raise self._damaged()
        size, rows, crc = map(int, head[2:])
        self._rows_at = HEAD + size
        self._blocks_at = self._rows_at + rows
        dists, _, folders = self._checked(HEAD, size, crc).partition("\n\n")
        self.dists = dists.split("\n")
        self.folders = dict([line.partition("\t")[::2] for line in folders.split("\n")])
        self._rows: dict[str, dict[str, str]] = {}
        self._blocks: dict[int, bytes] = {}

    def names(self, folder: str) -> "Mapping[str, str]":
        """The names of a folder's rows, each with what `row` reads. Raises StoreError and OSError."""
        if folder not in self._rows:
            if folder not in self.folders:
                return {}
            start, size, crc = map(int, self.folders[folder].split())
            text = self._checked(self._rows_at + start, size, crc)
            self._rows[folder] = dict([line.partition("\t")[::2] for line in text.split("\n")])
        return self._rows[folder]

    def row(self, folder: str, name: str) -> "Row | None":
        """Where a module of a folder is. Raises StoreError and OSError."""
        line = self.names(folder).get(name)
        return tuple(map(int, line.split("\t"))) if line else None  # type: ignore[return-value]

    def file(self, row: "Row") -> bytes:
        """A module's file, checked. Raises StoreError and OSError."""
        _, start, packed, size, _, offset, crc = row
        block = self._blocks.get(start)
        if block is None:
            unpacking, most = zlib.decompressobj(), max(BLOCK, offset + size)
            try:
                block = unpacking.decompress(self._read(self._blocks_at + start, packed), most + 1)
            except zlib.error:
                raise self._damaged() from None
            if not unpacking.eof:
                raise self._damaged()
            if len(block) <= BLOCK:  # another thread may do the same, and the last one stays
                self._blocks = dict([*self._blocks.items(), (start, block)][-KEPT:])
        content = block[offset : offset + size]
        if len(content) != size or zlib.crc32(content) != crc:
            raise self._damaged()
        return content

    def entries(self) -> "Iterator[tuple[str, Row]]":
        """Each module: its path below site-packages, and where it is."""
        for folder in self.folders:
            for name in self.names(folder):
                row = self.row(folder, name)
                if row and "/" not in name:
                    yield f"{folder}/{name}.py".lstrip("/"), row

    def contents(self) -> "Iterator[tuple[str, bytes]]":
        """Each module: its path below site-packages, and its file. A block is read once."""
        for path, row in sorted(self.entries(), key=lambda entry: entry[1][1]):
            yield path, self.file(row)

    def _checked(self, start: int, size: int, crc: int) -> str:
        content = self._read(start, size)
        if len(content) != size or zlib.crc32(content) != crc:
            raise self._damaged()
        return content.decode()

    def _pread(self, start: int, size: int) -> bytes:
        file = posix.open(self.path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            return posix.pread(file, min(size, posix.fstat(file).st_size), start)
        finally:
            posix.close(file)

    def _damaged(self) -> StoreError:
        return self._error("is damaged")

    def _error(self, problem: str) -> StoreError:
        fix = "pull the image again, or rebuild it without cache"
        return StoreError(f"the cold store {self.path} {problem}: {fix}", path=self.path)
