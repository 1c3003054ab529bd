"""`copy-files`: what it copies of a stage into an image, and what it refuses."""

import os
from pathlib import Path

import pytest
from tests.unit.trees import EPOCH, state

from slimbake.inside.make import files, layer
from slimbake.inside.make.files import copy_files
from slimbake.inside.step import StepError


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the step mounts of the stage."""
    for module in (files, layer):
        monkeypatch.setattr(module, "INSIDE", tmp_path / "inside")
    (tmp_path / "inside").mkdir()
    (tmp_path / "image/srv").mkdir(parents=True)
    return tmp_path / "inside/copy"


def test_the_contents_of_a_folder_lie_in_the_target(source: Path, tmp_path: Path) -> None:
    (source / "css").mkdir(parents=True, mode=0o700)
    (source / "css/all.css").touch(mode=0o600)
    (source / "run").touch(mode=0o711)
    (source / "link").symlink_to("css/all.css")
    static = tmp_path / "image/srv/static"
    (static / "css").mkdir(parents=True)
    (static / "css/own.css").touch()
    (static / "css").chmod(0o711)
    copy_files(["/dist", f"{static}/"])
    copied = state(static)
    assert {name: mode for name, (mode, _, _) in copied.items()} == {
        ".": "drwxr-xr-x",
        "css": "drwx--x--x",  # it was there before
        "css/all.css": "-rw-r--r--",
        "css/own.css": "-rw-r--r--",
        "link": "lrwxrwxrwx",
        "run": "-rwxr-xr-x",
    }
    assert {name for name, (_, mtime, _) in copied.items() if mtime != EPOCH} == {"css/own.css"}


@pytest.mark.parametrize(
    ("to", "path"), [("bin/", "bin/caddy"), ("bin/own", "bin/own"), ("new/bin/", "new/bin/caddy")]
)
def test_a_file_is_the_target_or_lies_in_it(
    to: str, path: str, source: Path, tmp_path: Path
) -> None:
    source.touch(mode=0o755)
    copy_files(["/usr/bin/caddy", f"{tmp_path}/image/{to}"])
    place = tmp_path / "image" / path
    assert (place.is_file(), place.stat().st_mtime) == (True, EPOCH)
    assert {folder.stat().st_mtime for folder in (place.parent, tmp_path / "image")} == {EPOCH}


def test_a_link_that_leads_out_is_refused(source: Path, tmp_path: Path) -> None:
    source.mkdir()
    (source / "up").symlink_to("/etc")
    with pytest.raises(StepError, match="up is a link that leads out of /dist, which `copy` names"):
        copy_files(["/dist", f"{tmp_path}/image/static"])


def test_what_is_no_file_is_refused(source: Path, tmp_path: Path) -> None:
    source.mkdir()
    os.mkfifo(source / "pipe")
    with pytest.raises(StepError, match="copy: pipe is neither a file nor a folder"):
        copy_files(["/dist", f"{tmp_path}/image/static"])


def test_files_that_are_there_are_named(source: Path, tmp_path: Path) -> None:
    source.mkdir()
    for number in range(7):
        (source / str(number)).touch()
        (tmp_path / "image" / str(number)).touch()
    (source / "new").touch()
    with pytest.raises(StepError, match=r"/dist overlaps .*: .*/0, .*/4 and 2 more$"):
        copy_files(["/dist", f"{tmp_path}/image"])
    assert not (tmp_path / "image/new").exists()


@pytest.mark.parametrize("there", ["link", "file"])
def test_a_target_behind_a_link_or_a_file_is_refused(
    there: str, source: Path, tmp_path: Path
) -> None:
    source.touch()
    place = tmp_path / "image" / there
    if there == "link":
        place.symlink_to("srv")
    else:
        place.touch()
    with pytest.raises(StepError, match=f"{there} is no folder in this image"):
        copy_files(["/x", f"{tmp_path}/image/{there}/x"])


def test_code_in_the_place_of_what_was_copied_is_refused(source: Path, tmp_path: Path) -> None:
    for name in ("context/static/own.html", "context/main.py", "copies/static/index.html"):
        (tmp_path / "inside" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "inside" / name).touch()
    layer.copy_code([f"{tmp_path}/one"])
    (tmp_path / "inside/copies/main.py").touch()
    with pytest.raises(StepError, match=r"the code overlaps with what `copy` brings: .*/main\.py$"):
        layer.copy_code([f"{tmp_path}/two"])
