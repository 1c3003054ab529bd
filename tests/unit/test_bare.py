"""What readies a bare machine."""

from pathlib import Path

import pytest
from tools.bare import apt, engine


def test_a_machine_without_docker_has_no_plugin_and_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(apt, "system_path", lambda: str(tmp_path))
    assert not engine.has_plugin("buildx")
    assert not engine.answers()
