import asyncio
from typing import Any

import httpx
import pytest

from atlas_common.settings import SettingsError
from atlas_common.upstream import open_client
from control import checks
from control.app import Settings, build
from control.checks import parse

SERVICES = "api=http://api:8000, storage=http://storage:8002"


def ask(
    path: str, services: str = SERVICES, **answers: httpx.Response | Exception | None
) -> httpx.Response:
    """Ask control; a service without an answer here is up, None hangs."""

    async def behind(request: httpx.Request) -> httpx.Response:
        name = request.url.host
        answer = answers.get(name, httpx.Response(200, json={"status": "ok", "service": name}))
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, httpx.Response):
            return answer
        raise answer or AssertionError

    async def send() -> httpx.Response:
        app = build(parse(services), open_client(httpx.MockTransport(behind)))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://control"
        ) as client:
            return await client.get(path)

    return asyncio.run(send())


def statuses(**answers: httpx.Response | Exception | None) -> dict[str, Any]:
    services: dict[str, Any] = ask("/status", **answers).json()["services"]
    return services


def test_status_tells_of_each_service_whether_it_is_up_and_how_fast() -> None:
    found = statuses(storage=httpx.ConnectError("connection refused"))
    assert 0 <= found["api"].pop("latency_ms") < 1000
    assert 0 <= found["storage"].pop("latency_ms") < 1000
    assert found == {
        "api": {"up": True, "detail": "ok"},
        "storage": {"up": False, "detail": "connection refused"},
    }


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (httpx.Response(500), "answered 500"),
        (httpx.Response(200, text="hello"), "answered no JSON object"),
        (httpx.Response(200, json={"service": "nlg"}), "the service at this address is 'nlg'"),
        (httpx.ReadError(""), "ReadError"),
    ],
)
def test_an_answer_that_is_not_the_services_own_health_is_not_up(
    answer: httpx.Response | Exception, detail: str
) -> None:
    found = statuses(storage=answer)
    assert (found["storage"]["up"], found["storage"]["detail"]) == (False, detail)
    assert found["api"]["up"]


def test_a_service_that_hangs_does_not_hang_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.01)
    assert statuses(storage=None)["storage"]["detail"] == "no answer within 0.01 s"


def test_ready_is_200_when_all_are_up() -> None:
    answer = ask("/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True})


def test_not_ready_names_what_is_down() -> None:
    answer = ask("/ready", storage=httpx.ConnectError("connection refused"))
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "code": "not_ready",
        "message": "not up: storage (connection refused)",
        "service": "control",
    }


def test_metrics_are_prometheus_text_without_a_latency_for_what_is_down() -> None:
    answer = ask("/metrics", storage=httpx.ConnectError("connection refused"))
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = dict(
        line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")
    )
    assert float(samples.pop('atlas_service_latency_seconds{service="api"}')) >= 0
    assert samples == {
        'atlas_service_up{service="api"}': "1.0",
        'atlas_service_up{service="storage"}': "0.0",
    }


def test_the_default_watches_the_five_services_behind_and_before() -> None:
    assert list(parse(Settings().services)) == ["api", "embedding", "storage", "nlg", "hybrid"]


def test_a_wrong_list_of_services_is_told_entry_by_entry() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("api=http://api:8000,api=http://b:1,nlg,storage=storage:8002")
    assert caught.value.problems == (
        "SERVICES: must be name=address with a name of its own, got 'api=http://b:1'",
        "SERVICES: must be name=address with a name of its own, got 'nlg'",
        "SERVICES: must be an address such as http://storage:8002, got 'storage=storage:8002'",
    )


def test_a_list_that_names_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="SERVICES: names no service"):
        parse(" , ")
