"""Applies passes to installed packages and keeps the ledger of it. Standard library only.

In a build it runs in the step that installs, so that what is removed never lies in a layer; in a trial
(`trial.py`), on the writable layer of a container of the image without passes. Both leave the same files.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .globs import LICENCE, matcher
    from .ledger import Entry
else:  # a program of its own, with what it needs beside it
    from globs import LICENCE, matcher
    from ledger import Entry

METADATA = re.compile(r"[^/]+\.dist-info/.+")
_PYC = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<module>[^/]+)\.[^.]+(\.opt-\d)?\.pyc")
_ELF = b"\x7fELF"
_STRIP = {"debug": "--strip-debug", "unneeded": "--strip-unneeded"}


class PassError(Exception):
    """A pass cannot be applied as it is; the text is for the person who wrote it."""


@dataclass(frozen=True)
class Pass:
    """What of a pass of the catalogue a layer is told; see `slimbake.catalogue.model`."""

    name: str
    packages: tuple[str, ...]  # of the layer, those that it concerns
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    strip: str = ""
    uncompiled: tuple[str, ...] = ()


def read(text: str) -> tuple[Pass, ...]:
    """The passes of a layer, as slimbake renders them: JSON."""
    return tuple(of_json(each) for each in json.loads(text)["passes"])


def of_json(told: Mapping[str, Any]) -> Pass:
    """One pass, as slimbake renders it."""
    lists = {key: tuple(value) for key, value in told.items() if isinstance(value, list)}
    return Pass(**{**told, **lists})


class Packages:
    """The packages below a prefix: whose each file is."""

    def __init__(self, prefix: Path, paths: Iterable[Path]) -> None:
        """`paths`: the files of the layer; others are not touched."""
        self.prefix = prefix
        self.site = next(prefix.glob("lib/python*/site-packages"))
        self.files = {self.name(path): path for path in paths if path.is_file() or path.is_symlink()}
        self.owners: dict[str, tuple[str, str]] = {}
        for name, path in self.files.items():
            if name.endswith(".dist-info/RECORD") and name.count("/") == 1:
                package, _, version = name.partition(".dist-info/")[0].rpartition("-")
                owner = (re.sub("[-_.]+", "-", package).lower(), version)
                for row in csv.reader(path.read_text().splitlines()):
                    self.owners[self.name(self.site / row[0])] = owner

    def name(self, path: Path) -> str:
        """How globs and ledgers call a file."""
        whole = os.path.normpath(path)
        site = f"{self.site}/"
        return whole[len(site) :] if whole.startswith(site) else whole[len(str(self.prefix)) :]

    def owner(self, name: str) -> tuple[str, str]:
        """Package and version of a file; bytecode is whose its module is."""
        return self.owners.get(name) or self.owners.get(source(name), ("", ""))


def source(name: str) -> str:
    """The module of a file of bytecode; any other file is its own."""
    found = _PYC.fullmatch(name)
    return f"{found['folder']}{found['module']}.py" if found else name


def apply(packages: Packages, passes: Sequence[Pass], tools: Path, compiled: bool) -> list[Entry]:
    """Apply passes to a layer's files; what was removed or changed.

    `compiled`: the layer has its bytecode, and all of its packages, already. Raises PassError for a pass that would
    remove a licence or metadata.
    """
    ledger: list[Entry] = []
    touched: set[Path] = set()
    for each in passes:
        for name in removed(packages, each, compiled):
            path = packages.files.pop(name)
            ledger.append(Entry(name, path.lstat().st_size, 0, each.name, *packages.owner(name)))
            path.unlink()
            touched.update(path.parents)
    _remove_empty(touched, packages)
    for each in passes:
        ledger += _stripped(packages, each, tools)
    _trim_records(packages, {entry.path for entry in ledger if not entry.after})
    return ledger


def removed(packages: Packages, each: Pass, compiled: bool) -> list[str]:
    """The files that a pass removes, sorted. Raises PassError where a licence or metadata is one of them."""
    concerns, keeps, removes, bare = set(each.packages), *map(matcher, (each.keep, each.remove, each.uncompiled))
    dropped = unwanted((each,))
    gone, guarded = [], []
    for name in sorted(packages.files):
        module, owner = source(name), packages.owner(name)[0]
        if owner in dropped:
            gone += [name] if compiled else []
        elif owner in concerns and not keeps(met := module if module in packages.files else name):
            # Bytecode goes with its module, and only so: in a build there is none yet for a glob to meet.
            if removes(met):
                gone.append(name)
                guarded += [name] if METADATA.fullmatch(name) or LICENCE.fullmatch(name) else []
            elif name != met and bare(met):
                gone.append(name)
    if guarded:
        raise PassError(
            f"{each.name} would remove metadata or a licence: {', '.join(guarded[:5])}; `keep:` is for those"
        )
    return gone


def _remove_empty(folders: Iterable[Path], packages: Packages) -> None:
    """Remove folders that hold nothing any more; each only once, since a look costs an overlay a whole listing."""
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if packages.prefix in folder.parent.parents and folder != packages.site and not any(folder.iterdir()):
            folder.rmdir()


def stripped(packages: Packages, each: Pass, tools: Path, into: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Strip the ELF files that a pass concerns, on all cores: the name of each that is smaller now, and the new file.

    It lies beside the old one, or in the folder `into`.
    """
    concerns, keeps = set(each.packages), matcher(each.keep)
    names = [
        name
        for name, path in sorted(packages.files.items())
        if packages.owner(name)[0] in concerns and not keeps(name) and not path.is_symlink() and _is_elf(path)
    ]
    command = [*_program(tools, "strip"), _STRIP[each.strip]]

    def strip(item: tuple[int, str]) -> tuple[str, Path] | None:
        number, name = item
        path = packages.files[name]
        made = path.with_name(f".{path.name}.stripped") if into is None else into / str(number)
        done = subprocess.run([*command, "-o", str(made), str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"slimbake: {name} cannot be stripped: {done.stderr.strip()}", file=sys.stderr)
        elif made.stat().st_size < path.stat().st_size:
            made.chmod(path.stat().st_mode)
            return name, made
        made.unlink(missing_ok=True)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(strip, enumerate(names)))


