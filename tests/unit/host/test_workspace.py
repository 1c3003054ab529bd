"""`.slimbake/`: what is kept is read again, and what cannot be read is no harm."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slimbake.console import Console
from slimbake.host.workspace import Workspace


def numbers(said: Any) -> dict[str, int]:
    return {str(name): int(value) for name, value in said.items()}


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.read("costs", numbers) is None
    workspace.write("costs", {"api": 1})
    workspace.write("costs", {"api": 2})
    assert Workspace(tmp_path).read("costs", numbers) == {"api": 2}


@pytest.mark.parametrize(
    "garbled", ["", "[1", "[1]", "[" * 100_000, '{"api": "x"}', '{"api": null}', "\udcff"]
)
def test_what_is_garbled_is_discarded_with_one_line(tmp_path: Path, garbled: str) -> None:
    said: list[str] = []
    workspace = Workspace(tmp_path, Console(said.append))
    workspace.write("costs", {})
    file = tmp_path / ".slimbake/costs.json"
    file.write_bytes(garbled.encode(errors="surrogateescape"))
    assert [workspace.read("costs", numbers) for _ in range(2)] == [None, None]
    assert said == [".slimbake/costs.json cannot be read, and is discarded"]
    assert not file.exists()


def test_git_ignores_it_and_what_is_written_in_that_file_stays(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write("costs", {})
    ignored = tmp_path / ".slimbake/.gitignore"
    assert ignored.read_text() == "*\n"
    ignored.write_text("costs.json\n")
    workspace.write_text("bake.hcl", "# ours\n")
    assert ignored.read_text() == "costs.json\n"
    assert workspace.path("bake.hcl").read_text() == "# ours\n"


def test_a_folder_that_cannot_be_written_keeps_nothing_and_is_no_error(tmp_path: Path) -> None:
    (tmp_path / ".slimbake").write_text("a file")
    workspace = Workspace(tmp_path)
    workspace.write("costs", {"api": 1})
    assert workspace.read("costs", numbers) is None
    with pytest.raises(OSError, match=r"\.slimbake"):
        workspace.write_text("bake.hcl", "")


def test_what_a_killed_process_left_goes_with_the_next_file_of_any_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write("one", 1)
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = {f".one.json.{os.getpid()}-1", ".gitignore", ".other", "one.json", "two.json"}
    for name in {*kept, f".three.json.{dead.pid}-7", f".four.json.{dead.pid}"} - {"two.json"}:
        (tmp_path / ".slimbake" / name).touch()
    workspace.write("two", 2)
    assert {path.name for path in (tmp_path / ".slimbake").iterdir()} == kept


def test_of_a_folder_the_newest_stay(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for age, name in enumerate(("c", "a", "b")):
        workspace.write(f"layers/{name}", {})
        os.utime(workspace.path(f"layers/{name}.json"), (1000 - age, 1000 - age))
    workspace.trim("layers", 2)
    assert sorted(path.name for path in workspace.path("layers").iterdir()) == ["a.json", "c.json"]
    workspace.trim("nothing", 2)


def test_nothing_is_kept_without_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(None)
    workspace.write("costs", {"api": 1})
    workspace.write_text("bake.hcl", "")
    workspace.trim("layers", 0)
    assert workspace.read("costs", numbers) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="layouts"):
        workspace.path("layouts")


def test_a_path_for_other_programs_holds_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Workspace(Path("fleet")).path("layouts")
    assert path == tmp_path / "fleet/.slimbake/layouts"
