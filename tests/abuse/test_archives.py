"""Archives of sources that an index sends: the reader of what builds them ends, in few bytes and seconds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.layouts import tar

from slimbake.errors import SetupError
from slimbake.lock.wheelhouse.sources import requires

MB = 1 << 20
NAME = "a-1/pyproject.toml"
TEXT = b'[build-system]\nrequires = ["hatchling"]\n'
GOOD = tar({"a-1/x": b"x", NAME: TEXT})


def head(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a member that says that it has so many bytes."""
    info = tarfile.TarInfo("a-1/x")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def linked(kind: bytes, to: str) -> bytes:
    info = tarfile.TarInfo(NAME)
    info.type, info.linkname = kind, to
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def zipped(change: Callable[[bytearray, int], None], text: bytes = TEXT) -> bytes:
    """A ZIP archive whose bytes are changed; the place of its directory is given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, text)
    content = bytearray(out.getvalue())
    change(content, content.index(b"PK\1\2"))
    return bytes(content)


def encrypt(content: bytearray, at: int) -> None:
    content[6] |= 1
    content[at + 8] |= 1


def another_method(content: bytearray, at: int) -> None:
    content[8:10] = content[at + 10 : at + 12] = struct.pack("<H", 97)


HARMED: dict[str, Callable[[], bytes]] = {
    "gzip, of great size": lambda: gzip.compress(head(9 << 30) + bytes(60 * MB), 9),
    "bzip2, of great size": lambda: bz2.compress(head(9 << 30)) + 3 * bz2.compress(bytes(20 * MB)),
    "xz, of great size": lambda: lzma.compress(head(9 << 30)) + 3 * lzma.compress(bytes(20 * MB)),
    "attributes of great size": lambda: gzip.compress(head(2 << 30, b"x") + bytes(2 * MB)),
    "attributes of all": lambda: gzip.compress(head(2 << 30, b"g") + bytes(2 * MB)),
    "a long name": lambda: bz2.compress(head(8 << 30, b"L") + bytes(2 * MB)),
    "a long link": lambda: bz2.compress(head(8 << 30, b"K") + bytes(2 * MB)),
    "many files": lambda: gzip.compress(head(0) * 6_000, 1),
    "a sparse file": lambda: gzip.compress(head(1 << 40, b"S") + bytes(2 * MB)),
    "gzip that is cut": lambda: gzip.compress(GOOD)[:60],
    "gzip that is damaged": lambda: gzip.compress(GOOD)[:40] + bytes(99),
    "bzip2 that is cut": lambda: bz2.compress(GOOD)[:60],
    "bzip2 that is damaged": lambda: bz2.compress(GOOD)[:40] + bytes(99),
    "xz that is cut": lambda: lzma.compress(GOOD)[:60],
    "xz that is damaged": lambda: lzma.compress(GOOD)[:60] + bytes(99),
    "a dictionary of 3 GB": lambda: b"\xfd7zXZ\0" + bytes(99),
    "a ZIP with a password": lambda: zipped(encrypt),
    "a ZIP of another kind": lambda: zipped(another_method),
    "a ZIP that is no text": lambda: zipped(lambda *_: None, b"\xff\xfe"),
    "no text": lambda: gzip.compress(tar({NAME: b"\xff\xfe"})),
    "TOML in TOML": lambda: gzip.compress(tar({NAME: b"a = " + b"[" * 9999})),
    "no table": lambda: gzip.compress(tar({NAME: b"build-system = 5"})),
    "no list": lambda: gzip.compress(tar({NAME: b"[build-system]\nrequires = 5"})),
    "an option": lambda: gzip.compress(tar({NAME: TEXT.replace(b"hatchling", b"-r /etc/passwd")})),
    "a file of this machine": lambda: gzip.compress(
        tar({NAME: TEXT.replace(b"hatchling", b"a @ file:///etc/a-1-py3-none-any.whl")})
    ),
}
PLAIN: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(GOOD),
    "bzip2": lambda: bz2.compress(GOOD),
    "xz": lambda: lzma.compress(GOOD),
    "a tar": lambda: GOOD,
    "a ZIP": lambda: zipped(lambda *_: None),
}
# Neither is followed: then nothing says what builds them.
LINKS: dict[str, Callable[[], bytes]] = {
    "a link": lambda: linked(tarfile.SYMTYPE, "/etc/passwd"),
    "a link to itself": lambda: linked(tarfile.LNKTYPE, NAME),
}


@pytest.mark.parametrize("kind", HARMED)
def test_an_archive_that_is_harmed_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimbake.lock.wheelhouse.sources._UNPACKED", 32 * MB)
    monkeypatch.setattr("slimbake.lock.wheelhouse.sources._FILES", 5_000)
    archive = tmp_path / "a-1.tar.gz"
    archive.write_bytes(HARMED[kind]())
    assert archive.stat().st_size < MB
    with pytest.raises(SetupError, match=r"a-1\.tar\.gz"):
        requires(archive)


@pytest.mark.parametrize("kind", [*PLAIN, *LINKS])
def test_an_archive_says_what_builds_it(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / "a-1.tar.gz"
    archive.write_bytes({**PLAIN, **LINKS}[kind]())
    assert ("hatchling" in requires(archive)) == (kind in PLAIN)
