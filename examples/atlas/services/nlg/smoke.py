"""What must hold in nlg's final image: the model loads, streams, and its greedy tokens are those
recorded.
"""

import asyncio
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

if TYPE_CHECKING:
    from fastapi import FastAPI
    from numpy.typing import NDArray

    from slimbake_models import Model

PROMPTS = [
    "If the user is authenticated,",
    "This method returns",
    "Grüße an alle: 東京 🙂.",
    "Django provides a template system. " * 200,  # longer than the model's window
]
TOKENS = 24
LEAST_MARGIN = (
    0.02  # of the likeliest token's logit; CPUs differ by about 1e-5, so greedy choices do not
)
TOLERANCE = 1e-3  # on logits, which are around 10
# Of a graph that is rounded: where it reads what was recorded, the least share of places at which
# the recorded token is its likeliest, too, and how far that token's logit may be off. Measured: all
# of 96, 0.05 and 0.2.
ROUNDED = {"fp16": (0.95, 0.2), "int8": (0.9, 1.0)}


def imports() -> None:
    """The modules load."""
    from nlg import app  # noqa: F401
    from slimbake_models import runtime

    runtime(_settings().weights)


def load() -> None:
    """The model loads, and the app continues a prompt: streamed, whole, sampled; too much is
    refused.
    """
    order = {"prompt": PROMPTS[0], "max_new_tokens": TOKENS}
    streamed = _post(order)
    assert streamed.status_code == 200, streamed.text
    assert streamed.headers["content-type"].startswith("text/plain"), streamed.headers
    whole = _post(order | {"stream": False}).json()
    assert whole["text"] == streamed.text != "", (whole, streamed.text)
    assert 0 < len(whole["tokens"]) <= TOKENS, whole
    sampled = [
        _post(order | {"stream": False, "temperature": 5.0}).json()["tokens"] for _ in range(2)
    ]
    assert sampled[0] != sampled[1], sampled
    assert _post(order | {"max_new_tokens": 0}).status_code == 422


def reference() -> dict[str, Any]:
    """The greedy tokens after PROMPTS with their logits, and the digest of the weights: those of
    torch's form.
    """
    assert not _exported(), (
        "the reference is what torch says: record it on the form that runs with it"
    )
    continuations = [_continuation(prompt) for prompt in PROMPTS]
    return {
        "weights": _digest("model.safetensors"),
        "prompts": PROMPTS,
        "continuations": continuations,
    }


def parity(recorded: dict[str, Any]) -> None:
    """The weights are unaltered, byte for byte; tokens are those recorded, logits within TOLERANCE,
    or as ROUNDED.
    """
    exported = _exported()
    for name, digest in exported.get("sha256", {"model.safetensors": recorded["weights"]}).items():
        assert (found := _digest(name)) == digest, f"{name} has another sha256: {found}"
    assert recorded["prompts"] == PROMPTS, "recorded for other prompts"
    if exported.get("precision") in ROUNDED:
        _nearly(recorded["continuations"], *ROUNDED[exported["precision"]])
        return
    for prompt, theirs in zip(PROMPTS, recorded["continuations"], strict=True):
        mine = _continuation(prompt)
        assert mine["tokens"] == theirs["tokens"], f"{mine['tokens']} instead of {theirs['tokens']}"
        worst = max(abs(a - b) for a, b in zip(mine["logits"], theirs["logits"], strict=True))
        assert worst <= TOLERANCE, f"logits are off by {worst:.1e}"


def _nearly(continuations: list[dict[str, Any]], least: float, tolerance: float) -> None:
    """Rounding turns a choice that is close, and all that follows: each place is judged after what
    was recorded.
    """
    model, same, worst = _model(), [], 0.0
    for prompt, theirs in zip(PROMPTS, continuations, strict=True):
        ids, cache = _start(prompt), None
        for token, expected in zip(theirs["tokens"], theirs["logits"], strict=True):
            rows, cache = model.runtime.read(ids, cache)
            logits = rows[-1]
            same.append(int(logits.argmax()) == token)
            worst = max(worst, abs(float(logits[token]) - expected))
            ids = [token]
    assert worst <= tolerance, f"logits are off by {worst:.2f}"
    assert np.mean(same) >= least, f"of the likeliest tokens {np.mean(same):.2f} are those recorded"


def _continuation(prompt: str) -> dict[str, Any]:
    """What the app answers, checked against one pass over prompt and answer without the cache."""
    tokens = _post({"prompt": prompt, "max_new_tokens": TOKENS, "stream": False}).json()["tokens"]
    every = _logits(prompt, tokens)
    likeliest = every.argmax(axis=-1).tolist()
    assert tokens == likeliest, f"{tokens} with the cache, {likeliest} without"
    second, best = np.sort(every, axis=-1)[:, -2:].T
    margin = float((best - second).min())
    assert margin > LEAST_MARGIN, (
        f"{prompt[:40]!r}: a choice by {margin:.4f} is too close, take another"
    )
    return {"tokens": tokens, "logits": [round(logit, 5) for logit in best.tolist()]}


def _logits(prompt: str, tokens: list[int]) -> "NDArray[np.float32]":
    """The logits from which each of the tokens after a prompt is chosen, in one pass."""
    start = _start(prompt)
    return _model().runtime.logits(start + tokens)[len(start) - 1 : -1]


def _start(prompt: str) -> list[int]:
    model = _model()
    (ids,) = model.ids([prompt], model.settings.max_length - TOKENS, "left")
    return ids


@functools.cache
def _model() -> "Model":
    from slimbake_models import load

    read = _settings()
    return load(read.weights, read.dtype)


@functools.cache
def _app() -> "FastAPI":
    from nlg.app import build

    return build(_model())


def _post(body: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://nlg") as client:
            return await client.post("/generate", json=body)

    return asyncio.run(send())


def _exported() -> dict[str, Any]:
    """What is said of the graph; nothing where the weights are torch's."""
    path = _settings().weights / "inference.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _digest(name: str) -> str:
    with (_settings().weights / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settings() -> Any:
    from atlas_common import settings
    from nlg.app import Settings

    return settings.read(Settings)
