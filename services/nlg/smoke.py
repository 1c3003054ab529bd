"""What must hold in nlg's final image: the model loads, streams, and its greedy tokens are those recorded."""

import asyncio
import functools
import hashlib
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from fastapi import FastAPI

    from nlg.model import CausalModel

PROMPTS = [
    "If the user is authenticated,",
    "This method returns",
    "Grüße an alle: 東京 🙂.",
    "Django provides a template system. " * 200,  # longer than the model's window
]
TOKENS = 24
LEAST_MARGIN = 0.02  # of the likeliest token's logit; CPUs differ by about 1e-5, so greedy choices do not
TOLERANCE = 1e-3  # on logits, which are around 10


def imports() -> None:
    """The modules load."""
    from nlg import app, model  # noqa: F401


def load() -> None:
    """The model loads, and the app continues a prompt: streamed, whole, sampled; too much is refused."""
    order = {"prompt": PROMPTS[0], "max_new_tokens": TOKENS}
    streamed = _post(order)
    assert streamed.status_code == 200, streamed.text
    assert streamed.headers["content-type"].startswith("text/plain"), streamed.headers
    whole = _post(order | {"stream": False}).json()
    assert whole["text"] == streamed.text != "", (whole, streamed.text)
    assert 0 < len(whole["tokens"]) <= TOKENS, whole
    sampled = [_post(order | {"stream": False, "temperature": 5.0}).json()["tokens"] for _ in range(2)]
    assert sampled[0] != sampled[1], sampled
    assert _post(order | {"max_new_tokens": 0}).status_code == 422


def reference() -> dict[str, Any]:
    """The greedy tokens after PROMPTS with their logits, and the digest of the weights."""
    return {"weights": _digest(), "prompts": PROMPTS, "continuations": [_continuation(p) for p in PROMPTS]}


def parity(recorded: dict[str, Any]) -> None:
    """The weights are those recorded, byte for byte; token ids are equal, logits within TOLERANCE."""
    now = reference()
    assert now["weights"] == recorded["weights"], f"model.safetensors has another sha256: {now['weights']}"
    assert now["prompts"] == recorded["prompts"], "recorded for other prompts"
    for mine, theirs in zip(now["continuations"], recorded["continuations"], strict=True):
        assert mine["tokens"] == theirs["tokens"], f"{mine['tokens']} instead of {theirs['tokens']}"
        worst = max(abs(a - b) for a, b in zip(mine["logits"], theirs["logits"], strict=True))
        assert worst <= TOLERANCE, f"logits are off by {worst:.1e}"


def _continuation(prompt: str) -> dict[str, Any]:
    """What the app answers, checked against one pass over prompt and answer without the cache."""
    import torch

    tokens = _post({"prompt": prompt, "max_new_tokens": TOKENS, "stream": False}).json()["tokens"]
    causal = _causal_model()
    window = causal.model.config.max_position_embeddings
    start = causal.tokenizer(prompt, truncation=True, max_length=window - TOKENS)["input_ids"]
    with torch.inference_mode():
        every = causal.model(input_ids=torch.tensor([start + tokens])).logits[0]
    best, second = every[len(start) - 1 : -1].topk(2).values.unbind(dim=-1)
    likeliest = every[len(start) - 1 : -1].argmax(dim=-1).tolist()
    assert tokens == likeliest, f"{tokens} with the cache, {likeliest} without"
    margin = float((best - second).min())
    assert margin > LEAST_MARGIN, f"{prompt[:40]!r}: a choice by {margin:.4f} is too close, take another"
    return {"tokens": tokens, "logits": [round(logit, 5) for logit in best.tolist()]}


@functools.cache
def _causal_model() -> "CausalModel":
    from atlas_common import settings
    from nlg.app import Settings
    from nlg.model import CausalModel

    return CausalModel(settings.read(Settings).weights)


@functools.cache
def _app() -> "FastAPI":
    from nlg.app import build

    return build(_causal_model())


def _post(body: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://nlg") as client:
            return await client.post("/generate", json=body)

    return asyncio.run(send())


def _digest() -> str:
    from atlas_common import settings
    from nlg.app import Settings

    with (settings.read(Settings).weights / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
