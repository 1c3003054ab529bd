"""The RECORDs of installed packages: which files each has, and their hashes."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .budget import Budget
from .ledger import package_key
from .names import file_name
from .step import StepError

LARGEST = 16 << 20  # bytes of a RECORD; torch's has 2 MB
MEMORY = 128 << 20  # bytes for the rows of all RECORDs; a row takes 400
_LINE = 20_000  # characters; a path has 4,096 bytes at most
_ROW = 320  # bytes of a row beside its text
Digest = tuple[str, str]  # algorithm and hexadecimal digits


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a RECORD."""

    name: str  # relative to site-packages, or with a leading `/` to the prefix, as in ledgers
    digest: Digest | None  # None: the RECORD has none
    package: str
    version: str

    @property
    def is_bytecode(self) -> bool:
        """Whether it is in a folder of bytecode. Some wheels have that (numpy 2.3). A build compiles
        it again; where its source is gone, Python imports nothing from this folder.
        """
        return self.name.endswith(".pyc") and "__pycache__" in self.name.split("/")


def recorded(site: Path) -> Iterator[Row]:
    """The rows of all RECORDs of a folder of packages. Raises StepError for what is none, or too many
    of them.
    """
    budget = Budget(MEMORY)
    for record in sorted(site.glob("*.dist-info/RECORD")):
        yield from rows_of(record, budget)


def rows_of(record: Path, budget: Budget | None = None) -> Iterator[Row]:
    """The rows of one RECORD. Raises as `recorded` does. `budget`: what is left for it."""
    left = budget or Budget(MEMORY)
    site = record.parents[1]
    package, version = named(record.parent.name)
    try:
        if record.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        with record.open(encoding="utf-8", newline="") as file:
            for line in file:
                if line.isspace():
                    continue
                if len(line) > _LINE:
                    raise ValueError(f"a line has more than {_LINE:,} characters")
                # A reader of the whole file would take a quote without an end for one row.
                row = next(csv.reader([line], strict=True))
                path, digest = row[:2]
                left.spend(_ROW + 2 * (len(path) + len(digest)))
                name = file_name(f"{site}/{path}", site)
                yield Row(name, _digest(digest), package, version)
    except (csv.Error, ValueError) as error:
        raise StepError(f"{record} cannot be read: {error}") from None


def named(folder: str) -> tuple[str, str]:
    """Package and version of a folder of metadata, `NAME-VERSION.dist-info`."""
    package, _, version = folder.removesuffix(".dist-info").rpartition("-")
    return package_key(package), version


def _digest(text: str) -> Digest | None:
    algorithm, _, value = text.partition("=")
    if not value:
        return None
    return algorithm, base64.urlsafe_b64decode(f"{value}==").hex()
