"""Symbols: what may go out of a library, and that nothing that is loaded changes."""

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.inside.elves import SEGMENT, elf, mapped

from slimbake.inside.elf import is_elf, strip_elf

FULL = elf(debug=b"d" * 900, symbols=b"s" * 240, own=b"mine")


def stripped(tmp_path: Path, content: bytes) -> bytes | None:
    source, target = tmp_path / "lib.so", tmp_path / "made.so"
    source.write_bytes(content)
    return target.read_bytes() if strip_elf(source, target) else None


def test_symbols_go_and_all_else_stays(tmp_path: Path) -> None:
    made = stripped(tmp_path, FULL)
    gone = 900 + 240 + 6
    assert made and 0 <= gone - (len(FULL) - len(made)) < 8, "but for the padding of a table"
    assert SEGMENT in made and b"mine" in made and b"GCC" in made
    assert b"s" * 240 not in made and b"ddd" not in made
    assert mapped(FULL) == mapped(made)
    assert stripped(tmp_path, made) is None, "nothing is left to take"


@pytest.mark.parametrize(("size", "pages"), [(4200, 1), (9000, 2)])
def test_what_follows_symbols_moves_by_whole_pages(size: int, pages: int, tmp_path: Path) -> None:
    """As in libraries that auditwheel has patched: their last segments lie behind the symbols."""
    full = elf(symbols=b"s" * size, own=b"mine", moved=b"m" * 64)
    made = stripped(tmp_path, full)
    assert made and b"ss" not in made and b"mine" in made
    assert full.index(b"m" * 64) - made.index(b"m" * 64) == pages * 4096
    assert mapped(full) == mapped(made)
    assert stripped(tmp_path, made) is None, "nothing is left to take"


@pytest.mark.parametrize(
    "content",
    [
        elf(),
        FULL + b"an archive that the program reads from its own end",
        elf(symbols=b"s" * 240, own=b"mine", moved=b"m" * 64),
        b"\x7fELF",
        FULL[:70],
        FULL[:-40],
        b"text",
        b"",
    ],
    ids=[
        "no symbols",
        "archive",
        "less than a page",
        "magic",
        "no sections",
        "cut",
        "text",
        "empty",
    ],
)
def test_what_is_not_known_to_be_the_same_stays(content: bytes, tmp_path: Path) -> None:
    assert stripped(tmp_path, content) is None
    assert not (tmp_path / "made.so").exists()


@given(st.integers(0, len(FULL) - 1), st.integers(1, 255))
def test_a_damaged_library_raises_nothing(at: int, by: int) -> None:
    damaged = FULL[:at] + bytes([FULL[at] ^ by]) + FULL[at + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        stripped(Path(folder), damaged)


def test_a_section_across_the_end_of_a_segment_stays(tmp_path: Path) -> None:
    headers = len(FULL) - 64 * 8
    start = headers + 2 * 64 + 0x18  # of where .comment lies, right behind the segment
    assert FULL[start : start + 8] == struct.pack("<Q", FULL.index(b"GCC"))
    across = FULL[:start] + struct.pack("<Q", FULL.index(b"GCC") - 2) + FULL[start + 8 :]
    assert stripped(tmp_path, FULL) and stripped(tmp_path, across) is None


def test_an_elf_file_is_known_by_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FULL)
    (tmp_path / "b").write_bytes(b"\x7fEL")
    assert (is_elf(tmp_path / "a"), is_elf(tmp_path / "b")) == (True, False)
