"""Finds cold modules: Python loads it at every start, before the other `.pth` files.

An entry of `sys.path_hooks` takes the folders that own cold modules. What it gives for one is a
`FileFinder` that asks the disk first, then the stores. A finder behind `PathFinder` would not do:
`pkgutil` would list the disk alone, and a folder of which only data stays would be a namespace
package. Everything that a miss does not need is in `serve`, which the first cold module loads.
"""

import os
import posix  # as Python's importer: it sees the disk alone, and no test replaces its functions
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
)

from .layout import SUFFIX, Store, StoreError, alone, file_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from .layout import Row

LOADERS = (  # as Python has them
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


SUFFIXES = [suffix for _, suffixes in LOADERS for suffix in suffixes]
INITS = {f"__init__{suffix}" for suffix in SUFFIXES}


class Stores:
    """The stores of a prefix, each for the folders that it names."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.faults: list[StoreError] = []
        self.owners: dict[str, list[Store]] = {}  # folder -> the stores that have modules of it
        self.tops: set[str] = set()  # the top names that have cold modules below
        self._there: set[str] = set()  # the distributions that were found on disk
        self._listed: dict[str, tuple[float, frozenset[str]]] = {}
        cold = os.path.join(*(site, *[os.pardir] * 3, "cold"))  # noqa: PTH118
        for name in sorted(os.listdir(cold)) if os.path.isdir(cold) else ():  # noqa: PTH112, PTH208
            if name.endswith(SUFFIX):
                self._open(os.path.normpath(os.path.join(cold, name)))  # noqa: PTH118

    def _open(self, path: str) -> None:
        try:
            store = Store(path)
        except StoreError as fault:
            # Told when somebody wants what may be in it: Python goes on where a .pth fails.
            self.faults.append(fault)
            return
        for folder in store.folders:
            whole = f"{self.site}/{folder}" if folder else self.site
            self.owners.setdefault(whole, []).append(store)
            self.tops.add(folder.partition("/")[0])

    def owns(self, folder: str) -> bool:
        """Whether cold modules, or packages, may stand in a folder."""
        return folder in self.owners or bool(self.faults and folder.startswith(self.site))

    def find(self, folder: str, name: str) -> "tuple[Store, Row] | None":
        """A module by its folder and name, if its distribution is there. Raises StoreError."""
        within = folder[len(self.site) + 1 :]
        for store in self.owners.get(folder, ()):
            row = store.row(within, name)
            if row and self._holds(store.dist(row)):
                return store, row
        return None

    def module(self, folder: str, tail: str) -> "tuple[str, bool] | None":
        """The file of a module as seen from its folder, and whether its bytecode is on disk. A package
        comes before a module, and a module before an extension module. Raises StoreError.
        """
        if folder not in self.owners:
            return None
        if found := self.find(f"{folder}/{tail}", "__init__"):
            return f"{tail}/__init__.py", bool(found[1][4])
        for name in (tail, *[tail + suffix for suffix in EXTENSION_SUFFIXES]):
            if found := self.find(folder, name):
                return file_name(name), bool(found[1][4])
        return None

    def listed(self, path: str) -> "frozenset[str]":
        """The names in a folder on disk, read again where it has changed; none where it is none."""
        try:
            changed = posix.stat(path).st_mtime
            known = self._listed.get(path)
            if known is None or known[0] != changed:
                self._listed[path] = known = changed, frozenset(posix.listdir(path))
        except OSError:
            return frozenset()
        return known[1]

    def _holds(self, dist: str) -> bool:
        """Whether a distribution is there: a derived image may have put another version on top."""
        if dist not in self._there:
            try:
                posix.stat(f"{self.site}/{dist}")
            except OSError:
                return False
            self._there.add(dist)
        return True

    def invalidate(self) -> None:
        """Look at the disk again."""
        self._there.clear()
        self._listed.clear()

    def names(self, folder: str) -> "Iterator[tuple[str, bool]]":
        """Each cold module of a folder, and whether it is a package."""
        for name, package in self.files(folder):
            if name != "__init__.py":
                yield name.partition(".")[0], package

    def files(self, folder: str) -> "Iterator[tuple[str, bool]]":
        """Each cold file of a folder, and each folder in it that is a cold package: its name, and
        whether it is a folder. Raises StoreError.
        """
        within = folder[len(self.site) + 1 :]
        for store in self.owners.get(folder, ()):
            for name in store.names(within):
                package = name.endswith("/")
                inner, of = (f"{folder}/{name[:-1]}", "__init__") if package else (folder, name)
                if self.find(inner, of):
                    yield (name[:-1] if package else file_name(name)), package


class ColdFinder(FileFinder):
    """Finds the modules of one folder: on disk first, as another finder does, then in the stores."""

    def __init__(self, stores: Stores, folder: str, path: str) -> None:
        super().__init__(path, *LOADERS)
        self._stores, self._folder = stores, folder
        self._disk = _disk_finder(path)
        self._prefix = os.path.join(path, "")  # noqa: PTH118

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The module on disk, else the cold one, else the namespace package on disk.

        Raises StoreError where a store that cannot be read may have it.
        """
        stores, tail = self._stores, fullname.rpartition(".")[2]
        if self._folder == stores.site and tail in stores.tops:
            alone(_serve).begin(stores)  # who imports this may open or list its files
        cold, spec = stores.module(self._folder, tail), None
        if not cold or self._on_disk(tail):
            spec = self._disk.find_spec(fullname, target)
            if spec is not None and spec.loader is not None:
                return spec  # type: ignore[no-any-return]
        if cold:
            name, compiled = cold
            serve = alone(_serve)
            serve.begin(stores)
            return serve.cold_spec(  # type: ignore[no-any-return]
                fullname, self._prefix + name, compiled, _source_loader(self._disk)
            )
        if stores.faults:  # a folder without `__init__` may be a package of a broken store
            fault = stores.faults[0]
            raise StoreError(str(fault), name=fullname, path=fault.path)
        return spec

    def _on_disk(self, tail: str) -> bool:
        """Whether the disk may have a module, too. Its own finder asks for each suffix by itself."""
        if type(self._disk) is not FileFinder:
            return True
        names = self._stores.listed(self.path)
        return not names.isdisjoint([tail + suffix for suffix in SUFFIXES]) or (
            tail in names and not INITS.isdisjoint(self._stores.listed(self._prefix + tail))
        )

    def invalidate_caches(self) -> None:
        """Look at the disk again."""
        super().invalidate_caches()
        self._disk.invalidate_caches()
        self._stores.invalidate()

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """What `pkgutil` lists: modules on disk and cold ones, in the order of their file names."""
        import pkgutil

        found = dict(self._stores.names(self._folder))
        found.update(pkgutil.iter_importer_modules(self._disk))  # type: ignore[attr-defined]
        for name, package in sorted(found.items(), key=lambda item: item[0] + "." * (not item[1])):
            yield prefix + name, package


def _serve() -> "ModuleType":
    from . import serve

    return serve


def _disk_finder(path: str) -> "Any":
    """What finds modules of a folder without this hook: another package may have its own."""
    for each in sys.path_hooks:
        if not isinstance(each, Hook):
            try:
                return each(path)
            except ImportError:
                continue
    return None


def _source_loader(disk: "Any") -> "type[SourceFileLoader]":
    """What would load the module from disk: a package such as beartype may have put its own there."""
    loader = dict(getattr(disk, "_loaders", ())).get(SOURCE_SUFFIXES[0])
    if isinstance(loader, type) and issubclass(loader, SourceFileLoader):
        return loader
    return SourceFileLoader


class Hook:
    """The entry of `sys.path_hooks`."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        # Hooks are functions as a rule, and beartype asks each for its name.
        self.__name__ = self.__qualname__ = "path_hook_for_ColdFinder"

    def __call__(self, path: str) -> ColdFinder:
        folder = path if path in self.stores.owners else os.path.normpath(path)
        if not self.stores.owns(folder):
            raise ImportError(f"no cold modules in {path}")
        return ColdFinder(self.stores, folder, path)

    def place(self) -> None:
        """Come first among the hooks, and have the known folders found again."""
        others = [each for each in sys.path_hooks if each is not self]
        # Without any, nothing that is not loaded yet could be imported, `lzma` neither.
        sys.path_hooks[:] = [self, *(others or [FileFinder.path_hook(*LOADERS)])]
        for path in list(sys.path_importer_cache):
            if self.stores.owns(path):
                del sys.path_importer_cache[path]


class Guard:
    """An entry of `sys.meta_path` before `PathFinder`: it finds nothing, and keeps the hook there."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    def find_spec(self, fullname: str, *_: object) -> "ModuleSpec | None":
        """Put the hook back where a package has emptied or changed `sys.path_hooks`."""
        hooks = sys.path_hooks
        if not hooks or not isinstance(hooks[0], Hook) or self._hook not in hooks:
            self._hook.place()
        return _told(fullname) if fullname in TOLD else None


def _told(name: str) -> "ModuleSpec | None":
    """A module of TOLD, whose function is called once the module is loaded: to load it at every start
    would be slow.
    """
    spec: ModuleSpec | None = PathFinder.find_spec(name)
    if spec and spec.loader:
        run = spec.loader.exec_module

        def exec_module(module: "ModuleType") -> None:
            run(module)
            if module.__name__ == name:  # a zip file has one loader for all of its modules
                TOLD[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


def _register(pkgutil: "ModuleType") -> None:
    pkgutil.iter_importer_modules.register(ColdFinder, ColdFinder.iter_modules)


def _load_cold(ctypes: "ModuleType") -> None:
    from .files import dlopen

    ctypes._dlopen = dlopen(ctypes._dlopen)  # type: ignore[attr-defined]


TOLD = {"pkgutil": _register, "ctypes": _load_cold}


def install() -> None:
    """Serve the stores of the prefix that this package is installed in, once."""
    stores = Stores(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    if any(isinstance(each, Hook) and each.stores.site == stores.site for each in sys.path_hooks):
        return
    if stores.owners or stores.faults:
        hook = Hook(stores)
        hook.place()
        sys.meta_path.insert(sys.meta_path.index(PathFinder), Guard(hook))
        for name in sys.modules.keys() & TOLD.keys():
            TOLD[name](sys.modules[name])
