"""What an image says that it contains."""

from pathlib import Path

import pytest

from slimbake.inside.budget import Budget
from slimbake.inside.check import contents
from slimbake.inside.check.contents import debian_packages, python_distributions

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.41-12)
Version: 2.41-12+b1

Package: curl
Status: hold ok installed
Architecture: amd64
Version: 8.14

Package: vim
Status: purge ok not-installed
Architecture: amd64

Package: nano
Status: deinstall ok config-files
Architecture: amd64
Version: 8.4
"""


def test_of_dpkg_s_own_records_those_of_installed_packages_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "STATUS", tmp_path / "status.d")
    (tmp_path / "status").write_text(DPKG)
    found = list(debian_packages(Budget()))
    assert [package["name"] for package in found] == ["libc6", "curl"]
    assert (found[0]["source"], found[0]["source_version"]) == ("glibc", "2.41-12")


def test_a_folder_of_metadata_without_a_name_is_no_distribution(tmp_path: Path) -> None:
    (tmp_path / "gone-1.0.dist-info").mkdir()
    there = tmp_path / "there-2.0.dist-info"
    there.mkdir()
    (there / "METADATA").write_text("Metadata-Version: 2.1\nName: there\nVersion: 2.0\n\n")
    assert list(python_distributions(tmp_path, Budget())) == [
        {"name": "there", "version": "2.0", "within": ""}
    ]
