"""Symbols: what may go out of a library, and that nothing that is loaded changes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.inside.elves import SEGMENT, elf

from slimbake.inside.elf import is_elf, same_when_loaded, strip_elf

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
    assert same_when_loaded(FULL, made)
    assert stripped(tmp_path, made) is None, "nothing is left to take"


@pytest.mark.parametrize(("size", "pages"), [(4200, 1), (9000, 2)])
def test_what_follows_symbols_moves_by_whole_pages(size: int, pages: int, tmp_path: Path) -> None:
    """As in libraries that auditwheel has patched: their last segments lie behind the symbols."""
    full = elf(symbols=b"s" * size, own=b"mine", moved=b"m" * 64)
    made = stripped(tmp_path, full)
    assert made and b"ss" not in made and b"mine" in made
    assert full.index(b"m" * 64) - made.index(b"m" * 64) == pages * 4096
    assert same_when_loaded(full, made)
    assert stripped(tmp_path, made) is None, "nothing is left to take"
    at = made.index(b"m" * 64)
    for altered in (made[:at] + b"n" + made[at + 1 :], made[:at] + made[at + 1 :] + b"\0"):
        assert not same_when_loaded(full, altered)


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
    same_when_loaded(FULL, damaged)
    same_when_loaded(damaged, FULL)


@pytest.mark.parametrize("at", [16, 24, 70, 125, FULL.index(SEGMENT) + 3, FULL.index(b"mine")])
def test_a_byte_of_what_is_loaded_or_read_is_a_difference(at: int) -> None:
    assert not same_when_loaded(FULL, FULL[:at] + bytes([FULL[at] ^ 1]) + FULL[at + 1 :])


def test_an_elf_file_is_known_by_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FULL)
    (tmp_path / "b").write_bytes(b"\x7fEL")
    assert (is_elf(tmp_path / "a"), is_elf(tmp_path / "b")) == (True, False)
