import asyncio
from typing import Any

import httpx
import pytest

from storage.app import DIMENSION, build
from storage.store import Store


def ask(store: Store, method: str, path: str, **arguments: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(build(store))
        async with httpx.AsyncClient(transport=transport, base_url="http://storage") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(send())


def vector(*head: float) -> list[float]:
    return [*head, *[0.0] * (DIMENSION - len(head))]


def put(store: Store, *documents: dict[str, Any]) -> httpx.Response:
    return ask(store, "PUT", "/documents", json={"documents": documents})


def test_a_document_comes_back_as_it_was_put(store: Store) -> None:
    answer = put(
        store, {"id": "a/b c", "text": "é", "metadata": {"page": [1]}, "vector": vector(3)}
    )
    assert answer.json() == {"stored": 1}
    found = ask(store, "GET", "/documents/a%2Fb%20c")
    assert found.json() == {"id": "a/b c", "text": "é", "metadata": {"page": [1]}}
    assert ask(store, "GET", "/count").json() == {"documents": 1, "revision": 1}


def test_an_unknown_document_is_not_found(store: Store) -> None:
    answer = ask(store, "GET", "/documents/x")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "there is no document 'x'", "service": "storage"}
    }


def test_paging_visits_every_document_once(store: Store) -> None:
    put(store, *({"id": name, "text": name, "vector": vector(1)} for name in "edcba"))
    seen, after = [], ""
    for _ in range(3):
        page = ask(store, "GET", "/documents", params={"after": after, "limit": 2}).json()
        seen += [document["id"] for document in page["documents"]]
        after = page["next"]
    assert seen == list("abcde")
    assert after is None


def test_the_next_page_is_not_announced_when_the_last_one_is_full(store: Store) -> None:
    put(store, *({"id": name, "text": name, "vector": vector(1)} for name in "ab"))
    assert ask(store, "GET", "/documents", params={"limit": 2}).json()["next"] is None


def test_search_scores_by_cosine_whatever_the_length(store: Store) -> None:
    put(
        store,
        {"id": "along", "text": "t", "vector": vector(1e30)},
        {"id": "across", "text": "u", "vector": vector(0, 1e-30)},
    )
    hits = ask(store, "POST", "/search", json={"vector": vector(0.5), "k": 2}).json()["hits"]
    assert hits == [
        {"id": "along", "text": "t", "score": 1.0},
        {"id": "across", "text": "u", "score": 0.0},
    ]


@pytest.mark.parametrize(
    ("vector_json", "reason"),
    [
        ("[1, 2]", "at least 384 items"),
        (f"[{'0,' * 383} 0]", "a length that is finite and not 0"),
        (f"[{'0,' * 383} NaN]", "finite number"),
        (f"[{'1e308,' * 383} 1e308]", "a length that is finite and not 0"),
    ],
)
def test_a_vector_without_a_direction_is_refused(
    store: Store, vector_json: str, reason: str
) -> None:
    answer = ask(
        store,
        "POST",
        "/search",
        content=f'{{"vector": {vector_json}}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"
    assert reason in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "broken", [r'"text": "\ud800"', r'"text": "t", "metadata": {"a": "\ud800"}']
)
def test_text_that_is_no_unicode_is_refused(store: Store, broken: str) -> None:
    content = f'{{"documents": [{{"id": "a", {broken}, "vector": {vector(1.0)}}}]}}'
    answer = ask(
        store, "PUT", "/documents", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422


def test_metadata_that_json_cannot_carry_is_refused(store: Store) -> None:
    content = (
        '{"documents": [{"id": "a", "text": "t", "metadata": {"n": NaN}, "vector":'
        f" {vector(1.0)}}}]}}"
    )
    answer = ask(
        store, "PUT", "/documents", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
