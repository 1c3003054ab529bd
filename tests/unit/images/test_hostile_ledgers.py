"""Ledgers that no build of slimbake writes: a reader on this machine ends soon, and says which it was."""

import gzip
import io
import json
import zlib

import pytest
from tests.unit.layouts import tar

from slimbake.errors import SetupError
from slimbake.report.why import read_ledgers


def _packed(value: object) -> bytes:
    return gzip.compress(json.dumps(value).encode())


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b'{"a": "')
    return head + b"".join(packer.compress(bytes(1 << 20)) for _ in range(size)) + packer.flush()


def _fields(**said: object) -> bytes:
    """A ledger of one file, with other fields."""
    good = {"package": "a", "version": "1", "rules": {"rule": [["a.py", 1, 0]]}, "unlisted": {}}
    return _packed(good | said)


LEDGERS = {
    "nothing": b"",
    "no gzip": b"{}",
    "cut off": _fields()[:20],
    "unpacks to 300 MB": _bomb(300),
    "a list": _packed([]),
    "no fields": _packed({}),
    "a row that is too short": _fields(rules={"rule": [["a.py"]]}),
    "a row that is too long": _fields(rules={"rule": [["a.py", 1, 0, "d", "e"]]}),
    "a number that is none": _fields(rules={"rule": [["a.py", "x", 0]]}),
    "a number that is nothing": _fields(rules={"rule": [["a.py", None, 0]]}),
    "rules that are a list": _fields(rules=[]),
    "files that are a number": _fields(rules={"rule": 7}),
    "unlisted files that are a number": _fields(unlisted=7),
    "nested without end": gzip.compress(b"[" * 1_000_000),
}


@pytest.mark.parametrize("kind", LEDGERS)
def test_a_ledger_that_is_none_is_named(kind: str) -> None:
    with pytest.raises(SetupError, match="the ledger web of the image cannot be read"):
        read_ledgers(io.BytesIO(tar({"ledger/web": LEDGERS[kind]})))
