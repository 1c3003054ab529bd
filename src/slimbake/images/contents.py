"""What is in a layer: bytes by owner and directory, whiteouts, and a digest of each file that is
worth one.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from typing import IO

from slimbake.images.detail import Contents, File, Part
from slimbake.images.owners import Owner, is_record, owner, owners
from slimbake.images.streams import chunks

# bytes; smaller files (licences, empty __init__.py) are the same in many packages by nature
LARGE = 4000
_WHITEOUT = ".wh."
_RECORD_LIMIT = 32_000_000  # bytes


def layer_contents(members: Iterable[tuple[tarfile.TarInfo, IO[bytes] | None]]) -> Contents:
    """Read a layer once. Hard links hold no bytes of their own."""
    files: list[tuple[str, int, str]] = []
    records: dict[str, str] = {}
    whiteouts = []
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
            elif member.size > LARGE:
                digest = _digest(content)
            files.append((path, member.size, digest))
    return _sorted_out(files, owners(records), tuple(whiteouts))


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
