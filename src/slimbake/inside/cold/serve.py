"""Loads cold modules. The first one loads this, and `files`."""

import os
import sys
from collections import OrderedDict
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.machinery import ModuleSpec
    from typing import Any

    from .hook import Stores
    from .layout import Store

EPOCH = 315532800  # the time of every file of an image
# Blocks: an import goes back and forth between neighbours. With -O there is no bytecode of warm
# modules, and a start reads them all.
KEPT = 64 if sys.flags.optimize else 8
_blocks: "OrderedDict[tuple[str, int], bytes]" = OrderedDict()
_served: "dict[str, Stores]" = {}  # by site-packages


class ColdLoader(SourceFileLoader):
    """Loads a module from a cold store as if its file stood at its path.

    Its bytecode, where it is on disk, is loaded without a look at the store.
    """

    def __init__(self, name: str, path: str, compiled: bool) -> None:
        """`compiled`: whether there is bytecode on disk."""
        super().__init__(name, path)
        self._compiled = compiled

    def get_data(self, path: str) -> bytes:
        """What is in a file: a cold one, or one on disk."""
        content = cold_file(path) if path.endswith(".py") else None  # most is bytecode
        return super().get_data(path) if content is None else content

    def path_stats(self, path: str) -> "Mapping[str, Any]":
        """What bytecode is compared with by its time. Raises OSError where there is none."""
        if not self._compiled:
            raise FileNotFoundError(path)
        return {"mtime": EPOCH, "size": None}

    def set_data(self, path: str, data: bytes, **_: int) -> None:  # type: ignore[override]
        """Write no bytecode."""


def cold_spec(
    stores: "Stores", fullname: str, path: str, compiled: bool, like: type[SourceFileLoader]
) -> "ModuleSpec | None":
    """The spec of a module whose source is cold, by the path at which it would stand.

    `like`: what loads a module from disk; what it does to code is done to cold code too.
    """
    if stores.site not in _served:
        from . import files

        _served[stores.site] = stores
        files.patch()
    return spec_from_file_location(
        fullname, path, loader=_loader_like(like)(fullname, path, compiled)
    )


@cache
def _loader_like(like: type[SourceFileLoader]) -> type[ColdLoader]:
    if like is SourceFileLoader:
        return ColdLoader
    return type(like.__name__, (ColdLoader, like), {"__module__": like.__module__})


def cold_file(path: "str | bytes | os.PathLike[Any]") -> bytes | None:
    """The content of a file that is cold; None for any other path. Raises StoreError."""
    found = find(path)
    return _content(*found) if found else None


def find(path: "Any") -> "tuple[Store, Any] | None":
    """The store of a cold file, and where it is there; None for any other path. Raises StoreError."""
    name = _whole(path)
    for site, stores in _served.items() if name.endswith(".py") else ():
        if name.startswith(site):
            folder, _, module = name.rpartition("/")
            return stores.find(folder, module[:-3])
    return None


def inside(path: "Any") -> "dict[str, bool] | None":
    """The cold files of a folder, and the folders with cold files in it: the name of each, and whether
    it is a folder. None for a folder that owns none. Raises StoreError.
    """
    folder = _whole(path)
    for stores in _served.values():
        if folder in stores.owners:
            return dict(stores.files(folder))
    return None


def _whole(path: "Any") -> str:
    """The absolute path; "" for a file descriptor, and in a working folder that is gone."""
    try:
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100
    except (TypeError, FileNotFoundError):
        return ""


def _content(store: "Store", row: "Any") -> bytes:
    _, number, offset, size, _ = row
    key = (store.path, number)
    block = _blocks.get(key) or store.block(number)
    # Two threads may both read a block, and the last one stays.
    _blocks[key] = block
    _blocks.move_to_end(key)
    if len(_blocks) > KEPT:
        _blocks.popitem(last=False)
    return block[offset : offset + size]
