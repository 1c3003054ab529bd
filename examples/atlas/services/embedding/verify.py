"""What must hold of the running embedding: what is alike is near, whatever is asked beside it,
before it or at once.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PAIRS = [
    (
        "The doctor prescribed antibiotics for the infection.",
        "A physician gave medicine against the bacteria.",
    ),
    ("He repaired the engine of the old truck.", "The mechanic fixed the motor of a lorry."),
    (
        "The orchestra played a symphony by Mozart.",
        "Musicians performed classical music in the concert hall.",
    ),
    (
        "Snow fell on the mountains all night.",
        "It was a cold winter evening in the Alps with heavy snowfall.",
    ),
    ("The parliament passed a new tax law.", "Legislators voted for a change of taxation."),
    (
        "She baked a chocolate cake for the party.",
        "For the celebration there was a homemade dessert.",
    ),
]
ODD = [
    "",
    " ",
    "\n\t",
    "ß",
    "日本語の文章です。",
    "🦊🦊",
    "a\u0301 é",
    "\x00",
    "x" * 5_000,
    "<s> [CLS] </s>",
    "1e-5",
]
TOLERANCE = 1e-5  # on each number of a vector of length 1


def verify(service: Any) -> None:
    assert service.get("/health").json() == {"status": "ok", "service": "embedding"}
    described = service.get("/openapi.json").json()["paths"]
    routes = {f"{method} {path}" for path, methods in described.items() for method in methods}
    assert routes == {"get /health", "post /embed"}, routes
    means_what_it_says(service)
    batches(service)
    reads_so_far(service)
    refuses(service)


def embed(service: Any, texts: list[str]) -> list[list[float]]:
    answer = service.post("/embed", {"texts": texts})
    assert answer.status == 200, answer.text
    body = answer.json()
    assert (body["model"], body["dimension"], len(body["vectors"])) == (
        "all-MiniLM-L6-v2",
        384,
        len(texts),
    )
    for vector in body["vectors"]:
        assert len(vector) == 384 and abs(math.hypot(*vector) - 1) < TOLERANCE, math.hypot(*vector)
    return list(body["vectors"])


def means_what_it_says(service: Any) -> None:
    texts, others = [one for one, _ in PAIRS], [other for _, other in PAIRS]
    vectors = embed(service, others)
    for text, vector in zip(texts, embed(service, texts), strict=True):
        nearness = [dot(vector, other) for other in vectors]
        assert max(nearness) == nearness[texts.index(text)] > 0.3, f"{text}: {nearness}"


def batches(service: Any) -> None:
    """A text's vector is the same alone, among few, among many, and among those of others."""
    texts = [*ODD, *(text for pair in PAIRS for text in pair)]
    alone = [embed(service, [text])[0] for text in texts]
    for size in (3, 17):
        found = [
            vector
            for n in range(0, len(texts), size)
            for vector in embed(service, texts[n : n + size])
        ]
        alike(found, alone, f"batches of {size}")
    short = len(ODD)  # padding to a long text would make the others slow
    many = (texts[short:] * 22)[:256]
    alike(embed(service, many), (alone[short:] * 22)[:256], "the largest batch")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda text: embed(service, [text])[0], texts))
    alike(answers, alone, "requests at once")


def reads_so_far(service: Any) -> None:
    long = "deep blue sea " * 400
    one, more, other, upper, lower = embed(
        service, [long, long + "desert", "desert " + long, "OLD Town", "old town"]
    )
    alike([one, upper], [more, lower], "what follows the longest that is read, and capitals")
    assert dot(one, other) < 1 - TOLERANCE, "what stands at the front is read"
    embed(service, ["word " * 20_000])


def refuses(service: Any) -> None:
    for body in (
        {"texts": []},
        {"texts": ["x"] * 257},
        {"texts": ["x" * 100_001]},
        {"texts": [1]},
        {"texts": "text"},
        {"texts": [None]},
        {},
        [],
    ):
        failed(service.post("/embed", body), 422, "invalid_request")
    failed(
        service.post("/embed", body=b"{", headers={"Content-Type": "application/json"}),
        422,
        "invalid_request",
    )
    failed(
        service.post("/embed", body=b"\xff", headers={"Content-Type": "application/json"}),
        400,
        "bad_request",
    )
    failed(service.post("/nowhere", {}), 404, "not_found")
    failed(service.get("/embed"), 405, "method_not_allowed")
    embed(service, ["and it goes on"])


def alike(found: list[list[float]], expected: list[list[float]], what: str) -> None:
    worst = max(
        abs(a - b)
        for one, two in zip(found, expected, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert worst <= TOLERANCE, f"{what}: off by {worst:.1e}"


def failed(answer: Any, status: int, code: str = "") -> None:
    assert answer.status == status, answer.text[:500]
    error = answer.json()["error"]
    assert error["service"] == "embedding" and code in error["code"], answer.text


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
