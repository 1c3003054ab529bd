"""What is in a layer: bytes by owner and directory, whiteouts, and a digest of each file that is
worth one.
"""

from __future__ import annotations

import csv
import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import IO, Any

from slimbake.errors import SetupError
from slimbake.host.typed import WRONG
from slimbake.images.detail import (
    Contents,
    File,
    Owner,
    Part,
    Taken,
    is_record,
    owner,
    owners,
)
from slimbake.images.streams import KEPT, ROW, Digested, members, plain, zstd
from slimbake.inside.ledger import LARGEST, LedgerEntry, read_ledger

# bytes; smaller files (licences, empty __init__.py) are the same in many packages by nature
LARGE = 4000
LEDGER = "opt/slimbake/ledger/"  # in a layer: what rules took
_WHITEOUT = ".wh."
_BYTES = range(1 << 50)  # that a file may have


UNREADABLE = (csv.Error, zlib.error, *WRONG)  # what readers of files raise for other files


def read_layer(blob: str, stored: Any) -> tuple[str, Contents]:
    """The digest of a layer's tar, and what is in it, of a blob that `stored` reads.

    Raises SetupError where it cannot be read.
    """
    try:
        tar = Digested(plain(stored))
        contents = layer_contents(members(tar))
        return tar.digest(), contents
    except (zstd.ZstdError, tarfile.TarError, EOFError, OSError, *UNREADABLE) as error:
        raise SetupError(f"the layer {blob} cannot be read: {error}") from None


def layer_contents(members: Iterable[tuple[tarfile.TarInfo, IO[bytes] | None]]) -> Contents:
    """Read a layer once. Hard links hold no bytes of their own. Raises ReadError where it would
    need more memory than KEPT, and as UNREADABLE has it.
    """
    kept = 0
    files: list[tuple[str, int, str]] = []
    records: dict[str, str] = {}
    whiteouts = []
    ledger: list[LedgerEntry] = []
    for member, content in members:
        path = clean(member.name)
        whole = is_record(path) or path.startswith(LEDGER)
        kept = _within(kept + ROW + len(path) + whole * member.size)
        if path.rpartition("/")[2].startswith(_WHITEOUT):
            whiteouts.append(path)
        elif content is not None:
            digest = ""
            if is_record(path):
                text = content.read()
                kept = _within(kept + ROW * text.count(b"\n"))
                records[path] = text.decode("utf-8", errors="replace")
                digest = hashlib.sha256(text).hexdigest() if member.size > LARGE else ""
            elif path.startswith(LEDGER):
                kept = _within(kept + LARGEST)
                ledger += ledger_entries(content.read())
            elif member.size > LARGE:
                digest = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
            files.append((path, member.size, digest))
    return replace(_sorted_out(files, owners(records), tuple(whiteouts)), taken=_taken(ledger))


def _within(kept: int) -> int:
    if kept > KEPT:
        raise tarfile.ReadError("its names, RECORDs and ledgers are too many, or too long")
    return kept


def ledger_entries(content: bytes) -> tuple[LedgerEntry, ...]:
    """What rules took or changed, as the file of a ledger says. Raises as UNREADABLE has it."""
    entries = read_ledger(content).entries
    for entry in entries:
        if entry.before not in _BYTES or entry.after not in _BYTES or type(entry.digest) is not str:
            raise ValueError(f"a row of {entry.path[:80]} has other values")
    return entries


def _taken(ledger: Iterable[LedgerEntry]) -> tuple[Taken, ...]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in ledger:
        size, files = sums.get((entry.by, entry.package), (0, 0))
        sums[entry.by, entry.package] = (size + entry.before - entry.after, files + 1)
    return tuple(Taken(*key, *amounts) for key, amounts in sorted(sums.items()))


def clean(name: str) -> str:
    """A member's path without what writers of tars put before it."""
    return name.removeprefix("./").lstrip("/")


def top(path: str) -> str:
    """The top directory of a path; `/` for a file that lies in none."""
    first, slash, _ = path.partition("/")
    return f"/{first}" if slash else "/"


def _sorted_out(
    files: list[tuple[str, int, str]], owned: Mapping[str, Owner], whiteouts: tuple[str, ...]
) -> Contents:
    sums: dict[tuple[str, Owner], tuple[int, int]] = {}
    large = []
    for path, size, digest in files:
        package = owner(path, owned)
        key = (top(path), package)
        total, count = sums.get(key, (0, 0))
        sums[key] = (total + size, count + 1)
        if digest:
            large.append(File(path, size, f"sha256:{digest}"))
    parts = tuple(
        Part(directory, package, *amounts) for (directory, package), amounts in sorted(sums.items())
    )
    return Contents(sum(size for _, size, _ in files), len(files), whiteouts, parts, tuple(large))
