"""`prove --warm`: what becomes of the lists of layers that are gone."""

from __future__ import annotations

from pathlib import Path

from slimbake.config.naming import WARM
from slimbake.console import Console
from slimbake.evidence import keep_lists


def test_lists_of_layers_that_are_gone_are_removed_with_a_word(tmp_path: Path) -> None:
    folder = tmp_path / WARM
    folder.mkdir(parents=True)
    for name in ("base-web", "base-gone"):
        (folder / f"{name}.txt").touch()
    said: list[str] = []
    keep_lists(tmp_path, {"base-web"}, Console(said.append))
    assert [path.name for path in folder.iterdir()] == ["base-web.txt"]
    assert len(said) == 1 and f"{WARM}/base-gone.txt is removed" in said[0]
