"""Roots whose packages dpkg keeps, and roots that are refused by the name of what does."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.inside.debs import DebsError, apt
from slimbake.inside.make.dpkg import PackagesFault, require_dpkg


def root(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def test_a_root_of_debian_is_what_is_wanted(tmp_path: Path) -> None:
    require_dpkg(root(tmp_path, "var/lib/dpkg/status", "var/lib/dpkg/info/base-files.list"))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("lib/apk/db/installed", r"with apk \(Alpine, Wolfi"),
        ("usr/lib/apk/db/installed", r"with apk \(Alpine, Wolfi"),
        ("var/lib/rpm/rpmdb.sqlite", r"with rpm \(Red Hat, Fedora"),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", r"with rpm \(Red Hat, Fedora"),
        ("etc/os-release", "with nothing that slimbake knows"),
        ("var/lib/dpkg/status.d/libc6", "with nothing that slimbake knows"),  # distroless
    ],
)
def test_another_root_is_refused_by_name_with_what_to_do(
    tmp_path: Path, file: str, said: str
) -> None:
    with pytest.raises(PackagesFault, match=said) as caught:
        require_dpkg(root(tmp_path, file))
    assert "python:3.12-slim" in str(caught.value) and "dockerfile" in str(caught.value)


def test_packages_of_debian_are_not_looked_for_where_there_is_no_apt() -> None:
    with pytest.raises(DebsError, match="the Python image has no apt-of-nobody: name one"):
        apt("apt-of-nobody", "update")
