"""Applies passes to installed packages and keeps the ledger of it. Standard library only.

In a build it runs in the step that installs, so that what is removed never lies in a layer; in a trial
(`trial.py`), on the writable layer of a container of the image without passes. Both leave the same files.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

METADATA = re.compile(r"[^/]+\.dist-info/.+")
LICENCE = re.compile(r"(.*/)?(licen[cs]es?|copying|copyright|notice|third.?party.?notices?)([.-][^/]*)?", re.IGNORECASE)
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


@dataclass(frozen=True, order=True)
class Entry:
    """A file that a pass removed or changed. Paths are relative to site-packages, or begin with `/` at the prefix."""

    path: str
    before: int  # bytes
    after: int  # bytes; 0 = it is gone
    by: str  # the pass
    package: str
    version: str


def read(text: str) -> tuple[Pass, ...]:
    """The passes of a layer, as slimbake renders them: JSON."""
    told = json.loads(text)["passes"]
    return tuple(Pass(**{k: tuple(v) if isinstance(v, list) else v for k, v in each.items()}) for each in told)


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path matches any of these globs: `*` and `?` stay within a folder, `**` does not."""
    patterns = [_regex(glob) for glob in globs]
    if not patterns:
        return lambda path: False
    whole = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return lambda path: whole.fullmatch(path) is not None


def _regex(glob: str) -> str:
    parts = re.split(r"(\*\*/|/\*\*$|^\*\*$|\*|\?)", glob)
    special = {"**/": "(?:.*/)?", "/**": "/.+", "**": ".+", "*": "[^/]*", "?": "[^/]"}
    return "".join(special.get(part, re.escape(part)) for part in parts)


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


def apply(packages: Packages, passes: Iterable[Pass], tools: Path, compiled: bool) -> list[Entry]:
    """Apply passes to a layer's files; what was removed or changed.

    `compiled`: the layer has its bytecode already, so that of `uncompiled` modules, and of packages that are dropped,
    is removed. Raises PassError for a pass that would remove a licence or metadata.
    """
    ledger: list[Entry] = []
    for each in passes:
        ledger += _removed(packages, each, compiled)
    for each in passes:
        if each.strip:
            ledger += _stripped(packages, each, tools)
    _trim_records(packages, {entry.path for entry in ledger if not entry.after})
    return ledger


def _removed(packages: Packages, each: Pass, compiled: bool) -> Iterator[Entry]:
    concerns, kept = set(each.packages), matcher(each.keep)
    removes = matcher(each.remove)
    bare = matcher(each.uncompiled) if compiled else matcher(())
    dropped = set(each.drop) & concerns if compiled else set()
    gone: list[str] = []
    for name in packages.files:
        module = source(name)
        owner = packages.owner(name)[0]
        if owner in dropped:
            gone.append(name)
        elif owner not in concerns or kept(module):
            continue
        elif removes(module) or removes(name) or (module != name and bare(module)):
            gone.append(name)
    taken = set(gone)
    safe = dropped
    if bad := sorted(
        n for n in gone if packages.owner(n)[0] not in safe and (METADATA.fullmatch(n) or LICENCE.fullmatch(n))
    ):
        raise PassError(f"{each.name} would remove metadata or a licence: {', '.join(bad[:5])}; `keep:` is for those")
    for name in sorted(taken):
        path = packages.files.pop(name)
        yield Entry(name, path.lstat().st_size, 0, each.name, *packages.owner(name))
        path.unlink()
        _remove_empty(path.parent, packages.site)


def _remove_empty(folder: Path, site: Path) -> None:
    while folder != site and site in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _stripped(packages: Packages, each: Pass, tools: Path) -> list[Entry]:
    concerns, kept = set(each.packages), matcher(each.keep)
    wanted = [
        (name, path)
        for name, path in sorted(packages.files.items())
        if packages.owner(name)[0] in concerns and not kept(name) and not path.is_symlink() and _is_elf(path)
    ]
    command = [*_program(tools, "strip"), _STRIP[each.strip]]

    def strip(item: tuple[str, Path]) -> Entry | None:
        name, path = item
        before, made = path.stat(), path.with_name(f".{path.name}.stripped")
        done = subprocess.run([*command, "-o", str(made), str(path)], capture_output=True, text=True, check=False)
        if done.returncode or made.stat().st_size >= before.st_size:
            made.unlink(missing_ok=True)
            if done.returncode:
                print(f"slimbake: {name} cannot be stripped: {done.stderr.strip()}", file=sys.stderr)
            return None
        made.chmod(before.st_mode)
        made.replace(path)
        return Entry(name, before.st_size, path.stat().st_size, each.name, *packages.owner(name))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [entry for entry in pool.map(strip, wanted) if entry]


def _program(tools: Path, name: str) -> list[str]:
    """A program of another root, run with that root's own loader and libraries."""
    loaders = [
        *tools.glob("lib64/ld-linux-*.so.*"),
        *tools.glob("lib/ld-linux-*.so.*"),
        *tools.glob("usr/lib*/ld-linux-*"),
    ]
    program = tools / "usr" / "bin" / name
    if not loaders or not program.exists():
        raise PassError(f"the external `tools` has no {name}: it needs Debian's binutils")
    libraries = sorted({str(path.parent) for path in tools.glob("usr/lib/*/lib*.so*")})
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


def unwanted(passes: Iterable[Pass]) -> frozenset[str]:
    """The packages of a layer that are not installed."""
    return frozenset(name for each in passes for name in each.drop if name in each.packages)


def left_out(wheels: Iterable[Path], passes: Iterable[Pass]) -> Iterator[Entry]:
    """What would have been installed of the packages that are not, as their wheels' records say."""
    by = {name: each.name for each in passes for name in each.drop if name in each.packages}
    for wheel in wheels:
        package, version = wheel.name.split("-")[:2]
        name = re.sub("[-_.]+", "-", package).lower()
        if name in by:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    if not member.is_dir():
                        yield Entry(member.filename, member.file_size, 0, by[name], name, version)


def compiles(packages: Packages, passes: Iterable[Pass]) -> Callable[[Path], bool]:
    """Whether a module gets bytecode."""
    rules = [(set(each.packages), matcher(each.uncompiled), matcher(each.keep)) for each in passes if each.uncompiled]

    def wanted(path: Path) -> bool:
        name = packages.name(path)
        owner = packages.owner(name)[0]
        return not any(owner in concerns and bare(name) and not kept(name) for concerns, bare, kept in rules)

    return wanted


def ledger_bytes(entries: Iterable[Entry]) -> bytes:
    """The ledger as a file: for each pass and package the files with their bytes before and after."""
    told: dict[str, dict[str, list[list[object]]]] = {}
    for entry in sorted(entries):
        files = told.setdefault(entry.by, {}).setdefault(f"{entry.package} {entry.version}", [])
        files.append([entry.path, entry.before, entry.after])
    text = json.dumps(told, separators=(",", ":"), sort_keys=True).encode()
    return gzip.compress(text, mtime=0)


def ledger(content: bytes) -> list[Entry]:
    """Read what `ledger_bytes` wrote."""
    told: Mapping[str, Mapping[str, list[tuple[str, int, int]]]] = json.loads(gzip.decompress(content))
    return [
        Entry(path, before, after, by, *whose.split(" ", 1))  # type: ignore[arg-type]
        for by, packages in told.items()
        for whose, files in packages.items()
        for path, before, after in files
    ]
