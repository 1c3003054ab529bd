"""Applies passes to installed packages and writes the ledger.

In a build it runs in the step that installs, so a removed file never lies in a layer. In a trial it
runs on the writable layer of a container of the image without passes. Both leave the same files.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .elf import is_elf, strip_elf
from .globs import LICENCE, matcher
from .ledger import LedgerEntry, package_key
from .step import SITE, StepError, hashed

METADATA = re.compile(r"[^/]+\.dist-info/.+")
_PYC = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<module>[^/]+)\.[^.]+(\.opt-\d)?\.pyc")
# A program or a library that compiles C, C++ or GPU code.
_COMPILER = re.compile(
    r"(.*/)?(bin/(.*-)?(gcc|g\+\+|cc|c\+\+|clang(\+\+)?|tcc|nvcc|hipcc|icpx?)(-[\d.]+)?|zig"
    r"|[\w.-]*(nvrtc|clang|cling|opencl|libtcc)[\w.-]*\.so[\d.]*)",
    re.IGNORECASE,
)
_TESTS = re.compile(r"(.*/)?tests?/.*")
_WORD = re.compile(rb"[\w.+-]+")


class PassError(StepError):
    """A pass cannot be applied as it is; the text is for the person who wrote it."""


@dataclass(frozen=True)
class LayerPass:
    """A pass of the catalogue as one layer gets it; see `slimbake.catalogue.model`."""

    name: str
    packages: tuple[str, ...]  # of the layer, those that it applies to
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    strip: str = ""
    uncompiled: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()  # it takes only what these allow: `no-compiler`, `unread`


def parse_pass(rendered: Mapping[str, Any]) -> LayerPass:
    """One pass, as slimbake renders it."""
    lists = {key: tuple(value) for key, value in rendered.items() if isinstance(value, list)}
    return LayerPass(**{**rendered, **lists})


class LayerFiles:
    """The files of a layer below a prefix, and which package each belongs to."""

    def __init__(self, prefix: Path, paths: Iterable[Path]) -> None:
        """`paths`: the files of the layer; others are not touched."""
        self.prefix = prefix
        self.site = next(prefix.glob(SITE))
        self.files = {
            self.name(path): path for path in paths if path.is_file() or path.is_symlink()
        }
        self.owners: dict[str, tuple[str, str]] = {}
        self._words: dict[str, frozenset[bytes]] = {}
        for name, path in self.files.items():
            if name.endswith(".dist-info/RECORD") and name.count("/") == 1:
                package, _, version = name.partition(".dist-info/")[0].rpartition("-")
                for row in csv.reader(path.read_text().splitlines()):
                    self.owners[self.name(self.site / row[0])] = package_key(package), version

    @classmethod
    def of_image(cls, prefix: Path) -> LayerFiles:
        """All files below a prefix, as if one layer had them."""
        return cls(prefix, (Path(f, name) for f, _, names in os.walk(prefix) for name in names))

    @cached_property
    def compilers(self) -> tuple[str, ...]:
        """What compiles, of all that lies below the prefix."""
        files = (Path(f, name) for f, _, names in os.walk(self.prefix) for name in names)
        names = (self.name(path) for path in files)
        return tuple(sorted(name for name in names if _COMPILER.fullmatch(name)))

    def names_in(self, package: str) -> frozenset[bytes]:
        """Every word in the Python code of a package, besides its tests: what names a file."""
        if package not in self._words:
            words: set[bytes] = set()
            for name, path in self.files.items():
                if name.endswith(".py") and self.owner(name)[0] == package:
                    words.update(() if _TESTS.match(name) else _WORD.findall(path.read_bytes()))
            self._words[package] = frozenset(words)
        return self._words[package]

    def name(self, path: Path) -> str:
        """The name of a file in globs and ledgers."""
        whole = os.path.normpath(path)
        site = f"{self.site}/"
        return whole[len(site) :] if whole.startswith(site) else whole[len(str(self.prefix)) :]

    def owner(self, name: str) -> tuple[str, str]:
        """Package and version of a file; bytecode belongs to the package of its module."""
        return self.owners.get(name) or self.owners.get(module_of(name), ("", ""))


def module_of(name: str) -> str:
    """The module of a bytecode file; the name itself for any other file."""
    found = _PYC.fullmatch(name)
    return f"{found['folder']}{found['module']}.py" if found else name


def apply_passes(
    layer: LayerFiles, passes: Sequence[LayerPass], compiled: bool
) -> list[LedgerEntry]:
    """Apply passes to a layer's files; return what was removed or changed.

    `compiled`: the layer has its bytecode, and all of its packages, already. Raises PassError for a
    pass that would remove a licence or metadata.
    """
    entries: list[LedgerEntry] = []
    touched: set[Path] = set()
    for each in passes:
        for name in files_to_remove(layer, each, compiled):
            path = layer.files.pop(name)
            size = path.lstat().st_size
            entries.append(LedgerEntry(name, size, 0, each.name, *layer.owner(name)))
            path.unlink()
            touched.add(path.parent)
    _remove_empty({each for path in touched for each in (path, *path.parents)}, layer)
    for each in passes:
        entries += _strip_in_place(layer, each)
    return entries


def files_to_remove(layer: LayerFiles, each: LayerPass, compiled: bool) -> list[str]:
    """The files that a pass removes, sorted. Raises PassError for a licence or metadata."""
    if "no-compiler" in each.unusable and layer.compilers:
        print(f"slimbake: {each.name} takes nothing: {layer.compilers[0]} compiles")
        return []
    packages, dropped = set(each.packages), packages_left_out((each,))
    keeps, removes, bare = map(matcher, (each.keep, each.remove, each.uncompiled))
    gone, guarded = [], []
    for name in sorted(layer.files):
        module, owner = module_of(name), layer.owner(name)[0]
        if owner in dropped:
            gone += [name] if compiled else []
        elif owner in packages and not keeps(met := module if module in layer.files else name):
            # Bytecode is removed with its module only: in a build no glob could meet it, as
            # there is none yet.
            if removes(met):
                gone.append(name)
                guarded += [name] if METADATA.fullmatch(name) or LICENCE.fullmatch(name) else []
            elif name != met and bare(met):
                gone.append(name)
    if guarded:
        raise PassError(
            f"{each.name} would remove metadata or a licence: {', '.join(guarded[:5])};"
            " list these files under `keep:`"
        )
    return (
        [name for name in gone if not is_read(layer, name)] if "unread" in each.unusable else gone
    )


def is_read(layer: LayerFiles, name: str) -> bool:
    """Whether something in a layer names a file: Python code of the same package, or, of a shared
    library, any code that may load it.
    """
    bare = name.rpartition("/")[2]
    library, found, _ = bare.partition(".so")
    if not found:
        return bare.encode() in layer.names_in(layer.owner(name)[0])
    return any(
        f"{library}.so".encode() in path.read_bytes()
        for other, path in layer.files.items()
        if other.endswith(".py") or (".so" in other and f"/{library}.so" not in f"/{other}")
    )


def _remove_empty(folders: Iterable[Path], layer: LayerFiles) -> None:
    """Remove empty folders; each is looked at once, since that costs an overlay a whole listing."""
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if (
            layer.prefix in folder.parent.parents
            and folder != layer.site
            and not any(folder.iterdir())
        ):
            folder.rmdir()


def strip_files(
    layer: LayerFiles, each: LayerPass, into: Path | None = None
) -> Iterator[tuple[str, Path]]:
    """Strip the ELF files of a pass, on all cores; yield each that is smaller, and the new file.

    The new file lies beside the old one, or in the folder `into`.
    """
    packages, keeps = set(each.packages), matcher(each.keep)
    names = [
        name
        for name, path in sorted(layer.files.items())
        if layer.owner(name)[0] in packages
        and not keeps(name)
        and not path.is_symlink()
        and is_elf(path)
    ]

    def strip(item: tuple[int, str]) -> tuple[str, Path] | None:
        number, name = item
        path = layer.files[name]
        made = path.with_name(f".{path.name}.stripped") if into is None else into / str(number)
        if not strip_elf(path, made, each.strip):
            return None
        made.chmod(path.stat().st_mode)
        return name, made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(strip, enumerate(names)))


def _strip_in_place(layer: LayerFiles, each: LayerPass) -> Iterator[LedgerEntry]:
    for name, made in strip_files(layer, each) if each.strip else ():
        path = layer.files[name]
        before = path.stat().st_size
        made.replace(path)
        after = path.stat().st_size
        yield LedgerEntry(name, before, after, each.name, *layer.owner(name), hashed(path))


def packages_left_out(passes: Iterable[LayerPass]) -> dict[str, str]:
    """The packages of a layer that are not installed, each with the pass that leaves it out."""
    return {name: each.name for each in passes for name in each.drop if name in each.packages}


def compiles(layer: LayerFiles, passes: Iterable[LayerPass]) -> Callable[[Path], bool]:
    """A function that says whether a module gets bytecode."""
    rules = [
        (set(each.packages), matcher(each.uncompiled), matcher(each.keep))
        for each in passes
        if each.uncompiled
    ]

    def wanted(path: Path) -> bool:
        name = layer.name(path)
        owner = layer.owner(name)[0]
        return not any(
            owner in packages and bare(name) and not kept(name) for packages, bare, kept in rules
        )

    return wanted
