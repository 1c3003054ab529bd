"""`slimbake generate`: what it says of the files that it removed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from slimbake.cli import slimbake


def test_what_was_removed_is_named_and_of_many_files_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(
        'project: toy\npython: "3.11"\nservices: {api: {context: api, command: [a]}}\n'
    )
    monkeypatch.chdir(tmp_path)

    def generate(*removed: str) -> list[str]:
        (tmp_path / "bake/warm").mkdir(parents=True, exist_ok=True)
        for name in removed:
            (tmp_path / f"bake/warm/{name}.txt").write_text(f"# The modules of {name}\n")
        return CliRunner().invoke(slimbake, ["generate"]).stdout.splitlines()

    (only,) = generate()
    assert only.endswith(" written, 0 removed")
    head, names = generate(*"gfedcba")
    assert head.endswith(": 0 written, 7 removed")
    listed = ", ".join(f"bake/warm/{name}.txt" for name in "abcde")
    assert names == f"removed: {listed} and 2 more"
    assert generate("one")[1:] == ["removed: bake/warm/one.txt"]
