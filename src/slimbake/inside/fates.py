"""What became of the files of installed wheels: each row of each RECORD has one fate.

The file is on disk with the wheel's hash, or a rule or `remove:` changed or removed it and the ledger
says so. Anything else is a loss.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .ledger import LedgerEntry
from .names import path_of
from .records import Row

Fate = Literal["disk", "changed", "removed", "requested", "bytecode", "contested", "lost"]
Disk = Mapping[tuple[str, str], str]  # name and algorithm -> hexadecimal digits
Ledgers = Mapping[tuple[str, str], LedgerEntry]  # package and name -> what a rule did

LOST_FILES = "files of packages are lost"  # how the error begins that a layer's step ends with
LOST = "it is not in the image, and no rule lists it"
ALTERED = "its bytes are not the wheel's, and no rule lists it"

_TEXTS: Mapping[str, str] = {
    "disk": "on disk",
    "changed": "changed by rules",
    "removed": "removed by rules",
    "requested": "removed on request",
    "lost": "lost",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """A file that is not what the wheel installed, and that no rule explains."""

    name: str
    package: str
    version: str
    why: str

    def __str__(self) -> str:
        package = f"{self.package} {self.version}".rstrip()
        return f"{self.name} of {package}: {self.why}"


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of the files of some wheels."""

    files: Mapping[str, int]  # by fate
    losses: tuple[Loss, ...]

    def __str__(self) -> str:
        """In one line."""
        counted = {**self.files, "lost": len(self.losses)}
        parts = []
        for fate, text in _TEXTS.items():
            if counted.get(fate):
                parts.append(f"{counted[fate]:,} {text}")
        return f"{sum(self.files.values()):,} files: {', '.join(parts)}"


def fates(rows: Sequence[Row], disk: Disk, ledger: Ledgers) -> Fates:
    """Decide the fate of each row. Pure."""
    files: Counter[str] = Counter()
    losses = []
    # Files that are what some RECORD lists.
    whole = {row.name for row in rows if row.digest and row.digest[1] == _on_disk(row, disk)}
    for row in rows:
        entry = ledger.get((row.package, row.name))
        fate, why = _fate(row, disk, entry, row.name in whole)
        files[fate] += 1
        if why:
            losses.append(Loss(row.name, row.package, row.version, why))
    return Fates(dict(files), tuple(losses))


def _on_disk(row: Row, disk: Disk) -> str | None:
    return disk.get((row.name, row.digest[0] if row.digest else "sha256"))


def _fate(row: Row, disk: Disk, entry: LedgerEntry | None, whole: bool) -> tuple[Fate, str]:
    """The fate of a row, and why it is a loss. `whole`: the file is what some RECORD lists."""
    there = _on_disk(row, disk)
    if there is None:
        if entry and not entry.after:
            if entry.requested:
                return ("requested", "")
            return ("removed", "")
        if row.is_bytecode:
            return ("bytecode", "")
        return ("lost", LOST)
    if row.digest is None or there == row.digest[1]:
        return "disk", ""
    if entry and entry.after and disk.get((row.name, "sha256")) == entry.digest:
        return "changed", ""
    if row.is_bytecode:
        return "bytecode", ""
    # Two wheels have it: one of them was kept, and an image without rules has it so too.
    return ("contested", "") if whole else ("lost", ALTERED)


def digests(site: Path, rows: Sequence[Row], ledger: Ledgers) -> Disk:
    """The digests of the files that rows list. A file that a rule changed has its SHA-256, even where
    the RECORD has another hash.
    """
    wanted = set()
    for row in rows:
        wanted.add((row.name, row.digest[0] if row.digest else "sha256"))
        if (row.package, row.name) in ledger:
            wanted.add((row.name, "sha256"))

    def read(asked: tuple[str, str]) -> tuple[tuple[str, str], str] | None:
        name, algorithm = asked
        try:
            with path_of(name, site).open("rb", buffering=0) as file:
                return asked, hashlib.file_digest(file, algorithm).hexdigest()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(filter(None, pool.map(read, sorted(wanted))))
