"""The cold stores of an image: Python code that lies compressed in its layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from slimbake.errors import SetupError
from slimbake.host.files import write_atomically
from slimbake.host.typed import WRONG
from slimbake.images.streams import KEPT, ROW
from slimbake.inside.cold.layout import BLOCK, HEAD, SUFFIX, Store, StoreError

_FOLDER = PurePosixPath("opt/slimbake/cold")
_FIELDS = 7  # of a row
_UNPACKED = 1 << 30  # bytes of a store's modules; those of torch have 60 MB


def store_of(layer: str, content: bytes) -> Store:
    """The store of a layer, of its bytes. Raises SetupError for one that is damaged, or unpacks to
    more than any store does: an image may hold anything.
    """
    path = f"/{_FOLDER}/{layer}{SUFFIX}"
    try:
        store = Store(path, lambda start, size: content[start : start + size])
        table, rows = map(int, content[:HEAD].split()[2:4])
        lines = content.count(b"\n", HEAD, HEAD + table + rows)
        if len(content) + ROW * lines > KEPT:
            raise ValueError(f"it has {lines:,} rows")
        entries = [row for _, row in store.entries()]
        if not all(len(r) == _FIELDS and min(r) >= 0 and r[0] < len(store.dists) for r in entries):
            raise ValueError("it has a row that is none")
        large = sum(end for row in entries if (end := row[3] + row[5]) > BLOCK)  # bytes
        if BLOCK * len({row[1] for row in entries}) + large > _UNPACKED:
            raise ValueError(f"it unpacks to more than {_UNPACKED:,} bytes")
    except (StoreError, *WRONG) as error:
        raise SetupError(f"{path} of an image cannot be read: {error}") from None
    return store


def cold_contents(store: Store) -> Iterator[tuple[str, bytes]]:
    """The modules of a store: path below site-packages, and file. Raises SetupError."""
    try:
        yield from store.contents()
    except StoreError as error:
        raise SetupError(str(error)) from None


def extract_cold(modules: Iterable[tuple[str, bytes]], into: Path) -> None:
    """Write modules, by their paths below site-packages, into a folder. Raises SetupError for a
    path that leads out of it.
    """
    for path, content in modules:
        if ".." in PurePosixPath(path).parts or not path.isprintable():
            raise SetupError(f"a cold store names {path}, outside its folder")
        write_atomically(into / path, content)
