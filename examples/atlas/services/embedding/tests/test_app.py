import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.app import MOST_TEXTS, build
from slimbake_models import BATCH


class Lengths:
    """An encoder whose vectors are the texts' lengths; it remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(len(texts))
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def embed(*bodies: dict[str, Any], encoder: Lengths | None = None) -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        app = build(encoder or Lengths())
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://embedding"
            ) as client,
        ):
            return await asyncio.gather(*(client.post("/embed", json=body) for body in bodies))

    return asyncio.run(send())


def test_each_text_gets_its_vector_in_order() -> None:
    [answer] = embed({"texts": ["a", "", "ccc"]})
    assert answer.json() == {
        "model": "all-MiniLM-L6-v2",
        "dimension": 384,
        "vectors": [[1.0], [0.0], [3.0]],
    }


def test_a_long_request_goes_through_the_model_in_batches() -> None:
    encoder = Lengths()
    texts = ["x" * length for length in range(BATCH + 2)]
    [answer] = embed({"texts": texts}, encoder=encoder)
    assert encoder.batches == [BATCH, 2]
    assert answer.json()["vectors"] == [[float(length)] for length in range(BATCH + 2)]


def test_requests_take_turns_batch_by_batch() -> None:
    encoder = Lengths()
    embed({"texts": ["x"] * 3 * BATCH}, {"texts": ["y"]}, encoder=encoder)
    assert sorted(encoder.batches) == [1, BATCH, BATCH, BATCH]
    assert encoder.batches[-1] == BATCH, "the short request waited for the whole long one"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"texts": []}, "body.texts: List should have at least 1 item"),
        ({"texts": ["x"] * (MOST_TEXTS + 1)}, "body.texts: List should have at most 256 items"),
        ({"texts": ["x" * 100_001]}, "body.texts.0: String should have at most 100000 characters"),
        ({"texts": [1]}, "body.texts.0: Input should be a valid string"),
        ({}, "body.texts: Field required"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(body: dict[str, Any], reason: str) -> None:
    [answer] = embed(body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["service"]) == ("invalid_request", "embedding")
    assert error["message"].startswith(reason)


def test_the_most_texts_that_are_allowed_are_served() -> None:
    [answer] = embed({"texts": ["x"] * MOST_TEXTS})
    assert len(answer.json()["vectors"]) == MOST_TEXTS
