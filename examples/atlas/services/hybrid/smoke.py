"""What must hold in hybrid's final image: BM25 and MiniLM load; what is found is as in the unpruned
image.

The reference is torch's. A graph made of the same weights has to come as near to it as its
precision can.
"""

import asyncio
import functools
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from fastapi import FastAPI

    from slimbake_models import Model

TEXTS = {
    "cat": "A cat sleeps on the warm windowsill while rain falls outside.",
    "bank": "The central bank raised its interest rate by half a point on Thursday.",
    "river": "They sat on the bank of the river and watched the ferry leave.",
    "error": "Error E1234 means that the disk is full; delete old logs and start again.",
    "bread": "Knead the dough for ten minutes, then let it rise until it has doubled.",
    "tokyo": "Die Präfektur Tokio (東京) hat vierzehn Millionen Einwohner.",
}
QUERIES = ["monetary policy of the bank", "E1234", "a kitten naps by the window", "東京"]
BEST = ["bank", "error", "cat", "tokyo"]
LEAST_GAP = 1e-4  # between neighbours' cosines; CPUs differ by about 1e-7, so ranks do not
TOLERANCE = 1e-5  # on cosines, and on each number of a vector of length 1
# The least cosine to torch's vectors, by the precision of a graph; docs/inference-figures.md has
# what was measured.
LEAST_COSINE = {"fp16": 0.999, "int8": 0.99}
SCORE_TOLERANCE = 0.05  # on the scores of such a graph, which are means of cosines


def imports() -> None:
    """The modules load."""
    from hybrid import app, lexical, storage  # noqa: F401
    from slimbake_models import runtime

    runtime(_weights())


def load() -> None:
    """The app finds by word and by sense; a query of nothing is refused."""
    for query, best in zip(QUERIES, BEST, strict=True):
        hits = _search(query)["hits"]
        assert [hits[0]["id"], len(hits)] == [best, len(TEXTS)], hits
    assert _post({"query": " "}).status_code == 422


def reference() -> dict[str, Any]:
    """The answers to QUERIES, the vectors that storage was asked with, and the digest of the
    weights.
    """
    weights = _digest("model.safetensors")
    return {
        "weights": weights,
        "queries": QUERIES,
        "searches": [_exact(query) for query in QUERIES],
    }


def parity(recorded: dict[str, Any]) -> None:
    """The weights are unaltered; hits and ranks are equal, numbers within TOLERANCE, as torch's and
    fp32's must be.
    """
    least = LEAST_COSINE.get(_unaltered(recorded["weights"]))
    assert recorded["queries"] == QUERIES, "recorded for other queries"
    for query, theirs in zip(QUERIES, recorded["searches"], strict=True):
        if least:
            _rounded(query, _search(query), theirs, least)
            continue
        mine = _exact(query)
        _near(mine["vector"], theirs["vector"], f"the vector of {query!r}")
        scores, recorded_scores = (
            [hit.pop("score") for hit in side["hits"]] for side in (mine, theirs)
        )
        assert mine["hits"] == theirs["hits"], (
            f"{query!r}: {mine['hits']} instead of {theirs['hits']}"
        )
        _near(scores, recorded_scores, f"a score for {query!r}")


def _rounded(query: str, mine: dict[str, Any], theirs: dict[str, Any], least: float) -> None:
    """Check what coarser numbers find: the best hit is the same, and each text's score about that
    of torch.
    """
    cosine = _dot(mine["vector"], theirs["vector"])
    assert cosine >= least, f"the vector of {query!r} has cosine {cosine:.4f} to torch's"
    assert mine["hits"][0]["id"] == theirs["hits"][0]["id"], (
        f"{query!r}: {mine['hits'][0]} is first"
    )
    expected = {hit["id"]: hit["score"] for hit in theirs["hits"]}
    for hit in mine["hits"]:
        off = abs(hit["score"] - expected[hit["id"]])
        assert off <= SCORE_TOLERANCE, f"the score of {hit['id']} for {query!r} is off by {off:.3f}"


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


def _near(mine: list[float], theirs: list[float], what: str) -> None:
    worst = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
    assert worst <= TOLERANCE, f"{what} is off by {worst:.1e}"


def _search(query: str) -> dict[str, Any]:
    """Rank all of TEXTS; the answer tells too with what vector storage was asked."""
    answer = _post({"query": query, "k": len(TEXTS)})
    assert answer.status_code == 200, answer.text
    hits = [{**hit, "score": round(hit["score"], 7)} for hit in answer.json()["hits"]]
    return {"hits": hits, "vector": [round(number, 8) for number in _storage().asked_with]}


def _exact(query: str) -> dict[str, Any]:
    """What is found, where no neighbours are so close that another CPU may swap them."""
    found = _search(query)
    _apart([hit["score"] for hit in found["hits"]], query)
    _apart(sorted(_storage().scores, reverse=True), "dense")
    return found


def _apart(scores: list[float], query: str) -> None:
    closest = min(a - b for a, b in pairwise(scores))
    assert closest > LEAST_GAP, (
        f"{query!r}: an order by {closest:.1e} is too close, take another query"
    )


class _Storage:
    """Stands for storage: all of TEXTS, ranked by the cosine of their vectors."""

    def __init__(self) -> None:
        self._vectors = [
            encoded.vector.tolist() for encoded in _model().encode_tokens(list(TEXTS.values()))
        ]
        self.asked_with: list[float] = []
        self.scores: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        documents: list[dict[str, Any]] = [{"id": id_, "text": text} for id_, text in TEXTS.items()]
        match request.url.path:
            case "/count":
                return httpx.Response(200, json={"documents": len(TEXTS), "revision": 1})
            case "/documents":
                return httpx.Response(200, json={"documents": documents, "next": None})
            case "/search":
                self.asked_with = json.loads(request.content)["vector"]
                self.scores = [_dot(self.asked_with, vector) for vector in self._vectors]
                for document, score in zip(documents, self.scores, strict=True):
                    document["score"] = score
                return httpx.Response(
                    200, json={"hits": sorted(documents, key=lambda hit: -hit["score"])}
                )
        return httpx.Response(200, json={"status": "ok", "service": "storage"})


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


@functools.cache
def _model() -> "Model":
    from slimbake_models import load

    return load(_weights())


@functools.cache
def _storage() -> _Storage:
    return _Storage()


@functools.cache
def _app() -> "FastAPI":
    from atlas_common.settings import url
    from hybrid.app import build

    return build(_model(), url("http://storage:8002"), httpx.MockTransport(_storage()))


def _post(body: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://hybrid") as client:
            return await client.post("/search", json=body)

    return asyncio.run(send())


def _weights() -> Path:
    from atlas_common import settings
    from hybrid.app import Settings

    return settings.read(Settings).weights


def _digest(name: str) -> str:
    with (_weights() / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
