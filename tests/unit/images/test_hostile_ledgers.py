"""Ledgers that no build of slimbake writes: a reader on this machine ends soon, and says which it was."""

import gzip
import json
import zlib

import pytest

from slimbake.errors import SetupError
from slimbake.report.why import _ledger


def _packed(value: object) -> bytes:
    return gzip.compress(json.dumps(value).encode())


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b'{"a": "')
    return head + b"".join(packer.compress(bytes(1 << 20)) for _ in range(size)) + packer.flush()


LEDGERS = {
    "nothing": b"",
    "no gzip": b"{}",
    "cut off": _packed({"rule": {"a 1": [["a.py", 1, 0]]}})[:20],
    "unpacks to 300 MB": _bomb(300),
    "a list": _packed([]),
    "a row that is too short": _packed({"rule": {"a 1": [["a.py"]]}}),
    "a row that is too long": _packed({"rule": {"a 1": [["a.py", 1, 0, "d", "e"]]}}),
    "a number that is none": _packed({"rule": {"a 1": [["a.py", "x", 0]]}}),
    "a number that is nothing": _packed({"rule": {"a 1": [["a.py", None, 0]]}}),
    "a package without a version": _packed({"rule": {"a": [["a.py", 1, 0]]}}),
    "files that are a number": _packed({"rule": {"a 1": 7}}),
    "nested without end": gzip.compress(b"[" * 1_000_000),
}


@pytest.mark.parametrize("kind", LEDGERS)
def test_a_ledger_that_is_none_is_named(kind: str) -> None:
    with pytest.raises(SetupError, match="the ledger web of the image cannot be read"):
        _ledger("web", LEDGERS[kind])
