"""Applies rules to an installed wheel, in the step that makes its layer: a removed file lies in none.

A rule looks at the wheel alone: what else an image holds changes no layer.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..elf import is_elf, strip_elf
from ..globs import LICENCE, matcher
from ..ledger import LedgerEntry
from ..names import METADATA
from ..step import StepError, hashed
from .wheel import WORD, InstalledWheel

_INCLUDE = re.compile(rb"#\s*include.*")
SHOWN = 5  # names in an error


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


def apply_rules(wheel: InstalledWheel, rules: Iterable[LayerRule]) -> list[LedgerEntry]:
    """Apply rules to a wheel; what they removed or changed.

    Raises StepError for a rule that would remove a licence or metadata.
    """
    entries: list[LedgerEntry] = []
    folders: set[Path] = set()
    for rule in rules:
        for name in files_to_remove(wheel, rule):
            path = wheel.files.pop(name)
            size = path.lstat().st_size
            entries.append(LedgerEntry(name, size, 0, rule.name, wheel.package, wheel.version))
            path.unlink()
            folders |= {*path.parents}
        if rule.strip:
            entries += strip_symbols(wheel, rule.name)
    # Folders that are empty now go, too; those of others' files stay.
    kept = {wheel.site, wheel.prefix, *wheel.site.parents}
    for folder in sorted(folders - kept, reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return entries


def files_to_remove(wheel: InstalledWheel, rule: LayerRule) -> list[str]:
    """The files that a rule removes, sorted. Raises StepError where it is requested and would remove
    a licence or metadata.
    """
    if "no-compiler" in rule.conditions and wheel.compilers:
        print(
            f"slimbake: {rule.name} takes nothing of {wheel.package}: {wheel.compilers[0]} compiles"
        )
        return []
    removes, keeps = matcher(rule.remove), matcher(rule.keep)
    names = []
    guarded = []
    for name in sorted(wheel.files):
        if not removes(name) or keeps(name):
            continue
        if METADATA.fullmatch(name) or LICENCE.fullmatch(name):
            guarded.append(name)
        elif "stub" not in rule.conditions or _only_checkers_read(wheel, name):
            names.append(name)
    if guarded and rule.requested:
        raise StepError(
            f"{rule.name} would remove metadata or a licence: {', '.join(guarded[:SHOWN])};"
            " list these files under `keep:`"
        )
    if "unnamed" in rule.conditions:
        names = _unnamed(wheel, names)
    return names


def _only_checkers_read(wheel: InstalledWheel, name: str) -> bool:
    """Whether a stub is of a module of its wheel, and no code reads it: neither does the wheel make
    names with that suffix, nor does the module say where it lies itself. A module that loads lazily
    by its stub hands its path to the package that does so.
    """
    module = wheel.module_beside(name)
    if not module or wheel.makes_names(f".{name.rpartition('.')[2]}"):
        return False
    return b"__file__" not in wheel.code.get(module, b"")


def _unnamed(wheel: InstalledWheel, names: Iterable[str]) -> list[str]:
    """Of these files, those that nothing names: no code of the wheel, and no file beside it that
    stays, but for what a compiler includes.
    """
    removed = {name for name in names if not is_named(wheel, name)}
    stay = set(names) - removed
    while stay:
        named = set()
        for name in stay:
            folder = name.rpartition("/")[0]
            text = _INCLUDE.sub(b"", wheel.files[name].read_bytes())
            named |= {f"{folder}/{word.decode()}" for word in WORD.findall(text)}
        stay = removed & named
        removed -= stay
    return sorted(removed)


def is_named(wheel: InstalledWheel, name: str) -> bool:
    """Whether something in a wheel names a file: its Python code or, of a shared library, any code
    that may load it.
    """
    bare = name.rpartition("/")[2]
    library, end, _ = bare.partition(".so")
    if not end:
        return bare.encode() in wheel.words
    for other, path in wheel.files.items():
        native = ".so" in other and f"/{library}.so" not in f"/{other}"
        if (native or other.endswith(".py")) and f"{library}.so".encode() in path.read_bytes():
            return True
    return False


def strip_symbols(wheel: InstalledWheel, rule: str) -> Iterator[LedgerEntry]:
    """Strip the shared libraries and programs of a wheel, on all cores; `rule`: its name."""
    names = []
    for name, path in sorted(wheel.files.items()):
        if not path.is_symlink() and is_elf(path):
            names.append(name)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        stripped = pool.map(_strip, [wheel.files[name] for name in names])
        for name, smaller in zip(names, stripped, strict=True):
            if smaller is None:
                continue
            path = wheel.files[name]
            before = path.stat().st_size
            smaller.replace(path)
            after = path.stat().st_size
            yield LedgerEntry(name, before, after, rule, wheel.package, wheel.version, hashed(path))


def _strip(path: Path) -> Path | None:
    """A file beside this one with less symbols; None where none can go."""
    target = path.with_name(f".{path.name}.stripped")
    if not strip_elf(path, target):
        return None
    target.chmod(path.stat().st_mode)
    return target
