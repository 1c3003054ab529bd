import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from atlas_common.web import ServiceError, create_app


class Body(BaseModel):
    n: float


@pytest.fixture
def app() -> FastAPI:
    app = create_app("sample")

    @app.post("/double")
    async def double(body: Body) -> float:
        if body.n < 0:
            raise ServiceError(409, "negative", "n is negative")
        if body.n == 13:
            raise RuntimeError("secret detail")
        return body.n * 2

    return app


def ask(app: FastAPI, method: str, path: str, **arguments: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://sample") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(send())


def error(response: httpx.Response) -> tuple[int, str, str]:
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "service"}
    assert body["error"]["service"] == "sample"
    return response.status_code, body["error"]["code"], body["error"]["message"]


def test_health_names_the_service(app: FastAPI) -> None:
    answer = ask(app, "GET", "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "service": "sample"})


def test_a_service_error_reaches_the_caller_whole(app: FastAPI) -> None:
    assert error(ask(app, "POST", "/double", json={"n": -1})) == (409, "negative", "n is negative")


def test_an_invalid_request_is_told_where_it_is_wrong(app: FastAPI) -> None:
    status, code, message = error(ask(app, "POST", "/double", json={"n": "x"}))
    assert (status, code) == (422, "invalid_request")
    assert message.startswith("body.n: Input should be a valid number")


def test_input_that_is_no_json_is_an_invalid_request_too(app: FastAPI) -> None:
    headers = {"content-type": "application/json"}
    status, code, _ = error(ask(app, "POST", "/double", content="{", headers=headers))
    assert (status, code) == (422, "invalid_request")


def test_unknown_routes_and_methods_have_the_same_body(app: FastAPI) -> None:
    assert error(ask(app, "GET", "/nowhere")) == (404, "not_found", "Not Found")
    answer = ask(app, "GET", "/double")
    assert error(answer) == (405, "method_not_allowed", "Method Not Allowed")
    assert answer.headers["allow"] == "POST"


def test_a_bug_tells_the_caller_nothing_about_itself(app: FastAPI) -> None:
    failure = error(ask(app, "POST", "/double", json={"n": 13}))
    assert failure == (500, "internal_error", "sample failed; its log tells why")
