"""ZIP archives of others: directories that are too large to read are refused before they are read."""

import tracemalloc
import zipfile
from pathlib import Path

import pytest

from slimbake.inside.archives import LARGEST, open_zip


def test_an_archive_is_read_with_members_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "large.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", bytes(LARGEST + 1))
    with open_zip(path) as archive:
        assert len(archive.read("a")) == LARGEST + 1


@pytest.mark.parametrize(("number", "letters"), [(300, 60_000), (70_000, 300)])
def test_a_large_directory_is_not_read(tmp_path: Path, number: int, letters: int) -> None:
    path = tmp_path / "many.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for count in range(number):  # more than 65,535 make it an archive of 64 bits
            member = zipfile.ZipInfo(f"{count}-".ljust(letters, "d"))
            member.header_offset = member.CRC = 0
            archive.filelist.append(member)  # the directory alone has it
        archive.writestr("last", b"")
    tracemalloc.start()
    try:
        with pytest.raises(zipfile.BadZipFile, match="its directory has"), open_zip(path):
            pass
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.whl"
    path.write_bytes(b"no archive")
    with pytest.raises(zipfile.BadZipFile), open_zip(path):
        pass
