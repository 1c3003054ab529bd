"""The ledger: the files that rules and `remove:` took or changed in a layer.

It lies in the layer itself, so that `slimbake why` and a failed import can name the rule wherever
the image was pulled to.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

LARGEST = 16 << 20  # bytes of a ledger, unpacked; of a layer with torch it has 2 MB


@dataclass(frozen=True, order=True)
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
    """What rules did to one layer."""

    entries: tuple[LedgerEntry, ...] = ()
    sought: tuple[str, ...] = ()  # suffixes of files that code of the layer looks for
    without: tuple[
        str, ...
    ] = ()  # suffixes of files that were removed since no code looked for them


def ledger_bytes(ledger: Ledger) -> bytes:
    """The ledger as a file: by rule and package, the files with their bytes before and after.

    A file that was changed has its new SHA-256, too. The key "" has what is no file.
    """
    rules: dict[str, dict[str, Any]] = {}
    if ledger.sought or ledger.without:
        rules[""] = {"sought": sorted(ledger.sought), "without": sorted(ledger.without)}
    for entry in sorted(ledger.entries):
        packages = rules.setdefault(entry.by, {})
        files = packages.setdefault(f"{entry.package} {entry.version}", [])
        changed = [entry.digest] if entry.after else []
        files.append([entry.path, entry.before, entry.after, *changed])
    text = json.dumps(rules, separators=(",", ":"), sort_keys=True).encode()
    return gzip.compress(text, mtime=0)


def read_ledger(content: bytes) -> Ledger:
    """Read what `ledger_bytes` wrote. Raises what `json.loads` does, and zlib.error."""
    # An image may hold anything: what unpacks to more is cut off, and then is no JSON.
    rules: dict[str, dict[str, list[Any]]] = json.loads(
        zlib.decompressobj(31).decompress(content, LARGEST)
    )
    layer = rules.pop("", {})
    return Ledger(
        tuple(
            LedgerEntry(str(path), int(before), int(after), by, *owner.split(" ", 1), *digest)
            for by, packages in rules.items()
            for owner, files in packages.items()
            for path, before, after, *digest in files
        ),
        tuple(layer.get("sought", ())),
        tuple(layer.get("without", ())),
    )
