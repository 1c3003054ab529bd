"""What must hold of the running hybrid: it finds by word and by sense, whatever storage holds and
however it pages.
"""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

TEXTS = {
    "truck": "He repaired the engine of the old truck in his garage.",
    "opera": "The soprano sang an aria by Verdi on the stage of the theatre.",
    "virus": "The doctor prescribed antibiotics for the infection.",
    "valve": "Order part ZK-4410 when the inlet valve leaks.",
    "valve2": "Order part ZK-4411 when the outlet valve leaks.",
    "snow": "Snow fell on the mountains all night long.",
    "kanji": "漢字 were brought to Japan from China.",
    "odd": "🦊 \u2028 ÄÖÜ straße",
}
BY_WORD = {"ZK-4410": "valve", "zk-4411 VALVE": "valve2", "漢字": "kanji", "STRASSE": "odd"}
BY_SENSE = {
    "a mechanic fixed the motor of a lorry": "truck",
    "medicine against bacteria, given by physicians": "virus",
    "classical singer performing music": "opera",
    "cold winter weather in the Alps": "snow",
}


class Storage:
    """Stands for storage: it ranks by the vectors that hybrid itself has asked with, and pages as
    it likes.
    """

    def __init__(self, service: Any) -> None:
        self.texts: dict[str, str] = {}
        self.vectors: dict[str, list[float]] = {}
        self.page, self.revision = 1000, 0
        self.asked_with: list[float] = []
        self.fails: Any = None
        self.upstream = service.upstream(self.answer, "STORAGE_URL")

    def hold(self, texts: dict[str, str]) -> None:
        self.texts = texts
        self.revision += 1

    def answer(self, method: str, path: str, body: Any) -> Any:
        parts = urlsplit(path)
        if parts.path == "/health":
            return {"status": "ok"}
        if self.fails:
            return self.fails
        if (method, parts.path) == ("GET", "/count"):
            return {"documents": len(self.texts), "revision": self.revision}
        if (method, parts.path) == ("GET", "/documents"):
            query = parse_qs(parts.query, keep_blank_values=True)
            ids = [id_ for id_ in sorted(self.texts) if id_ > query["after"][0]]
            most = min(self.page, int(query["limit"][0]))
            found = [{"id": id_, "text": self.texts[id_]} for id_ in ids[:most]]
            return {"documents": found, "next": found[-1]["id"] if len(ids) > most else None}
        assert (method, path) == ("POST", "/search"), (method, path)
        self.asked_with = body["vector"]
        scores = {
            id_: dot(body["vector"], self.vectors[id_]) for id_ in self.texts if id_ in self.vectors
        }
        best = sorted(scores, key=lambda id_: -scores[id_])[: body["k"]]
        return {
            "hits": [{"id": id_, "text": self.texts[id_], "score": scores[id_]} for id_ in best]
        }


def verify(service: Any) -> None:
    storage = Storage(service)
    assert service.get("/health").json() == {"status": "ok", "service": "hybrid"}
    described = service.get("/openapi.json").json()["paths"]
    routes = {f"{method} {path}" for path, methods in described.items() for method in methods}
    assert routes == {"get /health", "post /search"}, routes
    assert search(service, "anything") == [], "storage is empty"
    storage.hold(TEXTS)
    finds_by_word_alone(service)
    learns(service, storage)
    finds(service)
    sees_what_is_new(service, storage)
    answers_many(service)
    refuses(service)
    names_what_fails(service, storage)


def search(service: Any, query: str, k: int = 5) -> list[dict[str, Any]]:
    answer = service.post("/search", {"query": query, "k": k})
    assert answer.status == 200, answer.text
    hits = list(answer.json()["hits"])
    assert len(hits) <= k and all(a["score"] >= b["score"] for a, b in pairwise(hits)), hits
    for hit in hits:
        assert set(hit) == {"id", "text", "score", "lexical_rank", "dense_rank"}, hit
        assert -1.001 < hit["score"] < 1.001 and (hit["lexical_rank"] or hit["dense_rank"]), hit
    return hits


