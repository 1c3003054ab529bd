"""What an image says of the packages in it, and where their files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.inside.check import contents
from slimbake.inside.cold.layout import SUFFIX

ZLIB = """\
Package: zlib1g
Source: zlib (1:1.3-1)
Version: 1:1.3-1+b2
Architecture: amd64
Description: compression library
 of several lines
Slimbake-Carried: 2 of 5 files
"""
TZDATA = "Package: tzdata\nVersion: 2026f\nArchitecture: all\n"


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"zlib1g": ZLIB, "tzdata": TZDATA, "zlib1g.md5sums": "00  lib/x\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(contents, "STATUS", tmp_path)


def test_debian_packages_say_what_they_were_built_from(debian: None) -> None:
    assert list(contents.debian_packages()) == [
        {
            "name": "tzdata",
            "version": "2026f",
            "architecture": "all",
            "source": "tzdata",
            "source_version": "2026f",
        },
        {
            "name": "zlib1g",
            "version": "1:1.3-1+b2",
            "architecture": "amd64",
            "source": "zlib",
            "source_version": "1:1.3-1",
        },
    ]


def test_files_of_debian_packages_are_there_or_gone(debian: None) -> None:
    assert contents.debian_files() == {"deb/zlib1g": [2, 0, 3]}


def test_files_of_packages_are_warm_cold_or_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    metadata = site / "Some_Package-1.dist-info"
    metadata.mkdir(parents=True)
    there = ("some/__init__.py", "some/_fast.so")
    for name in there:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/some").write_text("")
    rows = [
        *(f"{name},," for name in there),
        "some/cold.py,,",
        "some/headers/some.h,,",
        "some/__pycache__/cold.cpython-311.pyc,,",
        "../../../bin/some,,",
        "Some_Package-1.dist-info/METADATA,,",
        "Some_Package-1.dist-info/RECORD,,",
    ]
    (metadata / "RECORD").write_text("\n".join(rows) + "\n")
    (tmp_path / "cold").mkdir()
    (tmp_path / f"cold/base-web{SUFFIX}").write_text("")

    class Store:
        def __init__(self, path: str) -> None:
            assert path == str(tmp_path / f"cold/base-web{SUFFIX}")

        def entries(self) -> list[tuple[str, tuple[()]]]:
            return [("some/cold.py", ()), ("other/cold.py", ())]

    monkeypatch.setattr(contents, "Store", Store)
    assert contents.python_files(site, tmp_path) == {"pypi/some-package": [3, 1, 1]}
