"""Applies rules to installed packages, in the step that makes their layer: a removed file lies in none."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
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
    r"(.*/)?(bin/([^/]*-)?(gcc|g\+\+|cc|c\+\+|clang(\+\+)?|tcc|nvcc|hipcc|icpx?)(-[\d.]+)?|zig"
    r"|(?=[\w.-]*\.so[\d.]*\Z)[\w.-]*?(nvrtc|clang|cling|opencl|libtcc)[\w.-]*)",
    re.IGNORECASE,
)
_TESTS = re.compile(r"(.*/)?tests?/.*")
_INCLUDE = re.compile(rb"#\s*include.*")
_WORD = re.compile(rb"[\w.+-]+")


@dataclass(frozen=True)
class LayerRule:
    """A rule as one layer gets it; see `slimbake.catalogue`."""

    name: str
    conditions: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    strip: bool = False
    requested: bool = False


def parse_rule(rendered: Mapping[str, Any]) -> LayerRule:
    """One rule, as slimbake renders it."""
    lists = {key: tuple(value) for key, value in rendered.items() if isinstance(value, list)}
    return LayerRule(**{**rendered, **lists})


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
        self._words: dict[str, set[bytes]] = {}
        for name, path in self.files.items():
            if name.endswith(".dist-info/RECORD") and name.count("/") == 1:
                package, _, version = name.partition(".dist-info/")[0].rpartition("-")
                for row in csv.reader(path.read_text().splitlines()):
                    self.owners[self.name(self.site / row[0])] = package_key(package), version

    def sought(self, suffix: str) -> bool:
        """Whether code of this layer, besides tests, makes names with a suffix: it has that as a text
        of its own, or after a value.
        """
        text = re.compile(rb"""["'}]%b["']""" % re.escape(suffix.encode()))
        # a text is found far sooner than a pattern
        return any(suffix.encode() in code and text.search(code) for code in self._code.values())

    @classmethod
    def of_image(cls, prefix: Path) -> LayerFiles:
        """All files below a prefix, as if one layer had them."""
        return cls(prefix, (Path(f, name) for f, _, names in os.walk(prefix) for name in names))

    @cached_property
    def _code(self) -> Mapping[str, bytes]:
        return {
            name: path.read_bytes()
            for name, path in self.files.items()
            if name.endswith(".py") and not _TESTS.match(name) and path.is_file()
        }

    @cached_property
    def compilers(self) -> tuple[str, ...]:
        """What compiles, of all that lies below the prefix."""
        names = (file_name(f"{f}/{n}", self.site) for f, _, ns in os.walk(self.prefix) for n in ns)
        return tuple(sorted(filter(_COMPILER.fullmatch, names)))

    def names_in(self, package: str) -> set[bytes]:
        """Every word in the Python code of a package, besides its tests: what names a file."""
        if package not in self._words:
            names = (name for name in self._code if self.owner(name)[0] == package)
            self._words[package] = {w for name in names for w in _WORD.findall(self._code[name])}
        return self._words[package]

    def name(self, path: Path) -> str:
        """The name of a file in globs and ledgers."""
        return file_name(path, self.site)

    def owner(self, name: str) -> tuple[str, str]:
        """Package and version of a file; bytecode belongs to the package of its module."""
        return self.owners.get(name) or self.owners.get(module_of(name), ("", ""))


def file_name(path: Path | str, site: Path) -> str:
    """The name of a file: below site-packages, or with a leading `/` below the prefix."""
    whole = os.path.normpath(path)
    relative = whole.removeprefix(f"{site}/")
    return relative if relative != whole else whole.removeprefix(str(site.parents[2]))


def module_of(name: str) -> str:
    """The module of a bytecode file; the name itself for any other file."""
    match = _PYC.fullmatch(name)
    return f"{match['folder']}{match['module']}.py" if match else name


def apply_rules(
    layer: LayerFiles, rules: Sequence[LayerRule], sought_below: Container[str] = ()
) -> list[LedgerEntry]:
    """Apply the rules that remove files to a layer, with the folders that are empty then; return what
    is gone. `sought_below`: suffixes that code of layers below looks for.

    Raises StepError for one that would remove a licence or metadata.
    """
    entries: list[LedgerEntry] = []
    folders: set[Path] = set()
    for rule in rules:
        for name in files_to_remove(layer, rule, sought_below):
            path = layer.files.pop(name)
            size = path.lstat().st_size
            entries.append(LedgerEntry(name, size, 0, rule.name, *layer.owner(name)))
            path.unlink()
            folders |= {path.parent, *path.parent.parents}
    # Each is looked at once, since that costs an overlay a whole listing.
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if (
            layer.prefix in folder.parent.parents
            and folder != layer.site
            and not any(folder.iterdir())
        ):
            folder.rmdir()
    return entries


def suffixes(rule: LayerRule) -> tuple[str, ...]:
    """The suffixes of what a rule removes by suffix."""
    return tuple(f".{glob.rpartition('.')[2]}" for glob in rule.remove)


def files_to_remove(
    layer: LayerFiles, rule: LayerRule, sought_below: Container[str] = ()
) -> list[str]:
    """The files that a rule removes, sorted.

    `sought_below`: suffixes that code of layers below looks for. Raises StepError for a licence or
    metadata.
    """
    if "no-compiler" in rule.conditions and layer.compilers:
        print(f"slimbake: {rule.name} takes nothing: {layer.compilers[0]} compiles")
        return []
    keeps, removes = matcher(rule.keep), matcher(rule.remove)
    names = [name for name in layer.files if removes(name) and not keeps(name)]
    if rule.requested:
        names = [name for name in names if layer.owner(name)[0]]  # files of packages, none of ours
        guarded = [n for n in sorted(names) if METADATA.fullmatch(n) or LICENCE.fullmatch(n)]
        if guarded:
            raise StepError(
                f"{rule.name} would remove metadata or a licence: {', '.join(guarded[:5])};"
                " list these files under `keep:`"
            )
        if not names:
            print(f"slimbake: warning: {rule.name} matches no file of this layer")
        return sorted(names)
    if "unsought" in rule.conditions:
        sought = tuple(
            suffix for suffix in suffixes(rule) if suffix in sought_below or layer.sought(suffix)
        )
        names = [name for name in names if not name.endswith(sought)]
    left = {
        name
        for name in names
        if layer.owner(name)[0] and not METADATA.fullmatch(name) and not LICENCE.fullmatch(name)
    }
    stay = {name for name in left if "unnamed" in rule.conditions and is_named(layer, name)}
    while stay:
        left -= stay
        # what one that stays names in its own folder, but for what a compiler includes
        stay = left & {
            f"{name.rpartition('/')[0]}/{word.decode()}"
            for name in stay
            for word in _WORD.findall(_INCLUDE.sub(b"", layer.files[name].read_bytes()))
        }
    return sorted(left)


def is_named(layer: LayerFiles, name: str) -> bool:
    """Whether something in a layer names a file: Python code of the same package, or, of a shared
    library, any code that may load it.
    """
    bare = name.rpartition("/")[2]
    library, end, _ = bare.partition(".so")
    if not end:
        return bare.encode() in layer.names_in(layer.owner(name)[0])
    return any(
        f"{library}.so".encode() in path.read_bytes()
        for other, path in layer.files.items()
        if other.endswith(".py") or (".so" in other and f"/{library}.so" not in f"/{other}")
    )


def strip_symbols(layer: LayerFiles, rule: str) -> Iterator[LedgerEntry]:
    """Strip the shared libraries and programs of a layer, on all cores; `rule`: by whom."""

    def strip(name: str) -> tuple[str, Path] | None:
        path = layer.files[name]
        target = path.with_name(f".{path.name}.stripped")
        if not strip_elf(path, target):
            return None
        target.chmod(path.stat().st_mode)
        return name, target

    names = [
        name
        for name, path in sorted(layer.files.items())
        if layer.owner(name)[0] and not path.is_symlink() and is_elf(path)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, target in filter(None, pool.map(strip, names)):
            path = layer.files[name]
            before = path.stat().st_size
            target.replace(path)
            after = path.stat().st_size
            yield LedgerEntry(name, before, after, rule, *layer.owner(name), hashed(path))
