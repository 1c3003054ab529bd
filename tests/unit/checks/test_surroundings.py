"""How long a check may take where it runs."""

import pytest

from slimbake.checks.surroundings import crowded


@pytest.mark.parametrize(("load", "times"), [(0.1, 1), (2.0, 1), (2.1, 2), (6.0, 3), (90.0, 3)])
def test_load_raises_limits(load: float, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 99.0, 99.0))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert crowded() == times
