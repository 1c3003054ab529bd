"""Shared libraries that an image lacks, found in real ELF files of this machine."""

import shutil
import sys
from pathlib import Path

import pytest

from slimbake.inside.check.libraries import Unanswered, package_name, unanswered
from slimbake.inside.elf import needed

PYTHON = Path(sys.executable).resolve()


def test_needed_libraries_are_read_from_a_program_and_from_nothing_else(tmp_path: Path) -> None:
    assert "libc.so.6" in needed(PYTHON)
    broken = tmp_path / "broken.so"
    for content in (b"", b"text", PYTHON.read_bytes()[:200], b"\x7fELF\x02\x01" + b"\xff" * 90):
        broken.write_bytes(content)
        assert needed(broken) == ()
    assert needed(tmp_path / "absent") == ()


def test_a_library_that_lies_nowhere_is_named_with_its_users(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "opt/slimbake").mkdir(parents=True)
    shutil.copy(PYTHON, tmp_path / "usr/bin/python3")
    (tmp_path / "opt/slimbake/libraries.txt").write_text("libc.so.6 libc6\n")
    found = {each.name: each for each in unanswered(tmp_path)}
    assert found["libc.so.6"] == Unanswered("libc.so.6", ("/usr/bin/python3",), "libc6")
    assert str(found["libc.so.6"]) == (
        "/usr/bin/python3 needs libc.so.6, which the image lacks: `system: [libc6]` brings it"
    )
    for name in found:
        (tmp_path / "usr/lib").mkdir(exist_ok=True)
        (tmp_path / f"usr/lib/{name}").touch()
    assert unanswered(tmp_path) == []


@pytest.mark.parametrize(
    ("library", "package"),
    {
        "libGL.so.1": "libgl1",
        "libX11.so.6": "libx11-6",
        "libglib-2.0.so.0": "libglib-2.0-0",
        "libgcc_s.so.1": "libgcc-s1",
        "libfoo-1.2.so": "libfoo1.2",
        "_ssl.cpython-311-x86_64-linux-gnu.so": "",
        "ld-linux-x86-64.so.2": "",
    }.items(),
)
def test_debian_names_a_package_after_its_library(library: str, package: str) -> None:
    assert package_name(library) == package


def test_a_library_of_no_known_package_says_so() -> None:
    files = ("/a.so", "/b.so", "/c.so")
    assert str(Unanswered("libGL.so.1", files, "")) == (
        "/a.so, /b.so and 1 more need libGL.so.1, which the image lacks:"
        " no package known; by Debian's rule for names it is in libgl1"
    )
    assert str(Unanswered("odd", ("/a.so",), "")).endswith("lacks: no package known")
