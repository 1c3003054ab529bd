"""Loads cold modules, and opens their files by path. The first cold module loads this."""

import builtins
import io
import os
import stat
import sys
from collections import OrderedDict
from functools import cache, wraps
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
_open_disk = io.open


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
        _served[stores.site] = stores
        _patch()
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
    found = _find(path)
    return _content(*found) if found else None


def _find(path: "Any") -> "tuple[Store, Any] | None":
    try:
        name = os.fsdecode(path)
    except TypeError:  # a file descriptor
        return None
    if not name.endswith(".py"):
        return None
    name = os.path.abspath(name)  # noqa: PTH100
    for site, stores in _served.items():
        if name.startswith(site):
            folder, _, module = name.rpartition("/")
            return stores.find(folder, module[:-3])
    return None


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


def _patch() -> None:
    """Have cold files opened and looked at by their paths: `inspect`, torch.compile and pdb do.

    Only what fails for want of a file comes here, and only after a first cold module was found.
    """
    disk = os.stat
    opens, stats = _or_cold(io.open, _open), _or_cold(disk, _stat)
    opens.__module__ = "io"
    builtins.open = io.open = opens
    io.open_code = sys.modules["_io"].open_code = _or_cold(io.open_code, _open_code)  # type: ignore[attr-defined]
    os.stat = stats
    for group in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if disk in group:
            group.add(stats)
    if "tokenize" in sys.modules:  # `linecache` reads with the `open` that this one took before
        sys.modules["tokenize"]._builtin_open = opens  # type: ignore[attr-defined]


def _or_cold(disk: "Any", cold: "Any") -> "Any":
    """A function of paths that asks `cold` where there is no file; None is no answer."""

    @wraps(disk)
    def call(path: "Any", *rest: "Any", **options: "Any") -> "Any":
        try:
            return disk(path, *rest, **options)
        except FileNotFoundError:
            found = cold(path, *rest, **options)
            if found is None:
                raise
            return found

    return call


def _open(path: "Any", mode: str = "r", *rest: "Any", **options: "Any") -> "Any":
    content = None if set(mode) & set("wax+") else cold_file(path)
    if content is None:
        return None
    return _open_disk(path, mode, *rest[:5], **{**options, "opener": lambda *_: _memory(content)})


def _open_code(path: str) -> "io.BytesIO | None":
    content = cold_file(path)
    return None if content is None else io.BytesIO(content)


def _stat(path: "Any", *, dir_fd: int | None = None, **_: "Any") -> os.stat_result | None:
    found = _find(path) if dir_fd is None else None
    if found is None:
        return None
    size = found[1][3]
    return os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, size, EPOCH, EPOCH, EPOCH))


def _memory(content: bytes) -> int:
    """A file descriptor that reads this."""
    file = os.memfd_create("cold", os.MFD_CLOEXEC)
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    return file
