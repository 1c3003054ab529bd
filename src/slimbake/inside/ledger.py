"""The ledger of an installed wheel: the files that rules and `remove:` took or changed, and those that
its RECORD does not list.

It lies in the wheel's layer, so that `slimbake why` and a failed import can name the rule wherever
the image was pulled to. A wheel of which there is nothing to tell has none.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .budget import Budget

FOLDER = "ledger"  # below the prefix: PACKAGE-VERSION.json.gz
LARGEST = 16 << 20  # bytes of a ledger, unpacked; torch's has 2 MB


@dataclass(frozen=True, order=True, slots=True)
class LedgerEntry:
    """A file that a rule removed or changed.

    Paths are relative to site-packages, or begin with `/` at the prefix.
    """

    path: str
    before: int  # bytes
    after: int  # bytes; 0 = removed
    by: str  # the rule
    package: str
    version: str
    digest: str = ""  # the SHA-256 of what a changed file is now, in hexadecimal

    @property
    def requested(self) -> bool:
        """Whether a line of the manifest removed it: that is its name then, `FILE: PATH.remove: GLOB`."""
        return ".remove: " in self.by


def package_key(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub("[-_.]+", "-", package).lower()


@dataclass(frozen=True)
class Ledger:
    """What there is to tell of the files of one wheel."""

    package: str
    version: str
    entries: tuple[LedgerEntry, ...] = ()
    # name -> SHA-256 in hexadecimal, of files that its RECORD does not list, or has no hash of
    unlisted: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.package}-{self.version}.json.gz"


def ledger_bytes(ledger: Ledger) -> bytes:
    """The ledger as a file: JSON, compressed with gzip. For each rule there is a list of
    [path, size before, size after], and the new SHA-256 of a file that was changed and not removed.
    """
    rules: dict[str, list[list[Any]]] = {}
    for entry in sorted(ledger.entries):
        changed = [entry.digest] if entry.after else []
        rules.setdefault(entry.by, []).append([entry.path, entry.before, entry.after, *changed])
    content = {
        "package": ledger.package,
        "version": ledger.version,
        "rules": rules,
        "unlisted": dict(ledger.unlisted),
    }
    text = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return gzip.compress(text, mtime=0)


def read_ledger(content: bytes, budget: Budget) -> Ledger:
    """Read what `ledger_bytes` wrote. Raises ExhaustedError, what `json.loads` does, zlib.error, and
    what reading other JSON does.
    """
    # An image may hold anything: what unpacks to more is cut off, and then is no JSON.
    most = min(LARGEST, budget.left + 1)
    text = zlib.decompressobj(31).decompress(content, most)
    budget.spend_json(text)
    fields = json.loads(text)
    package, version = str(fields["package"]), str(fields["version"])
    entries = []
    for rule, files in fields["rules"].items():
        for path, before, after, *digest in files:
            entry = LedgerEntry(
                str(path), int(before), int(after), rule, package, version, *map(str, digest)
            )
            entries.append(entry)
    unlisted = {str(name): str(digest) for name, digest in fields["unlisted"].items()}
    return Ledger(package, version, tuple(entries), unlisted)


def ledgers(prefix: Path) -> Iterator[Ledger]:
    """The ledgers below a prefix. Raises as `read_ledger` does."""
    budget = Budget()
    for file in sorted(prefix.glob(f"{FOLDER}/*.json.gz")):
        budget.spend(file.stat().st_size)
        yield read_ledger(file.read_bytes(), budget)
