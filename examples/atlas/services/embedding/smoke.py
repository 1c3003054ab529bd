"""What must hold in embedding's final image: MiniLM loads; its vectors are those of the unpruned
image.

The reference is torch's. A graph made of the same weights has to come as near to it as its
precision can.
"""

import asyncio
import functools
import hashlib
import json
import math
from pathlib import Path
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
# The least cosine to torch's vectors, by the precision of a graph; docs/inference-figures.md has
# what was measured.
LEAST_COSINE = {"fp16": 0.999, "int8": 0.99}


def imports() -> None:
    """The modules load."""
    from embedding import app  # noqa: F401
    from slimbake_models import runtime

    runtime(_weights())


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
    return {
        "weights": _digest("model.safetensors"),
        "texts": TEXTS,
        "vectors": [
            [round(number, 8) for number in vector] for vector in _answer().json()["vectors"]
        ],
    }


def parity(recorded: dict[str, Any]) -> None:
    """The weights are unaltered, and the vectors those recorded: torch's and fp32's within
    TOLERANCE a number.
    """
    precision = _unaltered(recorded["weights"])
    assert recorded["texts"] == TEXTS, "recorded for other texts"
    for text, mine, theirs in zip(
        TEXTS, _answer().json()["vectors"], recorded["vectors"], strict=True
    ):
        if least := LEAST_COSINE.get(precision):
            cosine = _cosine(mine, theirs)
            assert cosine >= least, (
                f"{text[:40]!r} has cosine {cosine:.4f} to torch's, {precision} allows {least}"
            )
        else:
            worst = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
            assert worst <= TOLERANCE, f"{text[:40]!r} is off by {worst:.1e}"


def _unaltered(recorded: str) -> str:
    """Check the weights, byte for byte: torch's are those recorded, a graph's those exported. Their
    precision.
    """
    if not (_weights() / "model.onnx").is_file():
        now = _digest("model.safetensors")
        assert now == recorded, f"model.safetensors has another sha256: {now}"
        return "fp32"
    told = json.loads((_weights() / "inference.json").read_text(encoding="utf-8"))
    altered = [name for name, digest in told["sha256"].items() if _digest(name) != digest]
    assert not altered, f"not what was exported: {', '.join(altered)}"
    return str(told["precision"])


@functools.cache
def _app() -> "FastAPI":
    from embedding.app import build
    from slimbake_models import load

    return build(load(_weights()))


@functools.cache
def _answer() -> httpx.Response:
    return _post({"texts": TEXTS})


def _post(body: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://embedding") as client:
            return await client.post("/embed", json=body)

    return asyncio.run(send())


def _weights() -> Path:
    from atlas_common import settings
    from embedding.app import Settings

    return settings.read(Settings).weights


def _digest(name: str) -> str:
    with (_weights() / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
