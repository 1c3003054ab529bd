"""What is in a layer: bytes by owner and directory, and what rules took."""

from __future__ import annotations

import csv
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

from slimbake.errors import SetupError
from slimbake.host.typed import WRONG
from slimbake.images.detail import (
    Contents,
    Owner,
    Part,
    Taken,
    is_record,
    owner,
    owners,
)
from slimbake.images.streams import KEPT, ROW, Digested, members, plain, zstd
from slimbake.inside.ledger import LARGEST, LedgerEntry, read_ledger

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
    files: list[tuple[str, int]] = []
    records: dict[str, str] = {}
    ledger: list[LedgerEntry] = []
    for member, content in members:
        path = clean(member.name)
        whole = is_record(path) or path.startswith(LEDGER)
        kept = _within(kept + ROW + len(path) + whole * member.size)
        if content is None or path.rpartition("/")[2].startswith(_WHITEOUT):
            continue
        files.append((path, member.size))
        if is_record(path):
            text = content.read()
            kept = _within(kept + ROW * text.count(b"\n"))
            records[path] = text.decode("utf-8", errors="replace")
        elif path.startswith(LEDGER):
            kept = _within(kept + LARGEST)
            ledger += ledger_entries(content.read())
    return Contents(
        uncompressed=sum(size for _, size in files),
        files=len(files),
        parts=_parts(files, owners(records)),
        taken=_taken(ledger),
    )


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


def _parts(files: Iterable[tuple[str, int]], owned: Mapping[str, Owner]) -> tuple[Part, ...]:
    sums: dict[Owner, tuple[int, int]] = {}
    for path, size in files:
        package = owner(path, owned)
        total, count = sums.get(package, (0, 0))
        sums[package] = (total + size, count + 1)
    return tuple(Part(package, *amounts) for package, amounts in sorted(sums.items()))
