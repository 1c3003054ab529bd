"""Unpacks slimbake's sources beside the manifest of its image, as a release has them:
`python -m tools.image`.

A build sees no file outside of the manifest's folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent


def unpack(folder: Path) -> None:
    """Replace the sources in the folder of the manifest. Needs hatchling."""
    source = folder / ".source"
    with tempfile.TemporaryDirectory(prefix="image-") as scratch:
        build = (
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target=sdist",
            "--directory",
            scratch,
        )
        subprocess.run(build, cwd=FOLDER.parents[1], check=True)
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        shutil.rmtree(source, ignore_errors=True)
        shutil.move(archive.with_name(archive.name.removesuffix(".tar.gz")), source)
    # All files of an sdist have one time: BuildKit would not see an edit that changes no file's size.
    for path in source.rglob("*"):
        os.utime(path)


if __name__ == "__main__":
    unpack(FOLDER)
