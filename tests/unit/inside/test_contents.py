"""What an image says of the packages in it."""

from pathlib import Path

import pytest

from slimbake.inside.check import contents

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
