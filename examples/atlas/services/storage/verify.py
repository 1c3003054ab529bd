"""What must hold of the running storage: what is put is found, counted and paged, and outlives the
process.
"""

import math
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

DIMENSION = 384
TOLERANCE = 1e-5  # on a cosine; vectors lie as float32


def verify(service: Any) -> None:
    assert service.get("/health").json() == {"status": "ok", "service": "storage"}
    described = service.get("/openapi.json").json()["paths"]
    routes = {f"{method} {path}" for path, methods in described.items() for method in methods}
    assert routes == {
        "get /health", "put /documents", "get /documents", "get /documents/{document}", "post /search", "get /count",
    }, routes  # fmt: skip
    is_empty(service)
    documents = puts(service)
    searches(service, documents)
    pages(service, documents)
    replaces(service, documents)
    refuses(service, documents)
    at_once(service, documents)
    outlives(service, documents)


def vector(seed: int) -> list[float]:
    numbers = random.Random(seed)  # noqa: S311
    return [numbers.gauss(0, 3) for _ in range(DIMENSION)]


def document(number: int) -> dict[str, Any]:
    return {
        "id": f"dok/{number:04} ä?#%",
        "text": f"Nr. {number}: 文書 🦊 'quoted' \"twice\"",
        "metadata": {"number": number, "größe": [None, True, {"tief": 1.5}]},
        "vector": vector(number),
    }


def is_empty(service: Any) -> None:
    assert service.get("/count").json() == {"documents": 0, "revision": 0}
    assert service.get("/documents").json() == {"documents": [], "next": None}
    assert service.post("/search", {"vector": vector(1)}).json() == {"hits": []}


def puts(service: Any) -> dict[str, dict[str, Any]]:
    documents = [document(number) for number in range(1003)]
    for revision, batch in enumerate((documents[:1], documents[1:3], documents[3:]), 1):
        answer = service.put("/documents", {"documents": batch})
        assert (answer.status, answer.json()) == (200, {"stored": len(batch)}), answer.text
        assert service.get("/count").json()["revision"] == revision
    assert service.get("/count").json()["documents"] == 1003
    for each in (documents[0], documents[2], documents[-1]):
        found = service.get(f"/documents/{quote(each['id'])}")
        assert found.json() == {key: each[key] for key in ("id", "text", "metadata")}, found.text
    return {each["id"]: each for each in documents}


def searches(service: Any, documents: dict[str, dict[str, Any]]) -> None:
    wanted = vector(5000)
    scores = {id_: cosine(wanted, each["vector"]) for id_, each in documents.items()}
    for k in (1, 2, 37, 1000):
        hits = service.post("/search", {"vector": wanted, "k": k}).json()["hits"]
        ranked = sorted(scores.values(), reverse=True)[:k]
        assert len(hits) == k
        assert all(
            abs(hit["score"] - best) < TOLERANCE for hit, best in zip(hits, ranked, strict=True)
        ), k
        assert all(abs(hit["score"] - scores[hit["id"]]) < TOLERANCE for hit in hits), k
        assert all(hit["text"] == documents[hit["id"]]["text"] for hit in hits)
    hits = service.post(
        "/search", {"vector": [n / 1000 for n in documents["dok/0500 ä?#%"]["vector"]]}
    ).json()["hits"]
    assert (
        len(hits) == 5
        and hits[0]["id"] == "dok/0500 ä?#%"
        and abs(hits[0]["score"] - 1) < TOLERANCE
    ), hits


def pages(service: Any, documents: dict[str, dict[str, Any]]) -> None:
    for limit in (1000, 334, 501):
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = service.get(f"/documents?{urlencode({'after': after, 'limit': limit})}").json()
            assert len(page["documents"]) <= limit
            found += [each["id"] for each in page["documents"]]
            after = page["next"]
        assert found == sorted(documents), limit
    assert len(service.get("/documents").json()["documents"]) == 100, "the default"


