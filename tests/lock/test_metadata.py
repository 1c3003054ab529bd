"""What the build of a repository's own package says of it, without a trace in its folder."""

from pathlib import Path

from tests.lock.conftest import Repo

from slimbake.host.machine import machine
from slimbake.host.uv import PipCompile

# Writes what it knows to where setuptools does, by the same file of settings.
BACKEND = """
import configparser, os, pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    said = configparser.ConfigParser()
    said.read(os.environ.get("DIST_EXTRA_CONFIG", ""))
    (pathlib.Path(said.get("egg_info", "egg_base", fallback=".")) / "own.egg-info").mkdir()
    info = pathlib.Path(folder, "own-1.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: own\\nVersion: 1\\n")
    return info.name
"""


def test_setuptools_writes_nothing_into_the_repository(repo: Repo, tmp_path: Path) -> None:
    own, work = tmp_path / "own", tmp_path / "work"
    for folder in (own, work):
        folder.mkdir()
    (own / "backend.py").write_text(BACKEND)
    (own / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    asked = work / "asked.in"
    asked.write_text(f"own @ {own.as_uri()}\n")
    uv = PipCompile(machine(), "3.11", "linux/amd64", work, sources=("own",))
    uv.compile([asked], work / "found.txt", [])
    assert "own @ " in (work / "found.txt").read_text()
    assert not (own / "own.egg-info").exists()
    assert (work / "own.egg-info").is_dir()
