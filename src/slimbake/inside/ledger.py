"""The ledger: what passes removed or changed in a layer, file by file. Standard library only.

It lies in the layer itself, so that `slimbake why` and a failed import can tell, wherever the image was pulled to.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, order=True)
class Entry:
    """A file that a pass removed or changed. Paths are relative to site-packages, or begin with `/` at the prefix."""

    path: str
    before: int  # bytes
    after: int  # bytes; 0 = it is gone
    by: str  # the pass
    package: str
    version: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def left_out(wheels: Iterable[Path], by: Mapping[str, str]) -> Iterator[Entry]:
    """What would have been installed of the packages that are not. `by`: such a package -> the pass."""
    for wheel in wheels:
        package, version = wheel.name.split("-")[:2]
        name = re.sub("[-_.]+", "-", package).lower()
        if name in by:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    if not member.is_dir():
                        yield Entry(member.filename, member.file_size, 0, by[name], name, version)


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
        Entry(path, before, after, by, whose.partition(" ")[0], whose.partition(" ")[2])
        for by, packages in told.items()
        for whose, files in packages.items()
        for path, before, after in files
    ]
