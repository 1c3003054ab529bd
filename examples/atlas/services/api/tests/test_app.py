import asyncio
import json
from typing import Any

import httpx
import pytest

from api.app import Settings, build
from atlas_common.upstream import open_client

HITS = [{"id": "a", "text": "alpha", "score": 1.0, "lexical_rank": 1, "dense_rank": None}]


class Behind:
    """The services behind the gateway: canned answers, what they were asked, and which of them are
    down.
    """

    def __init__(self, hits: list[dict[str, Any]] = HITS, down: str = "") -> None:
        self.answers = {
            "/embed": {"model": "m", "dimension": 2, "vectors": [[1.0, 0.0], [0.0, 1.0]]},
            "/documents": {"stored": 2},
            "/search": {"hits": hits},
            "/generate": {"text": " an answer\n", "tokens": 3},
        }
        self.down = down
        self.asked: list[tuple[str, Any]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == self.down:
            raise httpx.ConnectError("connection refused", request=request)
        if request.url.path == "/health":
            return httpx.Response(200, json={})
        self.asked.append((f"{request.method} {request.url}", json.loads(request.content)))
        return httpx.Response(200, json=self.answers[request.url.path])

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        async def send() -> httpx.Response:
            app = build(Settings(), open_client(httpx.MockTransport(self.__call__)))
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://api"
            ) as client:
                return await client.post(path, json=body)

        return asyncio.run(send())


def test_ingest_stores_each_document_with_its_vector() -> None:
    behind = Behind()
    documents = [{"id": "a", "text": "alpha"}, {"id": "b", "text": "beta"}]
    assert behind.post("/ingest", {"documents": documents}).json() == {"stored": 2}
    assert behind.asked == [
        ("POST http://embedding:8001/embed", {"texts": ["alpha", "beta"]}),
        (
            "PUT http://storage:8002/documents",
            {
                "documents": [
                    {"id": "a", "text": "alpha", "metadata": {}, "vector": [1.0, 0.0]},
                    {"id": "b", "text": "beta", "metadata": {}, "vector": [0.0, 1.0]},
                ]
            },
        ),
    ]


def test_search_hands_over_what_hybrid_found() -> None:
    behind = Behind()
    assert behind.post("/search", {"query": "alpha", "k": 1}).json() == {"hits": HITS}
    assert behind.asked == [("POST http://hybrid:8004/search", {"query": "alpha", "k": 1})]


def test_ask_answers_from_the_hits_and_shows_them() -> None:
    behind = Behind()
    answer = behind.post("/ask", {"question": "What?", "max_new_tokens": 9})
    assert answer.json() == {"answer": "an answer", "sources": HITS}
    assert behind.asked == [
        ("POST http://hybrid:8004/search", {"query": "What?", "k": 3}),
        (
            "POST http://nlg:8003/generate",
            {
                "prompt": "Context:\n- alpha\n\nQuestion: What?\nAnswer:",
                "max_new_tokens": 9,
                "temperature": 0.0,
                "stream": False,
            },
        ),
    ]


def test_asking_an_empty_collection_says_that_it_is_empty() -> None:
    behind = Behind(hits=[])
    answer = behind.post("/ask", {"question": "What?"})
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "not_found",
        "message": "there are no documents to answer from; ingest some first",
        "service": "api",
    }


@pytest.mark.parametrize(
    ("down", "path", "body", "asked_before"),
    [
        ("embedding", "/ingest", {"documents": [{"id": "a", "text": "b"}]}, 0),
        (
            "storage",
            "/ingest",
            {"documents": [{"id": "a", "text": "b"}, {"id": "c", "text": "d"}]},
            1,
        ),
        ("hybrid", "/search", {"query": "a"}, 0),
        ("hybrid", "/ask", {"question": "a"}, 0),
        ("nlg", "/ask", {"question": "a"}, 0),
    ],
)
def test_a_service_that_is_down_is_named(
    down: str, path: str, body: dict[str, Any], asked_before: int
) -> None:
    behind = Behind(down=down)
    answer = behind.post(path, body)
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["code"], error["service"]) == ("upstream_unavailable", "api")
    assert error["message"].startswith(f"{down} at http://{down}:800")
    assert len(behind.asked) == asked_before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ingest", {"documents": []}),
        ("/ingest", {"documents": [{"id": "a", "text": "b"}] * 257}),
        ("/search", {"query": ""}),
        ("/search", {"query": "a", "k": 0}),
        ("/ask", {"question": "a", "max_new_tokens": 513}),
    ],
)
def test_a_request_out_of_bounds_goes_no_further(path: str, body: dict[str, Any]) -> None:
    behind = Behind()
    answer = behind.post(path, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
    assert behind.asked == []
