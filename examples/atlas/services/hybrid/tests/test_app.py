import asyncio
from typing import Any

import httpx
import pytest

from atlas_common.settings import Url
from hybrid.app import build


def search(encoder: Any, storage: Any, *bodies: dict[str, Any]) -> list[httpx.Response]:
    """Send the requests one after the other to one app."""

    async def send() -> list[httpx.Response]:
        app = build(encoder, Url("http://storage"), httpx.MockTransport(storage))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://hybrid"
            ) as client,
        ):
            return [await client.post("/search", json=body) for body in bodies]

    return asyncio.run(send())


def test_lexical_and_dense_candidates_are_reranked_together(encoder: Any, storage: Any) -> None:
    [answer] = search(encoder, storage, {"query": "bed"})
    assert answer.json()["hits"] == [
        {"id": "2", "text": "bad bed", "score": 1.0, "lexical_rank": 1, "dense_rank": 3},
        {
            "id": "1",
            "text": "cab fee",
            "score": pytest.approx(2 / 3),
            "lexical_rank": None,
            "dense_rank": 2,
        },
        {
            "id": "3",
            "text": "face",
            "score": pytest.approx(1 / 3),
            "lexical_rank": None,
            "dense_rank": 1,
        },
    ]


def test_a_document_that_only_shares_words_is_found(encoder: Any, storage: Any) -> None:
    [answer] = search(encoder, storage, {"query": "quiz", "k": 1})
    assert answer.json()["hits"] == [
        {"id": "4", "text": "quiz", "score": 1.0, "lexical_rank": 1, "dense_rank": None}
    ]


def test_storage_is_searched_with_the_mean_vector_of_the_query(encoder: Any, storage: Any) -> None:
    search(encoder, storage, {"query": "  aab "})
    [vector] = storage.vectors
    assert vector[:3] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 0])


def test_an_empty_storage_has_no_hits(encoder: Any, storage: Any) -> None:
    storage.texts, storage.dense = {}, []
    [answer] = search(encoder, storage, {"query": "bed"})
    assert (answer.status_code, answer.json()) == (200, {"hits": []})


def test_documents_are_read_once_while_storage_does_not_change(encoder: Any, storage: Any) -> None:
    search(encoder, storage, {"query": "bed"}, {"query": "quiz"})
    assert storage.asked.count("/documents") == 3, "five documents are three pages of two"
    assert storage.asked.count("/count") == 2


def test_documents_are_read_anew_after_a_write(encoder: Any, storage: Any) -> None:
    async def send() -> list[str]:
        app = build(encoder, Url("http://storage"), httpx.MockTransport(storage))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://hybrid"
        ) as client:
            await client.post("/search", json={"query": "waltz"})
            storage.texts["4"] = "waltz"
            storage.revision += 1
            answer = await client.post("/search", json={"query": "waltz", "k": 1})
            return [hit["text"] for hit in answer.json()["hits"]]

    assert asyncio.run(send()) == ["waltz"]


def test_searches_at_the_same_time_share_one_reading(encoder: Any, storage: Any) -> None:
    async def send() -> None:
        app = build(encoder, Url("http://storage"), httpx.MockTransport(storage))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://hybrid"
        ) as client:
            await asyncio.gather(*(client.post("/search", json={"query": "bed"}) for _ in range(3)))

    asyncio.run(send())
    assert storage.asked.count("/documents") == 3


def test_many_candidates_go_through_the_model_in_batches(encoder: Any, storage: Any) -> None:
    storage.texts = {f"{number:02}": "bed" for number in range(40)}
    storage.dense = sorted(storage.texts)
    [answer] = search(encoder, storage, {"query": "bed", "k": 40})
    assert [len(batch) for batch in encoder.batches] == [1, 16, 16, 8]
    assert [hit["id"] for hit in answer.json()["hits"]] == storage.dense


def test_storage_being_down_is_told(encoder: Any, storage: Any) -> None:
    storage.down = True
    [answer] = search(encoder, storage, {"query": "bed"})
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["code"], error["service"]) == ("upstream_unavailable", "hybrid")
    assert error["message"].startswith("storage at http://storage is unavailable")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "body.query: Field required"),
        ({"query": " \n"}, "body.query: String should have at least 1 character"),
        ({"query": "a", "k": 0}, "body.k: Input should be greater than or equal to 1"),
        ({"query": "a", "k": 51}, "body.k: Input should be less than or equal to 50"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    encoder: Any, storage: Any, body: dict[str, Any], reason: str
) -> None:
    [answer] = search(encoder, storage, body)
    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "code": "invalid_request",
        "message": reason,
        "service": "hybrid",
    }