def replaces(service: Any, documents: dict[str, dict[str, Any]]) -> None:
    new = {**document(7), "text": "neu", "metadata": {}, "vector": vector(9000)}
    assert service.put("/documents", {"documents": [new, {**new, "id": "z"}]}).json() == {
        "stored": 2
    }
    documents |= {new["id"]: new, "z": {**new, "id": "z"}}
    assert service.get("/count").json() == {"documents": 1004, "revision": 4}
    assert service.get(f"/documents/{quote(new['id'])}").json()["text"] == "neu"
    hits = service.post("/search", {"vector": vector(9000), "k": 2}).json()["hits"]
    assert [hit["id"] for hit in hits] == [
        new["id"],
        "z",
    ], "those that are equally near by their ids"


def refuses(service: Any, documents: dict[str, dict[str, Any]]) -> None:
    good = document(2000)
    for change in (
        {"vector": [0.0] * DIMENSION}, {"vector": [1.0] * (DIMENSION - 1)}, {"vector": [1e308] * DIMENSION},
        {"vector": ["one"] * DIMENSION}, {"id": ""}, {"id": "x" * 513}, {"text": ""}, {"text": "x" * 100_001},
        {"metadata": []},
    ):  # fmt: skip
        failed(
            service.put("/documents", {"documents": [good, {**good, **change}]}),
            422,
            "invalid_request",
        )
    json = {"Content-Type": "application/json"}
    failed(
        service.put(
            "/documents",
            body=b'{"documents": [{"id": "a", "text": "b", "vector": [NaN]}]}',
            headers=json,
        )
    )
    failed(service.put("/documents", {"documents": []}))
    failed(service.put("/documents", {"documents": [{**good, "vector": vector(1)}] * 1001}))
    for k in (0, 1001, "many"):
        failed(service.post("/search", {"vector": vector(1), "k": k}))
    failed(service.post("/search", {"vector": []}))
    for limit in ("0", "1001", "x"):
        failed(service.get(f"/documents?limit={limit}"))
    failed(service.get(f"/documents/{quote(good['id'])}"), 404, "not_found")
    failed(service.get("/nowhere"), 404, "not_found")
    failed(service.delete("/documents"), 405, "method_not_allowed")
    assert service.get("/count").json() == {
        "documents": len(documents),
        "revision": 4,
    }, "nothing of it was stored"


def at_once(service: Any, documents: dict[str, dict[str, Any]]) -> None:
    batches = [
        [{**document(n), "id": f"at once {n}"} for n in range(start, start + 5)]
        for start in range(0, 60, 5)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda batch: service.put("/documents", {"documents": batch}).json(), batches)
        )
    assert answers == [{"stored": 5}] * 12, answers
    documents |= {each["id"]: each for batch in batches for each in batch}
    assert service.get("/count").json() == {"documents": len(documents), "revision": 16}


def outlives(service: Any, documents: dict[str, dict[str, Any]]) -> None:
    before = service.post("/search", {"vector": vector(42), "k": 20}).json()
    service.restart()
    assert service.get("/count").json() == {
        "documents": len(documents),
        "revision": 16,
    }, "it is all there"
    assert service.post("/search", {"vector": vector(42), "k": 20}).json() == before
    service.env["DATABASE"] = "/app/atlas.db"  # the root is read-only: the reason is said
    ended = service.run()
    assert ended.code != 0 and "/app/atlas.db must be a file in a folder" in ended.stderr, (
        ended.stderr
    )


def cosine(left: list[float], right: list[float]) -> float:
    return (
        sum(a * b for a, b in zip(left, right, strict=True))
        / math.hypot(*left)
        / math.hypot(*right)
    )


def failed(answer: Any, status: int = 422, code: str = "") -> None:
    assert answer.status == status, answer.text[:500]
    error = answer.json()["error"]
    assert error["service"] == "storage" and code in error["code"], answer.text[:500]
