"""Finds and loads cold modules: Python imports it at every start, before other packages.

An entry of `sys.path_hooks` takes the folders of packages that own cold modules. What it gives for one
asks the disk first, then the stores. A finder behind `PathFinder` would not do: `pkgutil` would list
the disk alone, and a folder of which only data stays would be a namespace package.

It replaces no function and looks into no module: what Python asks a loader for comes from here.
"""

import os
import posix  # as Python's importer: no test replaces its functions
import sys

# Not from `importlib.machinery`, which takes these from here, and takes a tenth of an empty start.
from _frozen_importlib_external import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
    spec_from_file_location,
)

from .layout import SUFFIX, Store, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from .layout import Row
    from .resources import ColdReader

LOADERS = (  # as Python has them
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)
EPOCH = 315532800  # the time of every file of an image
SITE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib imports much

_stores: list[Store] = []
_unread: list[str] = []  # stores that could not be read at the start


def _known() -> list[Store]:
    """All stores. Raises what is wrong with one that cannot be read: it may have what is asked for."""
    while _unread:
        _stores.append(Store(_unread[-1]))
        _unread.pop()
    return _stores


def _owns(folder: str) -> bool:
    """Whether cold modules may stand in a folder."""
    within = _within(folder)
    if _unread and within and not within.startswith("/"):
        return True
    return any(within in store.folders for store in _stores)


def _within(path: str) -> str:
    """A path as stores have it; one outside as it is."""
    whole = os.path.normpath(path)
    return whole[len(SITE) + 1 :] if f"{whole}/".startswith(f"{SITE}/") else whole


def _find(folder: str, name: str) -> "tuple[Store, Row] | None":
    """Where a module of a folder is cold. Raises StoreError and OSError."""
    for store in _known():
        row = store.row(folder, name)
        if row and _holds(store, row):
            return store, row
    return None


def _holds(store: Store, row: "Row") -> bool:
    """Whether the module's distribution is there: an image on top may have another version."""
    try:
        posix.stat(f"{SITE}/{store.dists[row[0]]}")
    except FileNotFoundError:
        return False
    return True


def names(folder: str) -> "Iterator[str]":
    """The cold modules of a folder, `NAME/__init__` for packages. Raises StoreError and OSError."""
    within = _within(folder)
    for store in _known():
        for name in store.names(within):
            row = store.row(within, name)
            if row and _holds(store, row):
                yield name


def content(path: str) -> bytes | None:
    """The file of a cold module by its path; None for any other. Raises StoreError and OSError."""
    folder, _, name = _within(path).rpartition("/")
    entry = _find(folder, name[:-3]) if name.endswith(".py") else None
    return entry[0].file(entry[1]) if entry else None


class PartLoader(SourceFileLoader):
    """Loads a module on disk; gives what is cold of its package, too."""

    def get_data(self, path: str) -> bytes:
        """What is in a file, on disk or cold."""
        try:
            return super().get_data(path)
        except FileNotFoundError:
            cold = content(path)
            if cold is None:
                raise
            return cold

    def get_resource_reader(self, name: str) -> "ColdReader":  # type: ignore[override]
        """As `importlib.resources` asks."""
        from .resources import ColdReader

        return ColdReader(self)


class ColdLoader(PartLoader):
    """Loads a module from a store as if its file stood at its path.

    Its bytecode, where it is on disk, is loaded without a look at the store.
    """

    def __init__(self, name: str, path: str, compiled: int) -> None:
        """`compiled`: whether there is bytecode on disk."""
        super().__init__(name, path)
        self._compiled = compiled

    def get_source(self, fullname: str) -> str | None:
        """Its text; an audit hook learns of that as of one on disk."""
        sys.audit("open", self.path, "r", 0)
        return super().get_source(fullname)

    def path_stats(self, path: str) -> "Mapping[str, Any]":
        """What bytecode is compared with by its time. Raises OSError where there is none."""
        if not self._compiled:
            raise FileNotFoundError(path)
        return {"mtime": EPOCH, "size": None}

    def set_data(self, path: str, data: bytes, **_: int) -> None:  # type: ignore[override]
        """Write no bytecode."""


