"""What is in a layer: bytes by owner and directory, and what rules took."""

from __future__ import annotations

import csv
import sys
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
from slimbake.images.streams import Digested, Timed, members, plain, zstd
from slimbake.inside.budget import Budget
from slimbake.inside.ledger import LedgerEntry, read_ledger

LEDGER = "opt/slimbake/ledger/"  # in a layer: what rules took
_WHITEOUT = ".wh."
_BYTES = range(1 << 50)  # that a file may have
# Bytes of memory, at most, beside its name: a file of a layer, a row of a RECORD, an owner's part.
FILE = 128
ROW = 256
PART = 1024

UNREADABLE = (csv.Error, zlib.error, *WRONG)  # what readers of files raise for other files


def read_layer(blob: str, stored: Any, budget: Budget) -> tuple[str, Contents]:
    """The digest of a layer's tar, and what is in it, of a blob that `stored` reads.

    Raises SetupError where it cannot be read, or takes more than is left of `budget`.
    """
    before = budget.left
    try:
        # Of what is compressed, any amount may come to nothing, and any amount of nothing.
        tar = Digested(Timed(plain(Timed(stored, budget)), budget))
        contents = layer_contents(members(tar), budget)
        digest = tar.digest()
        budget.left = before
        for what in (*contents.parts, *contents.taken):
            budget.spend(PART + sys.getsizeof(what))
    except (zstd.ZstdError, tarfile.TarError, EOFError, OSError, *UNREADABLE) as error:
        raise SetupError(f"the layer {blob} cannot be read: {error}") from None
    return digest, contents


def layer_contents(
    members: Iterable[tuple[tarfile.TarInfo, IO[bytes] | None]], budget: Budget
) -> Contents:
    """Read a layer once. Hard links hold no bytes of their own. Raises as UNREADABLE has it, where it
    takes more than is left of `budget`, too.
    """
    files: list[tuple[str, int]] = []
    records: dict[str, str] = {}
    ledger: list[LedgerEntry] = []
    for member, content in members:
        path = clean(member.name)
        budget.spend(FILE + sys.getsizeof(path))
        if content is None or path.rpartition("/")[2].startswith(_WHITEOUT):
            continue
        files.append((path, member.size))
        if is_record(path):
            # While it is decoded, each byte may become four, and is there, too.
            before = budget.left
            budget.spend(5 * member.size)
            text = content.read().decode("utf-8", errors="replace")
            budget.left = before
            # Each row is a file's path below the folder that the record is for.
            rows = text.count("\n") + 1
            budget.spend(2 * sys.getsizeof(text) + rows * (ROW + sys.getsizeof(path)))
            records[path] = text
        elif path.startswith(LEDGER):
            budget.spend(member.size)
            ledger += ledger_entries(content.read(), budget)
    return Contents(
        uncompressed=sum(size for _, size in files),
        files=len(files),
        parts=_parts(files, owners(records), budget),
        taken=_taken(ledger),
    )


def ledger_entries(content: bytes, budget: Budget) -> tuple[LedgerEntry, ...]:
    """What rules took or changed, as the file of a ledger says. Raises as UNREADABLE has it."""
    entries = read_ledger(content, budget).entries
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


def _parts(
    files: Iterable[tuple[str, int]], owned: Mapping[str, Owner], budget: Budget
) -> tuple[Part, ...]:
    sums: dict[Owner, tuple[int, int]] = {}
    for path, size in files:
        package = owner(path, owned)
        if package not in sums:
            budget.spend(PART + sys.getsizeof(package.name))
        total, count = sums.get(package, (0, 0))
        sums[package] = (total + size, count + 1)
    return tuple(Part(package, *amounts) for package, amounts in sorted(sums.items()))
