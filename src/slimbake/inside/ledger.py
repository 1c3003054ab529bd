"""The ledger: the files that passes removed or changed in a layer.

It lies in the layer itself, so that `slimbake why` and a failed import can name the pass wherever
the image was pulled to.
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
class LedgerEntry:
    """A file that a pass removed or changed.

    Paths are relative to site-packages, or begin with `/` at the prefix.
    """

    path: str
    before: int  # bytes
    after: int  # bytes; 0 = removed
    by: str  # the pass
    package: str
    version: str
    digest: str = ""  # the SHA-256 of what a changed file is now, in hexadecimal

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def package_key(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub("[-_.]+", "-", package).lower()


def left_out(wheels: Iterable[Path], by: Mapping[str, str]) -> Iterator[LedgerEntry]:
    """The files of packages that were not installed. `by`: such a package -> the pass."""
    for wheel in wheels:
        package, version = wheel.name.split("-")[:2]
        name = package_key(package)
        if name in by:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    if not member.is_dir():
                        yield LedgerEntry(
                            member.filename, member.file_size, 0, by[name], name, version
                        )


def ledger_bytes(entries: Iterable[LedgerEntry]) -> bytes:
    """The ledger as a file: by pass and package, the files with their bytes before and after.

    A file that was changed has its new SHA-256, too.
    """
    passes: dict[str, dict[str, list[list[object]]]] = {}
    for entry in sorted(entries):
        packages = passes.setdefault(entry.by, {})
        files = packages.setdefault(f"{entry.package} {entry.version}", [])
        changed = [entry.digest] if entry.after else []
        files.append([entry.path, entry.before, entry.after, *changed])
    text = json.dumps(passes, separators=(",", ":"), sort_keys=True).encode()
    return gzip.compress(text, mtime=0)


def ledger_entries(content: bytes) -> list[LedgerEntry]:
    """Read what `ledger_bytes` wrote."""
    passes: Mapping[str, Mapping[str, list[list[Any]]]] = json.loads(gzip.decompress(content))
    return [
        LedgerEntry(path, before, after, by, *owner.split(" ", 1), *digest)
        for by, packages in passes.items()
        for owner, files in packages.items()
        for path, before, after, *digest in files
    ]