class ColdFinder:
    """Finds the modules of one folder: on disk, as another finder does, then in the stores."""

    def __init__(self, path: str) -> None:
        self.path, self._folder = path, _within(path)
        self._disk: Any = FileFinder(path, *LOADERS)
        for hook in sys.path_hooks:  # another package may have its own
            if hook is not path_hook:
                try:
                    self._disk = hook(path)
                    break
                except ImportError:
                    continue

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The module on disk, else the cold one, else the namespace package on disk.

        Raises StoreError and OSError where a store cannot be read that may have it.
        """
        spec: ModuleSpec | None = self._disk.find_spec(fullname, target)
        if spec is None or spec.loader is None:
            return self._cold_spec(fullname) or spec
        return _with_parts(spec)

    def _cold_spec(self, fullname: str) -> "ModuleSpec | None":
        tail = fullname.rpartition(".")[2]
        for name in (f"{tail}/__init__", tail):
            if entry := _find(self._folder, name):
                path = os.path.join(self.path, f"{name}.py")  # noqa: PTH118
                loader = ColdLoader(fullname, path, entry[1][4])
                return spec_from_file_location(fullname, path, loader=loader)
        return None

    def invalidate_caches(self) -> None:
        """Look at the disk again."""
        self._disk.invalidate_caches()

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """What `pkgutil` lists: modules on disk and cold ones."""
        import pkgutil

        is_package = dict(pkgutil.iter_importer_modules(self._disk))  # type: ignore[attr-defined]
        for name in names(self.path):
            module, package, _ = name.partition("/")
            if module != "__init__":
                is_package.setdefault(module, bool(package))
        yield from ((prefix + name, is_package[name]) for name in sorted(is_package))


def path_hook(path: str) -> ColdFinder:
    """The entry of `sys.path_hooks`."""
    if not _owns(path):
        raise ImportError(f"no cold modules in {path}")
    return ColdFinder(path)


class Guard:
    """The entry of `sys.meta_path`, before `PathFinder`."""

    @staticmethod
    def find_spec(name: str, path: object = None, *_: object) -> "ModuleSpec | None":
        """Put the hook back where a package has emptied or changed `sys.path_hooks`; find packages on
        disk of which modules are cold.
        """
        if sys.path_hooks[:1] != [path_hook]:
            _place()
        top = path is None and _owns(f"{SITE}/{name}")
        return _with_parts(PathFinder.find_spec(name)) if top else None


def _with_parts(spec: "ModuleSpec | None") -> "ModuleSpec | None":
    """A spec; where it is of a package on disk, its loader gives what is cold, too."""
    if (
        spec
        and type(spec.loader) is SourceFileLoader
        and spec.submodule_search_locations
        and _owns(spec.submodule_search_locations[0])
    ):
        spec.loader = PartLoader(spec.name, spec.loader.path)
    return spec


def _place() -> None:
    """Come first among the hooks, and have the known folders found again."""
    sys.path_hooks[:] = [path_hook, *(hook for hook in sys.path_hooks if hook is not path_hook)]
    for path in list(sys.path_importer_cache):
        if _owns(path):
            del sys.path_importer_cache[path]


def install() -> None:
    """Serve the stores of the prefix that this package is installed in, once."""
    if Guard in sys.meta_path:
        return
    cold = os.path.normpath(f"{SITE}/../../../cold")
    for name in sorted(os.listdir(cold)) if os.path.isdir(cold) else ():  # noqa: PTH112, PTH208
        if name.endswith(SUFFIX):
            try:
                _stores.append(Store(f"{cold}/{name}"))
            except (StoreError, OSError):
                # Told when somebody wants what may be in it: Python goes on where a .pth fails.
                _unread.append(f"{cold}/{name}")
    if _stores or _unread:
        _place()
        sys.meta_path.insert(sys.meta_path.index(PathFinder), Guard)
