"""Blocks that an earlier build has compressed are not compressed again."""

from __future__ import annotations

import lzma
import os
from pathlib import Path

import pytest

from slimbake.inside.cold import pack

SOURCES = {f"thing/m{n}.py": b"value = %d\n" % n * 120_000 for n in range(4)}
DISTS = dict.fromkeys(SOURCES, "thing-1.dist-info")


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "blocks"
    folder.mkdir()
    monkeypatch.setattr(pack, "BLOCKS", folder)
    return folder


def made() -> bytes:
    return pack.store_bytes(SOURCES, DISTS)


def refused(*_: object, **_named: object) -> bytes:
    raise AssertionError("this block was there")


def test_a_second_build_compresses_nothing(blocks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made()
    assert len([*blocks.iterdir()]) == 2 and not [*blocks.glob("*.part")]
    monkeypatch.setattr(lzma, "compress", refused)  # the workers are forks of this process
    assert made() == first
    with pytest.raises(AssertionError):
        pack.store_bytes({**SOURCES, "thing/m3.py": b"other = 1\n"}, DISTS)


@pytest.mark.parametrize("harm", ["", "no block", "other bytes", "two streams", "more"])
def test_a_block_that_holds_something_else_is_made_again(blocks: Path, harm: str) -> None:
    first = made()
    for file in blocks.iterdir():
        right = file.read_bytes()
        whole = lzma.decompress(right)
        wrong = {
            "other bytes": lzma.compress(b"other bytes"),
            "two streams": lzma.compress(whole[:9]) + lzma.compress(whole[9:]),
            "more": right + b"more",
        }
        file.write_bytes(wrong.get(harm, harm.encode()))
    assert made() == first
    assert all(file.read_bytes() in first for file in blocks.iterdir())


def test_without_a_cache_the_bytes_are_the_same(
    blocks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made()
    monkeypatch.setattr(pack, "BLOCKS", blocks / "nowhere")
    assert made() == first


def test_what_no_build_has_used_for_a_month_goes(blocks: Path) -> None:
    old, recent = blocks / "old", blocks / "recent"
    for file, days in ((old, 31), (recent, 29)):
        file.write_bytes(b"")
        then = file.stat().st_mtime - days * 24 * 3600
        os.utime(file, (then, then))
    made()
    assert not old.exists() and recent.exists()
