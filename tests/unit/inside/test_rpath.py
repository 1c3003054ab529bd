"""A program whose libraries lie beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slimbake.inside.make.rpath import with_rpath
from slimbake.inside.step import StepError

PROGRAM = Path(os.path.realpath(sys.executable)).read_bytes()


def test_the_loader_looks_beside_a_program(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    (tmp_path / "lib").mkdir()
    program.write_bytes(with_rpath(PROGRAM, b"$ORIGIN/../lib"))
    program.chmod(0o755)
    done = subprocess.run(
        [program, "-IS", "-c", "print('here')"],
        env={"LD_DEBUG": "libs", "PYTHONHOME": sys.base_prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{tmp_path}/bin/../lib" in done.stderr
    assert "(RPATH from file" in done.stderr


def test_one_that_has_a_folder_gets_another() -> None:
    once = with_rpath(PROGRAM, b"/a")
    twice = with_rpath(once, b"/b")
    assert len(once) == len(twice) == len(PROGRAM)
    assert sum(a != b for a, b in zip(once, twice, strict=True)) == 1


@pytest.mark.parametrize(
    ("program", "rpath"),
    [
        (b"#!/bin/sh\n", b"/a"),
        (PROGRAM, b"/a/folder/of/more/than/19/bytes"),
        (PROGRAM.replace(b"GNU\0", b"ABC\0"), b"/a"),
    ],
)
def test_another_file_is_refused(program: bytes, rpath: bytes) -> None:
    with pytest.raises(StepError, match="interpreter of the Python image"):
        with_rpath(program, rpath)