def _stripped(packages: Packages, each: Pass, tools: Path) -> Iterator[Entry]:
    for name, made in stripped(packages, each, tools) if each.strip else ():
        path = packages.files[name]
        before = path.stat().st_size
        made.replace(path)
        yield Entry(name, before, path.stat().st_size, each.name, *packages.owner(name))


def _program(tools: Path, name: str) -> list[str]:
    """A program of another root, run with that root's own loader and libraries."""
    loaders = [
        loader
        for folder in ("lib64", "lib", "usr/lib64", "usr/lib")
        for loader in tools.glob(f"{folder}/ld-linux-*.so.*")
    ]
    program = tools / "usr" / "bin" / name
    if not loaders or not program.exists():
        raise PassError(f"the external `tools` has no {name}: it needs binutils as Debian packages them")
    libraries = sorted({str(path.parent) for usr in ("", "usr/") for path in tools.glob(f"{usr}lib/*/lib*.so*")})
    return [str(loaders[0]), "--library-path", ":".join(libraries), str(program)]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ELF


def _trim_records(packages: Packages, gone: set[str]) -> None:
    """Take what was removed out of the records of packages, which then say what is there."""
    records = {packages.owner(name)[0] for name in gone}
    for name, path in packages.files.items():
        if not name.endswith(".dist-info/RECORD") or packages.owner(name)[0] not in records:
            continue
        rows = list(csv.reader(path.read_text().splitlines()))
        left = [row for row in rows if packages.name(packages.site / row[0]) not in gone]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(left)
        path.write_text(text.getvalue())


def unwanted(passes: Iterable[Pass]) -> dict[str, str]:
    """The packages of a layer that are not installed, each with the pass that leaves it out."""
    return {name: each.name for each in passes for name in each.drop if name in each.packages}


def compiles(packages: Packages, passes: Iterable[Pass]) -> Callable[[Path], bool]:
    """Whether a module gets bytecode."""
    rules = [(set(each.packages), matcher(each.uncompiled), matcher(each.keep)) for each in passes if each.uncompiled]

    def wanted(path: Path) -> bool:
        name = packages.name(path)
        owner = packages.owner(name)[0]
        return not any(owner in concerns and bare(name) and not kept(name) for concerns, bare, kept in rules)

    return wanted
