"""The prefix of packages on an image of the user's."""

import os
import sys
from pathlib import Path

import pytest

from slimbake.inside.make import prefix
from slimbake.inside.step import StepError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def _open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An interpreter that everybody can start, wherever this one lies."""
    program = tmp_path / "bin/python"
    monkeypatch.setattr(prefix, "interpreter", lambda: program)
    program.parent.mkdir()
    program.touch(0o755)
    for folder in program.parents[:-1]:
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o111)


def test_it_is_a_virtual_environment_of_the_image_s_python(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prefix.make_prefix([str(out), HERE])
    made = out / "opt/slimbake"
    assert (made / "bin/python").readlink() == tmp_path / "bin/python"
    for name in ("python3", f"python{HERE}"):
        assert (made / "bin" / name).readlink() == Path("python")
    assert (made / "pyvenv.cfg").read_text().startswith(f"home = {tmp_path}/bin\n")
    assert (made / f"lib/python{HERE}/site-packages").is_dir()
    assert {path.lstat().st_mtime for path in out.rglob("*")} == {315532800}


def test_another_python_is_refused() -> None:
    with pytest.raises(StepError, match=f"has Python {HERE} at .*, and 3.1 is wanted"):
        prefix.expect_fit("3.1")


def test_musl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    with pytest.raises(StepError, match="another C library than glibc, such as musl"):
        prefix.expect_fit(HERE)


def test_a_free_threaded_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "abiflags", "t")
    with pytest.raises(StepError, match="is cpythont: wheels for plain CPython do not run on it"):
        prefix.expect_fit(HERE)


def test_a_python_of_root_s_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").chmod(0o700)
    with pytest.raises(StepError, match=r"by root alone: .*/bin is closed to others"):
        prefix.expect_fit(HERE)


def test_an_image_of_slimbake_s_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "PREFIX", tmp_path)
    (tmp_path / "pyvenv.cfg").touch()
    with pytest.raises(StepError, match="it is one of slimbake's own"):
        prefix.expect_fit(HERE)
