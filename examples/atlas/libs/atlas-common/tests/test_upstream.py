import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from atlas_common import upstream
from atlas_common.upstream import Upstream, open_client
from atlas_common.web import ServiceError, create_app

Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def answering(response: httpx.Response) -> Handler:
    async def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={}) if request.url.path == "/health" else response

    return handle


def call(transport: httpx.AsyncBaseTransport) -> dict[str, Any]:
    async def send() -> dict[str, Any]:
        async with open_client(transport) as client:
            return await Upstream("storage", "http://storage:8002", client).call(
                "POST", "/search", {"k": 1}
            )

    return asyncio.run(send())


def failure(transport: httpx.AsyncBaseTransport) -> tuple[int, str, str]:
    with pytest.raises(ServiceError) as caught:
        call(transport)
    return caught.value.status, caught.value.code, caught.value.message


def test_the_answer_of_a_service_that_is_up_comes_back() -> None:
    app = create_app("storage")

    @app.post("/search")
    async def search(body: dict[str, int]) -> dict[str, Any]:
        return {"heard": body}

    assert call(httpx.ASGITransport(app)) == {"heard": {"k": 1}}


def test_a_refusal_keeps_its_status_and_code_and_gains_the_name() -> None:
    body = {"error": {"code": "not_found", "message": "no such id", "service": "storage"}}
    transport = httpx.MockTransport(answering(httpx.Response(404, json=body)))
    assert failure(transport) == (404, "not_found", "storage: no such id")


@pytest.mark.parametrize("content", ["<html>", "[]", '{"detail": "x"}', '{"error": "x"}'])
def test_an_error_without_an_error_body_is_an_upstream_failure(content: str) -> None:
    transport = httpx.MockTransport(answering(httpx.Response(500, text=content)))
    message = "storage at http://storage:8002 answered 500 without a sound body"
    assert failure(transport) == (502, "upstream_failed", message)


def test_a_success_that_is_no_object_is_an_upstream_failure_too() -> None:
    transport = httpx.MockTransport(answering(httpx.Response(200, text="[1]")))
    assert failure(transport)[:2] == (502, "upstream_failed")


def test_a_service_that_is_down_is_named() -> None:
    async def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    message = "storage at http://storage:8002 is unavailable: connection refused"
    assert failure(httpx.MockTransport(refuse)) == (503, "upstream_unavailable", message)


def test_a_service_that_hangs_is_noticed_before_any_work_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "ALIVE", 0.01)
    asked = []

    async def hang(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        await asyncio.Event().wait()
        raise AssertionError

    message = "storage at http://storage:8002 is unavailable: no answer within 0.01 s"
    assert failure(httpx.MockTransport(hang)) == (503, "upstream_unavailable", message)
    assert asked == ["/health"]
