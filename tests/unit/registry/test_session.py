"""When a registry is asked again: more and more slowly, as it says itself, and not for ever."""

import datetime
import email.utils
import itertools

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.registries import Fault, Registry, registry, waits

from slimbake.registry.session import LONGEST, Session, _Patience


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return waits(monkeypatch)


def ask(server: Registry, method: str, *faults: Fault) -> int:
    """The status of the last answer to a request that meets these faults."""
    server.faults[method] = iter(faults)
    url = f"http://{server.name}/v2/a/manifests/x"
    with Session() as session:
        return session.request(method, url, data=b'{"layers": [], "config": {}}').status_code


def http_date(seconds: float) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return email.utils.format_datetime(now + datetime.timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("fault", [Fault(429), Fault(500), Fault(504), Fault(how="cut")])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
def test_a_bad_moment_is_asked_again_whole(
    server: Registry, method: str, fault: Fault, slept: list[float]
) -> None:
    server.faults[method] = iter((fault, fault, fault, Fault(418)))
    with Session() as session:
        url = f"http://{server.name}/v2/a/manifests/x"
        assert session.request(method, url, data=b"body").status_code == 418
    assert len(server.asked) == 4
    assert all(low <= seconds <= low + 0.5 for low, seconds in zip((1, 2), slept, strict=True))


@pytest.mark.parametrize("status", [400, 401, 404, 505])
def test_what_is_not_a_bad_moment_is_answered_at_once(
    server: Registry, status: int, slept: list[float]
) -> None:
    assert ask(server, "GET", Fault(status)) == status
    assert len(server.asked) == 1
    assert slept == []


@pytest.mark.parametrize("date", [False, True])
def test_what_the_registry_asks_for_is_waited_whole(
    server: Registry, date: bool, slept: list[float]
) -> None:
    after = http_date(20) if date else " 20 "
    assert ask(server, "GET", Fault(429, {"Retry-After": after}), Fault(418)) == 418
    (seconds,) = slept
    assert seconds == 20 or (date and 10 < seconds < 20)


@pytest.mark.parametrize("after", ["31", "9" * 400, 3600])
def test_of_what_is_too_long_half_a_minute_is_waited(
    server: Registry, after: str | int, slept: list[float]
) -> None:
    said = http_date(after) if isinstance(after, int) else after
    assert ask(server, "GET", Fault(429, {"Retry-After": said}), Fault(418)) == 418
    assert slept == [30]


@given(
    st.text()
    | st.sampled_from(["", "soon", "-1", "1.5", "٣", "9" * 5000, "Wed, 99 Nov 2026 12:00"])
)
def test_no_matter_what_a_registry_says_is_a_time_or_none(said: str) -> None:
    assert _Patience().parse_retry_after(said) >= 0


def test_what_says_no_time_to_come_is_as_if_it_were_not_said() -> None:
    for said in ("soon", "-1", "1.5", "٣", http_date(-3600)):
        assert _Patience().parse_retry_after(said) == 0


def test_no_pause_is_longer_than_the_longest() -> None:
    patience = _Patience(99, backoff_factor=0.5, backoff_max=LONGEST)
    for _ in range(99):
        patience = patience.increment("GET", "/")
    assert patience.get_backoff_time() == LONGEST


def test_a_registry_that_is_silent_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimbake.registry.session.TIMEOUTS", (1.0, 0.1))
    with registry() as server, pytest.raises(requests.ReadTimeout):
        ask(server, "GET", *itertools.repeat(Fault(how="never"), 9))
    assert len(server.asked) == 1


def test_a_connection_that_is_refused_is_not_made_again(slept: list[float]) -> None:
    with Session() as session, pytest.raises(requests.ConnectionError):
        session.get("http://127.0.0.1:1/v2/")
    assert slept == []
