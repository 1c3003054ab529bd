"""What a search takes away together: files with their bytecode, folders, packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from slimbake.inside.globs import LICENCE
from slimbake.inside.passes import METADATA, module_of

WORTH = 500  # bytes that are worth a line of a list: py.typed is not


@dataclass(frozen=True, slots=True, order=True)
class Module:
    """A file below the prefix as passes name it; bytecode counts as its module's."""

    name: str
    package: str
    version: str
    bytes: int  # with its bytecode
    bytecode: int = 0  # of these, bytes of bytecode

    @property
    def guarded(self) -> bool:
        """Whether no search removes it: metadata, licences, what a glob cannot name, what is not in
        site-packages.

        Of the programs in /bin one may be a service's command.
        """
        special = not self.package or self.name.startswith("/") or set("*?[]{}\\") & set(self.name)
        # a folder of licences is no less
        named = any(LICENCE.fullmatch(part) for part in self.name.split("/"))
        return bool(special or named or METADATA.fullmatch(self.name))


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that stay or go together."""

    name: str
    files: frozenset[str]
    bytes: int


@dataclass(frozen=True)
class SearchedFleet:
    """The files of several images, each once, and which of them are used."""

    modules: Mapping[str, Module]
    used: frozenset[str]  # names of modules; a smoke uses these
    served: frozenset[str]  # a command uses these, and no smoke
    # of packages that commands use so: never in question either, since nobody sees who reads it
    data: frozenset[str]
    uncompiled: frozenset[str]  # modules of which only the source is used

    @cached_property
    def by_package(self) -> Mapping[str, tuple[Module, ...]]:
        found: dict[str, list[Module]] = {}
        for module in self.modules.values():
            if module.package:
                found.setdefault(module.package, []).append(module)
        return {package: tuple(modules) for package, modules in sorted(found.items())}

    @cached_property
    def shielded(self) -> frozenset[str]:
        return self.served | self.data

    @cached_property
    def kept(self) -> frozenset[str]:
        return self.used | self.shielded

    @property
    def weight(self) -> int:
        """Bytes of the files that are opened, loaded or mapped."""
        bare = sum(self.modules[name].bytecode for name in self.uncompiled)
        return self.bytes(self.used | self.served) - bare

    def bytes(self, names: Iterable[str]) -> int:
        return sum(self.modules[name].bytes for name in names)

    def droppable(self, package: str) -> bool:
        """Whether nothing of a package is used, its metadata too, which tell versions.

        Entry points count for nothing: who looks for some opens those of every package.
        """
        names = (module.name for module in self.by_package[package])
        return not any(
            name in self.kept and not name.endswith(".dist-info/entry_points.txt") for name in names
        )


def modules(files: Iterable[tuple[str, int, str, str]]) -> dict[str, Module]:
    """From a listing of files (name, bytes, package, version)."""
    sizes: dict[str, list[int]] = {}
    owners: dict[str, tuple[str, str]] = {}
    for name, size, package, version in files:
        of = module_of(name)
        whole = sizes.setdefault(of, [0, 0])
        whole[0] += size
        whole[1] += size if of != name else 0
        owners[of] = (package, version)
    return {name: Module(name, *owners[name], *size) for name, size in sorted(sizes.items())}


def fleet(
    listings: Iterable[Iterable[tuple[str, int, str, str]]],
    smokes: Iterable[Iterable[str]],
    commands: Iterable[Iterable[str]],
) -> SearchedFleet:
    """Put together what was listed and traced in each image: by their smokes, and by their
    commands.
    """
    known = modules({file[0]: file for listing in listings for file in listing}.values())
    opened = {name for each in smokes for name in each}
    run = {name for each in commands for name in each}
    used = frozenset(module_of(name) for name in opened) & known.keys()
    served = frozenset(module_of(name) for name in run) & known.keys() - used
    # What a service opens in a library of C is not seen, and its smoke may not need it: a bundle of
    # certificates.
    partly = {known[name].package for name in served}
    data = frozenset(
        n for n, m in known.items() if m.package in partly and not n.endswith((".py", ".pyi"))
    )
    compiled = {module_of(name) for name in opened | run if module_of(name) != name}
    bare = frozenset(
        name for name in used | served if known[name].bytecode and name not in compiled
    )
    return SearchedFleet(known, used, served, data - used - served, bare)


def named(said: str, names: Collection[str]) -> frozenset[str]:
    """Those of these files that the words of an error name: by their path, or as a module that is
    missing.
    """
    found: set[str] = set()
    for path in re.findall(r"[\w./+-]+", said):
        ends = (path[slash.end() :].rstrip(".") for slash in re.finditer("/", path))
        found.update(end for end in ends if end in names)
    missing = re.findall(r"No module named '([\w.]+)'", said)
    missing += [
        f"{of}.{name}"
        for name, of in re.findall(r"cannot import name '(\w+)' from '([\w.]+)'", said)
    ]
    for module in missing:
        way = module.replace(".", "/")
        found.update(name for name in (f"{way}.py", f"{way}/__init__.py") if name in names)
    return frozenset(found)


def packages(fleet: SearchedFleet, names: Iterable[str]) -> tuple[Unit, ...]:
    """Those of these files, by package."""
    return _units(fleet, names, lambda name: fleet.modules[name].package)


def folders(fleet: SearchedFleet, names: Iterable[str], depth: int) -> tuple[Unit, ...]:
    """Those of these files that lie `depth` folders deep or deeper, by their folder at that depth."""
    deep = (name for name in names if name.count("/") >= depth)
    return _units(fleet, deep, lambda name: "/".join(name.split("/")[:depth]))


def single(fleet: SearchedFleet, names: Iterable[str]) -> tuple[Unit, ...]:
    """Each of these files."""
    return _units(fleet, names, lambda name: name)


def _units(
    fleet: SearchedFleet, names: Iterable[str], key: Callable[[str], str]
) -> tuple[Unit, ...]:
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(key(name), set()).add(name)
    return tuple(
        Unit(name, frozenset(files), fleet.bytes(files)) for name, files in sorted(found.items())
    )


def unopened(fleet: SearchedFleet, *, by: str = "file", small: int = 0) -> frozenset[str]:
    """The files that nothing uses.

    `by`: "directory" leaves those that lie beside one that is used. `small`: modules with fewer
    bytes of source stay in folders of which most are used; most of what an error alone imports is
    among them, and it weighs little.
    """
    beside: dict[str, list[int]] = {}  # a folder: modules that are used, and all
    for name in fleet.modules:
        count = beside.setdefault(name.rpartition("/")[0], [0, 0])
        count[0] += name in fleet.kept
        count[1] += 1
    gone = set()
    for name, module in fleet.modules.items():
        if module.guarded or name in fleet.kept:
            continue
        used, every = beside[name.rpartition("/")[0]]
        little = (
            name.endswith(".py") and module.bytes - module.bytecode < small and used * 2 > every
        )
        little |= used > 0 and module.bytes < WORTH
        if not little and not (used and by == "directory"):
            gone.add(name)
    return frozenset(gone)


def _siblings(every: Iterable[Unit]) -> Iterator[list[Unit]]:
    by_parent: dict[str, list[Unit]] = {}
    for unit in every:
        by_parent.setdefault(unit.name.rpartition("/")[0], []).append(unit)
    yield from by_parent.values()


def worthwhile(every: Sequence[Unit], least: int) -> list[Unit]:
    """Those that weigh `least`, on their own or with other small ones beside them."""
    chosen: set[Unit] = set()
    for siblings in _siblings(every):
        small = [unit for unit in siblings if unit.bytes < least]
        chosen.update(
            siblings if sum(unit.bytes for unit in small) >= least else {*siblings} - {*small}
        )
    return [unit for unit in every if unit in chosen]


def rest(every: Sequence[Unit], gone: frozenset[str]) -> list[Unit]:
    """What is left of folders of which more than half of the bytes went."""
    chosen: set[Unit] = set()
    for siblings in _siblings(every):
        left = {unit for unit in siblings if not unit.files <= gone}
        if sum(unit.bytes for unit in left) * 2 < sum(unit.bytes for unit in siblings):
            chosen |= left
    return [unit for unit in every if unit in chosen]
