"""What is in a layer: bytes by owner and directory, whiteouts, and a digest of each file that is
worth one.
"""

from __future__ import annotations

import hashlib
import itertools
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import IO, Any

from slimbake.images import streams
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
from slimbake.images.streams import Tee, chunks, members
from slimbake.inside.ledger import LedgerEntry, read_ledger

# bytes; smaller files (licences, empty __init__.py) are the same in many packages by nature
LARGE = 4000
LEDGER = "opt/slimbake/ledger/"  # in a layer: what rules took
_WHITEOUT = ".wh."
_RECORD_LIMIT = 32_000_000  # bytes


def layer_contents(members: Iterable[tuple[tarfile.TarInfo, IO[bytes] | None]]) -> Contents:
    """Read a layer once. Hard links hold no bytes of their own."""
    files: list[tuple[str, int, str]] = []
    records: dict[str, str] = {}
    whiteouts = []
    ledger: list[LedgerEntry] = []
    for member, content in members:
        path = clean(member.name)
        if path.rpartition("/")[2].startswith(_WHITEOUT):
            whiteouts.append(path)
        elif content is not None:
            digest = ""
            if is_record(path) and member.size <= _RECORD_LIMIT:
                text = content.read()
                records[path] = text.decode("utf-8", errors="replace")
                digest = hashlib.sha256(text).hexdigest() if member.size > LARGE else ""
            elif path.startswith(LEDGER):
                ledger += read_ledger(content.read()).entries
            elif member.size > LARGE:
                digest = _digest(content)
            files.append((path, member.size, digest))
    found = _sorted_out(files, owners(records), tuple(whiteouts))
    return replace(found, taken=_taken(ledger))


def _taken(ledger: Iterable[LedgerEntry]) -> tuple[Taken, ...]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in ledger:
        size, files = sums.get((entry.by, entry.package), (0, 0))
        sums[entry.by, entry.package] = (size + entry.before - entry.after, files + 1)
    return tuple(Taken(*key, *each) for key, each in sorted(sums.items()))


def clean(name: str) -> str:
    """A member's path without what writers of tars put before it."""
    return name.removeprefix("./").lstrip("/")


def top(path: str) -> str:
    """The top directory of a path; `/` for a file that lies in none."""
    first, slash, _ = path.partition("/")
    return f"/{first}" if slash else "/"


def _digest(content: IO[bytes]) -> str:
    found = hashlib.sha256()
    for piece in chunks(content):
        found.update(piece)
    return found.hexdigest()


def _sorted_out(
    files: list[tuple[str, int, str]], known: Mapping[str, Owner], whiteouts: tuple[str, ...]
) -> Contents:
    sums: dict[tuple[str, Owner], tuple[int, int]] = {}
    large = []
    for path, size, digest in files:
        whose = owner(path, known)
        key = (top(path), whose)
        total, count = sums.get(key, (0, 0))
        sums[key] = (total + size, count + 1)
        if digest:
            large.append(File(path, size, f"sha256:{digest}"))
    parts = tuple(
        Part(directory, whose, *each) for (directory, whose), each in sorted(sums.items())
    )
    return Contents(sum(size for _, size, _ in files), len(files), whiteouts, parts, tuple(large))


# What layers weigh as gzip and as zstd, found out by compressing them: a store holds one of the
# two at most.

GZIP = 6  # Docker's own
ZSTD = 7  # the bake file's, unless the manifest says another

Run = tuple[str, Owner]  # a top directory, and whose its files are


def _zstd(level: int) -> Any:
    keys = streams.zstd.CompressionParameter
    options = {int(keys.compression_level): level, int(keys.checksum_flag): 1}
    return streams.zstd.ZstdCompressor(options=options)


class Weight:
    """Counts what a stream comes to compressed, and keeps none of it."""

    def __init__(self, kind: str, level: int) -> None:
        self._total = 0
        made: Any = zlib.compressobj(level, wbits=31) if kind == "gzip" else _zstd(level)
        self._compressor = made

    def write(self, piece: bytes) -> None:
        """The stream goes on with these bytes."""
        self._total += len(self._compressor.compress(piece))

    def end(self) -> int:
        """The stream is complete: its bytes."""
        return self._total + len(self._compressor.flush())


class Runs:
    """Weighs the unbroken runs of files that belong together, each as a tar of its own."""

    def __init__(self) -> None:
        self.sums: dict[Run, tuple[int, int]] = {}  # gzip, zstd
        self._run: Run | None = None
        self._weights: tuple[Weight, ...] = ()

    def file(self, run: Run, header: bytes, content: Iterable[bytes], size: int) -> None:
        """A file of `size` bytes follows."""
        if run != self._run:
            self.end()
            self._run, self._weights = run, (Weight("gzip", GZIP), Weight("zstd", ZSTD))
        for piece in itertools.chain((header,), content, (bytes(-size % 512),)):
            for weight in self._weights:
                weight.write(piece)

    def end(self) -> None:
        """The run is complete."""
        if self._run is not None:
            gzip, zstd = self.sums.get(self._run, (0, 0))
            self.sums[self._run] = (gzip + self._weights[0].end(), zstd + self._weights[1].end())
        self._run = None


def compressed(layer: Callable[[], AbstractContextManager[Tee]], known: Contents) -> Contents:
    """A layer's contents with the bytes of its tar, and of each part of it, as gzip and zstd.

    A part is compressed by itself, as a tar for each unbroken run of its files, so that parts add
    up to packages and directories; together they weigh a little more than the layer. Levels: GZIP
    and ZSTD. Reads the layer twice.
    """
    with layer() as tar:
        whose = owners(
            {
                clean(member.name): content.read().decode("utf-8", errors="replace")
                for member, content in members(tar)
                if content is not None and is_record(clean(member.name))
            }
        )
    gzip, zstd, runs = Weight("gzip", GZIP), Weight("zstd", ZSTD), Runs()
    with layer() as tar:
        for member, content in members(Tee(tar, gzip.write, zstd.write)):
            if content is not None:
                path = clean(member.name)
                runs.file(
                    (top(path), owner(path, whose)), member.tobuf(), chunks(content), member.size
                )
        runs.end()
    parts = (
        replace(part, gzip=sums[0], zstd=sums[1])
        for part in known.parts
        for sums in [runs.sums[part.directory, part.owner]]
    )
    return replace(known, parts=tuple(parts), gzip=gzip.end(), zstd=zstd.end())


# both sides of the comparison have the same: a stronger one takes five times as long and tells the
# same
LEVEL = 3
_WHOLE = 1 << 22  # bytes; what is larger has to have a digest already, so that it need not be held
