"""What must hold in embedding's final image: MiniLM loads; its vectors are those of the unpruned image."""

import asyncio
import functools
import hashlib
import math
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from fastapi import FastAPI

TEXTS = [
    "A cat sleeps on the warm windowsill.",
    "A kitten is napping in the sunshine by the window.",
    "The central bank raised its interest rate by half a point.",
    "Überraschung: naïve façades, 東京, 🙂.",
    "",
    "token " * 400,  # longer than the model reads
]
TOLERANCE = 1e-5  # on each number of a vector of length 1


def imports() -> None:
    """The modules load."""
    from embedding import app, model  # noqa: F401


def load() -> None:
    """The app answers with vectors of length 1; what is alike is near; too much is refused."""
    answer = _answer()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    vectors = body.pop("vectors")
    assert body == {"model": "all-MiniLM-L6-v2", "dimension": 384}, body
    assert [len(vector) for vector in vectors] == [384] * len(TEXTS)
    assert all(abs(math.hypot(*vector) - 1) < TOLERANCE for vector in vectors)
    alike, unlike = _cosine(vectors[0], vectors[1]), _cosine(vectors[0], vectors[2])
    assert alike > 0.5 > 0.2 > unlike, (alike, unlike)
    assert _post({"texts": ["x"] * 257}).status_code == 422


def reference() -> dict[str, Any]:
    """The vectors of TEXTS and the digest of the weights that made them."""
    vectors = _answer().json()["vectors"]
    return {
        "weights": _digest(),
        "texts": TEXTS,
        "vectors": [[round(number, 8) for number in vector] for vector in vectors],
    }


def parity(recorded: dict[str, Any]) -> None:
    """The weights are those recorded, byte for byte, and the vectors too, within TOLERANCE a number."""
    now = reference()
    assert now["weights"] == recorded["weights"], f"model.safetensors has another sha256: {now['weights']}"
    assert now["texts"] == recorded["texts"], "recorded for other texts"
    for text, mine, theirs in zip(TEXTS, now["vectors"], recorded["vectors"], strict=True):
        worst = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
        assert worst <= TOLERANCE, f"{text[:40]!r} is off by {worst:.1e}"


@functools.cache
def _app() -> "FastAPI":
    from atlas_common import settings
    from embedding.app import Settings, build
    from embedding.model import MiniLM

    return build(MiniLM(settings.read(Settings).weights))


@functools.cache
def _answer() -> httpx.Response:
    return _post({"texts": TEXTS})


def _post(body: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://embedding") as client:
            return await client.post("/embed", json=body)

    return asyncio.run(send())


def _digest() -> str:
    from atlas_common import settings
    from embedding.app import Settings

    with (settings.read(Settings).weights / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
