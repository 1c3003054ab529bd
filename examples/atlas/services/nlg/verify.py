"""What must hold of the running nlg: it goes on with a prompt, the same way streamed, whole, and
beside others.
"""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PROMPTS = [
    "The function raises an error when",
    "Create a new instance of the class",
    "A list of strings that",
    "Ångström \u2028 文字列 🦊",
    "x",
]
TOKENS = 20


def verify(service: Any) -> None:
    assert service.get("/health").json() == {"status": "ok", "service": "nlg"}
    described = service.get("/openapi.json").json()["paths"]
    routes = {f"{method} {path}" for path, methods in described.items() for method in methods}
    assert routes == {"get /health", "post /generate"}, routes
    alone = {prompt: whole(service, prompt, TOKENS) for prompt in PROMPTS}
    is_a_model(alone)
    streams(service, alone)
    counts(service, alone)
    samples(service, alone)
    at_once(service, alone)
    reads_long_prompts(service)
    refuses(service)
    outlives_who_goes_away(service, alone)


def whole(service: Any, prompt: str, most: int, **more: Any) -> dict[str, Any]:
    answer = service.post(
        "/generate", {"prompt": prompt, "max_new_tokens": most, "stream": False, **more}
    )
    assert answer.status == 200, answer.text
    body = dict(answer.json())
    assert set(body) == {"text", "tokens"} and len(body["tokens"]) <= most, body
    return body


def is_a_model(alone: dict[str, dict[str, Any]]) -> None:
    """A model that has lost its weights or its tokenizer goes on with anything in the same way, or
    with no words.
    """
    texts = [body["text"] for body in alone.values()]
    assert len(set(texts)) == len(texts), texts
    for body in alone.values():
        assert len(set(body["tokens"])) > 3, body
    words = " ".join(texts[:3]).split()
    assert (
        len(words) > 15 and sum(word.strip(".,`").isalpha() for word in words) > len(words) / 2
    ), words


def streams(service: Any, alone: dict[str, dict[str, Any]]) -> None:
    for prompt, expected in alone.items():
        answer = service.post(
            "/generate", {"prompt": prompt, "max_new_tokens": TOKENS}
        )  # streams without being asked
        assert answer.headers["content-type"].startswith("text/plain"), answer.headers
        assert answer.text == expected["text"], (answer.text, expected)
        assert len(answer.pieces) > TOKENS / 2, f"{len(answer.pieces)} pieces: not word by word"
        for piece in answer.pieces:
            piece.decode()  # no character is cut in two


def counts(service: Any, alone: dict[str, dict[str, Any]]) -> None:
    prompt = PROMPTS[0]
    for most in (1, 2, 7, 64):
        tokens = whole(service, prompt, most)["tokens"]
        expected = alone[prompt]["tokens"]
        assert tokens[:TOKENS] == expected[:most], f"{most}: {tokens} and {expected}"
    body = service.post("/generate", {"prompt": "Return", "stream": False}).json()
    assert len(body["tokens"]) <= 64, "the default"


def samples(service: Any, alone: dict[str, dict[str, Any]]) -> None:
    prompt = PROMPTS[1]
    assert whole(service, prompt, TOKENS) == alone[prompt], "the likeliest each time"
    drawn = [tuple(whole(service, prompt, TOKENS, temperature=3.5)["tokens"]) for _ in range(3)]
    assert len(set(drawn)) == 3, drawn
    assert whole(service, prompt, TOKENS) == alone[prompt], "samples leave nothing behind"


def at_once(service: Any, alone: dict[str, dict[str, Any]]) -> None:
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda prompt: whole(service, prompt, TOKENS), alone))
    assert found == list(alone.values()), "each goes on with its own"


def reads_long_prompts(service: Any) -> None:
    """What stands last is gone on with, however much stands before it."""
    one = whole(service, "alpha " * 16_000 + PROMPTS[0], 8)
    other = whole(service, "beta! " * 16_000 + PROMPTS[2], 8)
    assert one["tokens"] and other["tokens"] and one != other, (one, other)
    assert whole(service, "z" * 100_000, 512)["tokens"] is not None


def refuses(service: Any) -> None:
    for change in (
        {"prompt": ""}, {"prompt": "x" * 100_001}, {"prompt": None}, {"prompt": ["x"]}, {"max_new_tokens": 0},
        {"max_new_tokens": 513}, {"max_new_tokens": 1.5}, {"temperature": -0.1}, {"temperature": 5.1},
        {"temperature": "hot"}, {"stream": "perhaps"},
    ):  # fmt: skip
        failed(service.post("/generate", {"prompt": "x", **change}), 422, "invalid_request")
    failed(service.post("/generate", {}), 422)
    failed(service.post("/generate", body=b"{", headers={"Content-Type": "application/json"}), 422)
    failed(service.get("/nowhere"), 404, "not_found")
    failed(service.get("/generate"), 405, "method_not_allowed")


def outlives_who_goes_away(service: Any, alone: dict[str, dict[str, Any]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    body = json.dumps({"prompt": PROMPTS[0], "max_new_tokens": 512})
    connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
    assert connection.getresponse().read(1)
    connection.close()
    assert whole(service, PROMPTS[0], TOKENS) == alone[PROMPTS[0]]
    service.env["WEIGHTS"] = "/tmp"  # noqa: S108 - no model lies there, which is said
    ended = service.run()
    assert ended.code != 0 and "holds no model" in ended.stderr, ended.stderr[-500:]


def failed(answer: Any, status: int, code: str = "") -> None:
    assert answer.status == status, answer.text[:500]
    error = answer.json()["error"]
    assert error["service"] == "nlg" and code in error["code"], answer.text[:500]
