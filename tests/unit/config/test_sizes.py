"""Durations as people write them."""

from __future__ import annotations

import pytest

from slimbake.config.report import RefusedError
from slimbake.config.sizes import duration


@pytest.mark.parametrize(
    ("written", "meant"), [("3s", 3), (3, 3), ("3", 3), ("2500ms", 2.5), (" 1.5 s ", 1.5)]
)
def test_a_duration_is_kept_in_seconds(written: str | int, meant: float) -> None:
    assert duration(written) == meant


@pytest.mark.parametrize("written", ["", "s", "3m", "-1s", "1e3", "0.1ms"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(RefusedError):
        duration(written)