def finds_by_word_alone(service: Any) -> None:
    """Storage finds nothing by vectors: hits are those that share a word."""
    for query, best in BY_WORD.items():
        hits = search(service, query)
        assert (
            hits[0]["id"] == best and hits[0]["lexical_rank"] and hits[0]["dense_rank"] is None
        ), hits
    assert search(service, "qqqq wwww") == []


def learns(service: Any, storage: Storage) -> None:
    for id_, text in TEXTS.items():
        search(service, text)
        vector = storage.asked_with
        assert len(vector) == 384 and abs(math.hypot(*vector) - 1) < 1e-5, math.hypot(*vector)
        storage.vectors[id_] = vector
    search(service, TEXTS["snow"])
    assert (
        max(abs(a - b) for a, b in zip(storage.asked_with, storage.vectors["snow"], strict=True))
        < 1e-5
    )


def finds(service: Any) -> None:
    for query, best in (BY_WORD | BY_SENSE).items():
        hits = search(service, query, k=8)
        assert hits[0]["id"] == best and len(hits) == len(TEXTS), (query, hits)
        assert sorted(hit["dense_rank"] for hit in hits) == list(range(1, 9)), hits
        assert all(hit["text"] == TEXTS[hit["id"]] for hit in hits)
    assert [hit["id"] for hit in search(service, "  ZK-4410\n", k=1)] == ["valve"]
    exact = search(service, TEXTS["opera"], k=1)[0]
    assert (exact["id"], exact["lexical_rank"], exact["dense_rank"]) == ("opera", 1, 1) and exact[
        "score"
    ] > 0.999
    assert len(service.post("/search", {"query": "valve"}).json()["hits"]) == 5, "the default"


def sees_what_is_new(service: Any, storage: Storage) -> None:
    many = {f"n{number:04}": f"entry number {number} of the ledger" for number in range(1200)}
    storage.page = 3
    storage.hold({**TEXTS, "new": "Quetzalcoatlus flew."})
    assert search(service, "quetzalcoatlus", k=1)[0]["id"] == "new"
    storage.page = 1000
    storage.hold(TEXTS | many)
    assert search(service, "quetzalcoatlus", k=1)[0]["id"] != "new"
    hits = search(service, "entry 1199", k=50)
    assert hits[0]["id"] == "n1199" and len(hits) == 50, hits[0]
    storage.hold(TEXTS)
    assert {hit["id"] for hit in search(service, "entry 1199", k=50)} == set(TEXTS), (
        "what was removed is gone"
    )


def answers_many(service: Any) -> None:
    queries = [*BY_WORD, *BY_SENSE] * 3
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda query: search(service, query, k=1)[0]["id"], queries))
    assert found == [*BY_WORD.values(), *BY_SENSE.values()] * 3, found


def refuses(service: Any) -> None:
    for body in (
        {"query": ""}, {"query": " \n\t"}, {"query": "x" * 10_001}, {"query": 5}, {"query": "x", "k": 0},
        {"query": "x", "k": 51}, {"k": 1}, {}, [],
    ):  # fmt: skip
        failed(service.post("/search", body), 422, "invalid_request")
    failed(
        service.post("/search", body=b"[", headers={"Content-Type": "application/json"}),
        422,
        "invalid_request",
    )
    failed(service.get("/nowhere"), 404, "not_found")
    failed(service.get("/search"), 405, "method_not_allowed")
    search(service, "wörter " * 1_400)


def names_what_fails(service: Any, storage: Storage) -> None:
    storage.upstream.down()
    began = time.monotonic()
    told = f"storage at {storage.upstream.url} is unavailable"
    failed(service.post("/search", {"query": "snow"}), 503, "upstream_unavailable", told)
    assert time.monotonic() - began < 5
    storage.upstream.up()
    for nonsense in ((200, b"<html>"), (500, {"no": "error"})):
        storage.fails = nonsense
        failed(service.post("/search", {"query": "snow"}), 502, "upstream_failed", "storage at")
    storage.fails = None
    assert search(service, "snow", k=1)[0]["id"] == "snow", "it is back"


def failed(answer: Any, status: int, code: str = "", words: str = "") -> None:
    assert answer.status == status, answer.text[:500]
    error = answer.json()["error"]
    assert error["service"] == "hybrid" and code in error["code"] and words in error["message"], (
        answer.text[:500]
    )


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
