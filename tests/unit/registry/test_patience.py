"""When a registry is asked again: more and more slowly, as it says itself, and not for ever."""

from __future__ import annotations

import datetime
import email.utils

from hypothesis import given
from hypothesis import strategies as st

from slimbake.registry.patience import Patience, pause

NOW = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)
PATIENCE = Patience(tries=10, pause=0.5, longest=30)
CHANCES = st.floats(0, 1)
TRIES = st.integers(1, 9)


@given(
    TRIES, CHANCES, st.sampled_from(["", "soon", "-1", "1.5", "٣", "Wed, 99 Nov 2026 12:00:00 GMT"])
)
def test_each_pause_is_twice_as_long_up_to_the_longest(
    tried: int, chance: float, said: str
) -> None:
    found = pause(PATIENCE, tried, said, NOW, chance)
    most = min(30.0, 0.5 * 2 ** (tried - 1))
    assert found is not None
    assert most / 2 <= found <= most


@given(TRIES, CHANCES, st.integers(0, 30), st.booleans())
def test_what_the_registry_asks_for_is_waited_whole(
    tried: int, chance: float, seconds: int, date: bool
) -> None:
    when = email.utils.format_datetime(NOW + datetime.timedelta(seconds=seconds), usegmt=True)
    found = pause(PATIENCE, tried, when if date else str(seconds), NOW, chance)
    assert found is not None
    assert seconds <= found <= seconds + 0.5


@given(CHANCES, st.integers(31, 10**12))
def test_what_is_too_long_is_not_waited_at_all(chance: float, seconds: int) -> None:
    assert pause(PATIENCE, 1, str(seconds), NOW, chance) is None


@given(st.text(), CHANCES)
def test_whatever_a_registry_says_there_is_an_end(said: str, chance: float) -> None:
    assert pause(PATIENCE, 10, said, NOW, chance) is None
    assert (pause(PATIENCE, 1, said, NOW, chance) or 0) <= 30.5


def test_a_date_that_has_passed_is_now() -> None:
    assert pause(PATIENCE, 1, "Wed, 25 Nov 2026 11:00:00 GMT", NOW, 0) == 0
