"""What unit tests of several packages share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.registries import Registry


@pytest.fixture
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No account of whoever runs this."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A registry; as a parameter, what it is like."""
    from tests.unit.registries import registry

    with registry(**getattr(request, "param", {})) as made:
        yield made
