"""Loads cold modules. The first one loads this, and `files`."""

import os
import sys
from collections import OrderedDict
from functools import cache
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import count

from .layout import alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

    from .hook import Stores
    from .layout import Store

EPOCH = 315532800  # the time of every file of an image
# Blocks: an import goes back and forth between neighbours. With -O there is no bytecode of warm
# modules, and a start reads them all.
KEPT = 64 if sys.flags.optimize else 8
_blocks: "OrderedDict[tuple[str, int], bytes]" = OrderedDict()
_served: "dict[str, Stores]" = {}  # by site-packages
_loaded: dict[str, str] = {}  # an extension module -> the name by which the dynamic loader knows it
_numbers = count()  # of names: also of libraries that were loaded and whose module then failed


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


class ColdExtensionLoader(ExtensionFileLoader):
    """Loads an extension module from a cold store: from memory, as if its file stood at its path."""

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        """The module, not yet executed. Raises ImportError where nothing can be loaded."""
        sys.audit("import", spec.name, self.path, None, None, None)
        create = super().create_module
        module: ModuleType = load(
            self.path, lambda at: create(ModuleSpec(spec.name, self, origin=at))
        )
        module.__file__ = self.path
        return module


def load(path: str, opened: "Callable[[str], Any]") -> "Any":
    """What `opened` gives for a path from which the dynamic loader can load a cold extension module.

    That is a file in memory, or one in a temporary folder where the kernel forbids the other. The
    loader takes two files of one name for the same, so that each name is a new one.
    """
    path = _whole(path)
    if path in _loaded:
        return opened(_loaded[path])
    from .files import memory

    content, name = cold_file(path) or b"", ""
    try:
        with open(memory(content), "rb") as file:  # noqa: PTH123
            name = f"/proc/self{'/.' * next(_numbers)}/fd/{file.fileno()}"
            found = opened(name)
    except (OSError, ImportError) as error:
        if name not in str(error):  # it was loaded
            raise
        found, name = _load_copy(path, content, opened)
    _loaded[path] = name
    return found


def _load_copy(path: str, content: bytes, opened: "Callable[[str], Any]") -> "tuple[Any, str]":
    from tempfile import NamedTemporaryFile

    try:
        with NamedTemporaryFile(suffix=".so") as copy:
            copy.write(content)
            copy.flush()
            return opened(copy.name), copy.name
    except OSError as error:
        raise ImportError(f"no place from which to load the cold {path}: {error}") from None


def begin(stores: "Stores") -> None:
    """Have the standard library find the files of these stores from now on."""
    if stores.site not in _served:
        files = alone(_files)  # before anybody is let through: another thread may open a file next
        _served[stores.site] = stores
        files.patch()


def _files() -> "ModuleType":
    from . import files

    return files


def cold_spec(
    fullname: str, path: str, compiled: bool, like: type[SourceFileLoader]
) -> "ModuleSpec | None":
    """The spec of a cold module, by the path at which its file would stand.

    `like`: what loads a module from disk; what it does to code is done to cold code too.
    """
    if path.endswith(".py"):
        loader: Any = _loader_like(like)(fullname, path, compiled)
    else:
        loader = ColdExtensionLoader(fullname, path)
    # An import of `package.__init__` is one of a module.
    package = path.endswith("/__init__.py") and fullname.rpartition(".")[2] != "__init__"
    inside = [path.removesuffix("/__init__.py")] if package else None
    return spec_from_file_location(fullname, path, loader=loader, submodule_search_locations=inside)


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
    for site, stores in _served.items() if name.endswith((".py", ".so")) else ():
        if name.startswith(site):
            folder, _, file = name.rpartition("/")
            return stores.find(folder, file.removesuffix(".py"))
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
    _, number, offset, size, *_ = row
    key, end = (store.path, number), offset + size
    block = _blocks.get(key)
    if block is None:
        block = store.block(number, end)  # mostly, one import reads one module of it
    elif len(block) < end:
        block = store.block(number)
    content = store.file(row, block)
    if offset or len(block) > size:  # something else is in it
        # Two threads may both read a block, and the last one stays.
        _blocks[key] = block
        _blocks.move_to_end(key)
        if len(_blocks) > KEPT:
            _blocks.popitem(last=False)
    return content
