"""What the program that makes layers does to trees of files: the same inputs give the same layer."""

import importlib.util
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.trees import EPOCH, state

from slimbake.inside.make import layer
from slimbake.inside.make.tree import normalise, tree
from slimbake.inside.step import StepError
from slimbake.lock.locks import weights_text


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The build context, where a step sees it."""
    monkeypatch.setattr(layer, "INSIDE", tmp_path / "inside")
    (tmp_path / "inside/context").mkdir(parents=True)
    return tmp_path / "inside/context"


# --- modes and times


def test_files_get_the_modes_that_git_has_and_one_time(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True, mode=0o700)
    for name, mode in {"secret": 0o600, "open": 0o666, "run": 0o4711, "folder/deep": 0o640}.items():
        (root / name).touch()
        (root / name).chmod(mode)
    outside = tmp_path / "outside"
    outside.touch(mode=0o600)
    (root / "link").symlink_to(outside)
    (root / "to-folder").symlink_to("folder")
    normalise(tree(root))
    assert {name: mode for name, (mode, _, _) in state(root).items()} == {
        ".": "drwxr-xr-x",
        "folder": "drwxr-xr-x",
        "folder/deep": "-rw-r--r--",
        "link": "lrwxrwxrwx",
        "open": "-rw-r--r--",
        "run": "-rwxr-xr-x",
        "secret": "-rw-r--r--",
        "to-folder": "lrwxrwxrwx",
    }
    assert {mtime for _, mtime, _ in state(root).values()} == {EPOCH}
    assert outside.stat().st_mtime > EPOCH and stat.filemode(outside.stat().st_mode) == "-rw-------"


def test_a_folder_that_got_a_new_entry_keeps_the_one_time(tmp_path: Path) -> None:
    old, new = tmp_path / "root/old", tmp_path / "root/new"
    old.parent.mkdir()
    old.touch()
    new.touch()
    normalise(iter([new]))
    assert (new.stat().st_mtime, new.parent.stat().st_mtime) == (EPOCH, EPOCH)
    assert old.stat().st_mtime > EPOCH  # what lay there before belongs to another layer


# --- copy and code


@pytest.mark.parametrize(
    "link",
    [
        *("../outside", "/etc/passwd", "folder/../../outside", "folder/up/../outside"),
        "{context}/folder",  # absolute, which leads elsewhere in an image
    ],
)
def test_a_link_out_of_the_context_is_refused(link: str, context: Path, tmp_path: Path) -> None:
    link = link.format(context=context)
    (context / "folder").mkdir()
    (context / "folder/up").symlink_to("..")
    (context.parent / "outside").touch()
    (context / "link").symlink_to(link)
    with pytest.raises(StepError) as caught:
        layer.copy_context(tmp_path / "app")
    assert str(caught.value) == f"link is a link that leads out of the build context: {link}"
    assert not (tmp_path / "app").exists()


def test_links_within_the_context_stay_links(context: Path, tmp_path: Path) -> None:
    (context / "folder").mkdir()
    (context / "folder/file").write_text("text")
    (context / "folder/up").symlink_to("../link")
    (context / "link").symlink_to("folder/file")
    layer.copy_context(tmp_path / "app")
    assert (tmp_path / "app/link").readlink() == Path("folder/file")
    assert (tmp_path / "app/folder/up").read_text() == "text"


def test_code_is_compiled_without_times(context: Path, tmp_path: Path) -> None:
    (context / "module.py").write_text("value = 1\n")
    (context / "broken.py").write_text("def:\n")
    layer.copy_code([str(tmp_path / "app")])
    pyc = Path(importlib.util.cache_from_source(str(tmp_path / "app/module.py")))
    assert pyc.read_bytes()[4:8] == b"\x01\x00\x00\x00"  # PEP 552: by hash, unchecked
    assert (tmp_path / "app/module.py").read_text() == "value = 1\n"
    assert (tmp_path / "app/broken.py").exists()


def test_the_same_code_gives_the_same_layer(context: Path, tmp_path: Path) -> None:
    def made(name: str, umask: int, mtime: float) -> dict[str, tuple[str, float, bytes]]:
        before = os.umask(umask)
        try:
            (context / "package").mkdir(exist_ok=True)
            for path in (context / "package/__init__.py", context / "package/module.py"):
                path.unlink(missing_ok=True)
                path.write_text("value = {1, 2, 3}\n")
                os.utime(path, (mtime, mtime))
            layer.copy_code([str(tmp_path / name / "app")])
        finally:
            os.umask(before)
        found = state(tmp_path / name / "app")
        # bytecode holds its own path, which differs here
        return {key: value for key, value in found.items() if not key.endswith(".pyc")}

    assert made("one", 0o022, time.time()) == made("two", 0o077, 1e9)


def test_files_are_copied_as_they_are(context: Path, tmp_path: Path) -> None:
    (context / "config.json").write_text("{}")
    (context / "config.json").chmod(0o600)
    (context.parent / "lock.txt").write_text(weights_text(context, "."))
    layer.copy_weights([str(tmp_path / "weights")])
    assert state(tmp_path / "weights")["config.json"] == ("-rw-r--r--", EPOCH, b"{}")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "model.bin").write_bytes(b"other"), "model.bin"),
        (lambda folder: (folder / "model.bin").unlink(), "model.bin"),
        (lambda folder: (folder / "extra").touch(), "extra"),
        (
            lambda folder: (folder / "deep/config.json").rename(folder / "config.json"),
            "config.json, deep/config.json",
        ),
    ],
    ids=["other bytes", "missing", "one more", "moved"],
)
def test_weights_that_are_not_what_the_lock_names_are_refused_by_name(
    change: Callable[[Path], object], named: str, context: Path, tmp_path: Path
) -> None:
    (context / "deep").mkdir()
    (context / "deep/config.json").write_text("{}")
    (context / "model.bin").write_bytes(b"model")
    (context.parent / "lock.txt").write_text(weights_text(context, "."))
    change(context)
    with pytest.raises(StepError) as caught:
        layer.copy_weights([str(tmp_path / "weights")])
    assert str(caught.value) == f"weights differ from the lock: {named}; run `slimbake lock`"


# --- volumes


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the accounts of an image."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "passwd").write_text("root:x:0:0:::\nnonroot:x:65532:65532:::\n")
    (folder / "group").write_text("root:x:0:\nnonroot:x:65532:\n")
    monkeypatch.setattr(layer, "ACCOUNTS", folder)
    return folder


@pytest.mark.parametrize(
    ("owner", "user", "group"),
    [
        ("1001:1002", "app:x:1001:1002::/home/app:/sbin/nologin\n", "app:x:1002:\n"),
        ("1001:0", "app:x:1001:0::/home/app:/sbin/nologin\n", ""),
        ("65532:65532", "", ""),
    ],
)
def test_a_user_without_a_name_gets_one(owner: str, user: str, group: str, etc: Path) -> None:
    for _ in range(2):
        layer.make_folders([owner])
    assert (etc / "passwd").read_text().partition("nonroot:x:65532:65532:::\n")[2] == user
    assert (etc / "group").read_text().partition("nonroot:x:65532:\n")[2] == group
    assert int((etc / "passwd").stat().st_mtime) == EPOCH or not user


def test_a_last_line_without_an_end_stays_one(etc: Path) -> None:
    (etc / "passwd").write_text("root:x:0:0:::\nweb:x:7:7:::/bin/sh")
    layer.make_folders(["1001:0"])
    lines = (etc / "passwd").read_text().splitlines()
    assert lines[1:] == ["web:x:7:7:::/bin/sh", "app:x:1001:0::/home/app:/sbin/nologin"]


@pytest.mark.usefixtures("etc")
def test_a_volume_s_folder_has_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: dict[Path, tuple[int, int]] = {}
    monkeypatch.setattr(os, "chown", lambda path, user, group: owners.update({path: (user, group)}))
    (tmp_path / "there").mkdir()
    before = tmp_path.stat().st_mtime
    layer.make_folders(["65532:0", str(tmp_path / "there/data/deep")])
    assert owners == {tmp_path / "there/data/deep": (65532, 0)}
    assert {time for _, time, _ in state(tmp_path / "there").values()} == {EPOCH}, (
        "new folders, and what got one"
    )
    assert tmp_path.stat().st_mtime == before


# --- what steps of `build` made


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layer, "INSIDE", tmp_path / "inside")
    made = tmp_path / "inside/step"
    (made / "dist/js").mkdir(parents=True)
    (made / "dist/js/app.js").write_text("x")
    (made / "dist/latest.js").symlink_to("js/app.js")
    (made / "tool").write_text("#!")
    (made / "tool").chmod(0o700)
    (made / "secret").write_text("not named")
    return made


def test_named_outputs_are_taken_with_gits_modes_and_one_time(step: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    layer.take_outputs([str(out), "/app/frontend", "dist", "tool"])
    found = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert found == {
        *("app", "app/frontend", "app/frontend/tool", "app/frontend/dist"),
        *("app/frontend/dist/latest.js", "app/frontend/dist/js", "app/frontend/dist/js/app.js"),
    }
    assert {path.lstat().st_mtime for path in out.rglob("*")} == {EPOCH}
    assert (out / "app/frontend/tool").stat().st_mode & 0o777 == 0o755
    assert os.readlink(out / "app/frontend/dist/latest.js") == "js/app.js"  # noqa: PTH115


def test_an_output_that_was_not_made_is_named(step: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"the step made no static, x/y; `outputs` names"):
        layer.take_outputs([str(tmp_path / "out"), "/app", "dist", "static", "x/y"])


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret"])
def test_no_link_leads_out_of_an_output(step: Path, tmp_path: Path, target: str) -> None:
    (step / "dist/out").symlink_to(target)
    with pytest.raises(StepError, match="out is a link that leads out of the output"):
        layer.take_outputs([str(tmp_path / "out"), "/app", "dist"])
    (step / "whole").symlink_to("/etc")
    with pytest.raises(StepError, match="whole leads out of the step's folder"):
        layer.take_outputs([str(tmp_path / "out"), "/app", "whole"])
