"""A database of made-up vulnerabilities for the real trivy, which can have no other without a network.

Trivy keeps its own in a file of bbolt: a tree of buckets, each in a page of leaves here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = 4096
HEADER = "<QHHI"  # id, kind, elements, further pages
META, LEAF, FREE = 4, 2, 16
FIRST = 3  # after two pages of meta data and the list of free ones

Tree = Mapping[str, Any]  # a bucket is a mapping, a value bytes

PIP = "pip::GitHub Security Advisory pip"
SOURCES = {
    PIP: {"ID": "ghsa", "Name": "GitHub Security Advisory pip", "URL": "https://example.com"},
    "debian 13": {"ID": "debian", "Name": "Debian Security Tracker", "URL": "https://example.com"},
}


def write_trivy_db(cache: Path, packages: Mapping[str, str], debian: Mapping[str, str]) -> None:
    """Each of these packages has a vulnerability that version 99 fixes: name -> its severity.

    `debian`: source packages.
    """
    levels = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
    details = {
        f"CVE-2099-{name}": {"Title": f"{name} is weak", "VendorSeverity": {"nvd": levels.index(s)}}
        for name, s in {**packages, **debian}.items()
    }
    fixed = {"PatchedVersions": ["99"], "VulnerableVersions": ["< 99"]}
    tree = {
        "data-source": {name: _json(each) for name, each in SOURCES.items()},
        PIP: {name: {f"CVE-2099-{name}": _json(fixed)} for name in packages},
        "debian 13": {
            name: {f"CVE-2099-{name}": _json({"FixedVersion": "99:1"})} for name in debian
        },
        "vulnerability": {name: _json(each) for name, each in details.items()},
    }
    folder = cache / "db"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trivy.db").write_bytes(_file(tree))
    times = {"NextUpdate": "2099-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z"}
    (folder / "metadata.json").write_text(
        json.dumps({"Version": 2, **times, "DownloadedAt": times["UpdatedAt"]})
    )


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _file(tree: Tree) -> bytes:
    pages: list[bytes] = []  # from FIRST on
    root = _bucket(tree, pages)
    end = FIRST + len(pages)
    head = b""
    for number in (0, 1):
        meta = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, FIRST - 1, end, number)
        head += _page(number, META, 0, meta + struct.pack("<Q", _fnv(meta)))
    return head + _page(FIRST - 1, FREE, 0, b"") + b"".join(pages)


def _bucket(tree: Tree, pages: list[bytes]) -> int:
    """Write a bucket after those that it holds; the number of its first page."""
    items = [
        (1, key.encode(), struct.pack("<QQ", _bucket(value, pages), 0))
        if isinstance(value, Mapping)
        else (0, key.encode(), value)
        for key, value in sorted(tree.items())
    ]
    heads, data = b"", b""
    for index, (kind, key, value) in enumerate(items):
        place = 16 * (len(items) - index) + len(data)  # from this head on
        heads += struct.pack("<IIII", kind, place, len(key), len(value))
        data += key + value
    first = FIRST + len(pages)
    whole = _page(first, LEAF, len(items), heads + data)
    pages += [whole[at : at + PAGE] for at in range(0, len(whole), PAGE)]
    return first


def _page(number: int, kind: int, elements: int, content: bytes) -> bytes:
    size = struct.calcsize(HEADER) + len(content)
    further = -(-size // PAGE) - 1
    head = struct.pack(HEADER, number, kind, elements, further)
    return (head + content).ljust((further + 1) * PAGE, b"\0")


def _fnv(content: bytes) -> int:
    found = 0xCBF29CE484222325
    for byte in content:
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found
