"""Roots whose packages dpkg keeps, and roots that are refused."""

from pathlib import Path

import pytest

from slimbake.inside.debs import apt
from slimbake.inside.make.dpkg import require_dpkg
from slimbake.inside.step import StepError


def root(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def test_a_root_of_debian_is_what_is_wanted(tmp_path: Path) -> None:
    require_dpkg(root(tmp_path, "var/lib/dpkg/status", "var/lib/dpkg/info/base-files.list"))


@pytest.mark.parametrize(
    "file", ["lib/apk/db/installed", "var/lib/rpm/rpmdb.sqlite", "var/lib/dpkg/status.d/libc6"]
)
def test_another_root_is_refused_with_what_to_do(tmp_path: Path, file: str) -> None:
    with pytest.raises(StepError, match="images of Alpine and Red Hat") as caught:
        require_dpkg(root(tmp_path, file))
    assert "python:3.12-slim" in str(caught.value) and "dockerfile" in str(caught.value)


def test_packages_of_debian_are_not_looked_for_where_there_is_no_apt() -> None:
    with pytest.raises(StepError, match="the Python image has no apt-of-nobody: name one"):
        apt("apt-of-nobody", "update")


def test_what_a_script_of_a_package_says_is_shown_before_apt_s_own_line() -> None:
    words = (
        "Setting up java ...\nalternatives: error: no folder\n"
        "dpkg: error processing package java\nE: Sub-process dpkg returned an error code (1)\n"
    )
    with pytest.raises(StepError) as caught:
        apt("sh", "-c", f"printf '{words}' >&2; exit 1")
    assert str(caught.value) == (
        "system: sh -c failed: alternatives: error: no folder\n"
        "  dpkg: error processing package java\n"
        "  E: Sub-process dpkg returned an error code (1)"
    )
