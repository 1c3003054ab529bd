"""How long a check may take where it runs."""

from __future__ import annotations

import pytest

from slimbake.checks.surroundings import slower


@pytest.mark.parametrize(
    ("platform", "load", "cores", "times"),
    [("", 1.0, 2, 1), ("", 8.0, 2, 4), ("linux/arm64", 1.0, 2, 10), ("linux/arm64", 3.0, 2, 15)],
)
def test_limits_are_longer_where_a_platform_is_emulated_and_where_much_else_runs(
    platform: str, load: float, cores: int, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 99.0, 99.0))
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert slower(platform) == times
