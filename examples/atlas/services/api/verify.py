"""What must hold of the running gateway: each route hands on what it should, and a service that
fails is named.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

DOCUMENTS = [{"id": f"näm/{n}", "text": f"文書 {n} \u2028 🦊"} for n in range(256)]
HIT = {
    "id": "venus",
    "text": "Venus  is\nhot.",
    "score": 0.5,
    "lexical_rank": None,
    "dense_rank": 1,
}


class Behind:
    """The four services behind the gateway, whose answers a check may replace."""

    def __init__(self, service: Any) -> None:
        self.answers: dict[str, Any] = {}
        self.embedding = service.upstream(self.embed, "EMBEDDING_URL")
        self.storage = service.upstream(self.store, "STORAGE_URL")
        self.hybrid = service.upstream(self.search, "HYBRID_URL")
        self.nlg = service.upstream(self.generate, "NLG_URL")

    def embed(self, method: str, path: str, body: Any) -> Any:
        if path == "/health":
            return {"status": "ok"}
        assert (method, path) == ("POST", "/embed")
        return {"vectors": [[len(text), number] for number, text in enumerate(body["texts"])]}

    def store(self, method: str, path: str, body: Any) -> Any:
        if path == "/health":
            return {"status": "ok"}
        assert (method, path) == ("PUT", "/documents")
        return self.answers.get("store", {"stored": len(body["documents"])})

    def search(self, method: str, path: str, body: Any) -> Any:
        if path == "/health":
            return {"status": "ok"}
        assert (method, path) == ("POST", "/search")
        return self.answers.get(
            "search", {"hits": [{**HIT, "id": body["query"]}] * min(body["k"], 2)}
        )

    def generate(self, method: str, path: str, body: Any) -> Any:
        if path == "/health":
            return {"status": "ok"}
        assert (method, path) == ("POST", "/generate")
        return self.answers.get("generate", {"text": "  Yes, 金星.\n", "tokens": [1, 2]})


def verify(service: Any) -> None:
    behind = Behind(service)
    assert service.get("/health").json() == {"status": "ok", "service": "api"}
    described = service.get("/openapi.json").json()["paths"]
    routes = {f"{method} {path}" for path, methods in described.items() for method in methods}
    assert routes == {"get /health", "post /ingest", "post /search", "post /ask"}, routes
    ingests(service, behind)
    searches(service, behind)
    asks(service, behind)
    refuses(service)
    names_what_fails(service, behind)


def ingests(service: Any, behind: Behind) -> None:
    for count in (1, 7, 256):
        documents = DOCUMENTS[:count]
        answer = service.post("/ingest", {"documents": documents})
        assert (answer.status, answer.json()) == (200, {"stored": count}), answer.text
        stored = behind.storage.asked[-1].body["documents"]
        assert [{"id": d["id"], "text": d["text"]} for d in stored] == documents
        assert [d["vector"] for d in stored] == [
            [len(d["text"]), n] for n, d in enumerate(documents)
        ], "in order"


def searches(service: Any, behind: Behind) -> None:
    assert service.post("/search", {"query": "q"}).json() == {"hits": [{**HIT, "id": "q"}] * 2}
    assert behind.hybrid.asked[-1].body == {"query": "q", "k": 5}, "the default"
    assert len(service.post("/search", {"query": "q", "k": 1}).json()["hits"]) == 1
    service.post("/search", {"query": "ü" * 10_000, "k": 50})
    assert behind.hybrid.asked[-1].body == {"query": "ü" * 10_000, "k": 50}
    queries = [f"問い {n}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda query: service.post("/search", {"query": query, "k": 1}).json(), queries
            )
        )
    assert [answer["hits"][0]["id"] for answer in found] == queries, (
        "each has the answer to its own"
    )


def asks(service: Any, behind: Behind) -> None:
    answer = service.post("/ask", {"question": " Is it hot? ", "k": 2, "max_new_tokens": 9})
    assert answer.json() == {
        "answer": "Yes, 金星.",
        "sources": [{**HIT, "id": " Is it hot? "}] * 2,
    }, answer.text
    order = behind.nlg.asked[-1].body
    assert (order["max_new_tokens"], order["temperature"], order["stream"]) == (
        9,
        0.0,
        False,
    ), order
    assert (
        order["prompt"]
        == "Context:\n- Venus is hot.\n- Venus is hot.\n\nQuestion: Is it hot?\nAnswer:"
    ), order
    behind.answers["search"] = {"hits": [{**HIT, "text": "long words " * 5_000}] * 10}
    service.post("/ask", {"question": "?", "k": 10})
    assert len(behind.nlg.asked[-1].body["prompt"]) < 1_400, "sources are cut"
    behind.answers["search"] = {"hits": []}
    failed(service.post("/ask", {"question": "?"}), 404, "not_found", "ingest")
    behind.answers.clear()


def refuses(service: Any) -> None:
    document = DOCUMENTS[0]
    for path, body in (
        ("/ingest", {"documents": []}),
        ("/ingest", {"documents": [document] * 257}),
        ("/ingest", {"documents": [{**document, "id": ""}]}),
        ("/ingest", {"documents": [{**document, "text": "x" * 100_001}]}),
        ("/search", {"query": ""}),
        ("/search", {"query": "q", "k": 51}),
        ("/search", {"query": 7}),
        ("/ask", {"question": "q" * 1_001}),
        ("/ask", {"question": "q", "max_new_tokens": 0}),
        ("/ask", {}),
    ):
        failed(service.post(path, body), 422, "invalid_request", "body")
    failed(
        service.post("/search", body=b"{no JSON", headers={"Content-Type": "application/json"}), 422
    )
    failed(service.get("/nowhere"), 404, "not_found")
    failed(service.get("/docs"), 404, "not_found")
    failed(service.delete("/search"), 405, "method_not_allowed")


def names_what_fails(service: Any, behind: Behind) -> None:
    calls = {
        "embedding": ("/ingest", {"documents": DOCUMENTS[:1]}),
        "storage": ("/ingest", {"documents": DOCUMENTS[:1]}),
        "hybrid": ("/search", {"query": "q"}),
        "nlg": ("/ask", {"question": "q"}),
    }
    for name, (path, body) in calls.items():
        upstream = getattr(behind, name)
        upstream.down()
        searched = len(behind.hybrid.asked)
        began = time.monotonic()
        failed(
            service.post(path, body),
            503,
            "upstream_unavailable",
            f"{name} at {upstream.url} is unavailable",
        )
        assert time.monotonic() - began < 5
        assert name != "nlg" or len(behind.hybrid.asked) == searched, (
            "no search whose hits nobody puts into words"
        )
        upstream.up()
        assert service.post(path, body).status == 200, f"{name} is back"
    behind.answers["store"] = 422, {"error": {"code": "invalid_request", "message": "too odd"}}
    failed(
        service.post("/ingest", {"documents": DOCUMENTS[:1]}),
        422,
        "invalid_request",
        "storage: too odd",
    )
    for nonsense in ((500, b"<html>"), (200, b"[1"), (500, {"error": "no object"})):
        behind.answers["generate"] = nonsense
        failed(service.post("/ask", {"question": "q"}), 502, "upstream_failed", "nlg at")
    behind.answers.clear()


def failed(answer: Any, status: int, code: str = "", words: str = "") -> None:
    error = answer.json()["error"]
    assert answer.status == status, answer.text
    assert error["service"] == "api" and code in error["code"] and words in error["message"], (
        answer.text
    )
