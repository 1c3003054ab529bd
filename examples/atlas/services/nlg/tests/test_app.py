import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from nlg.app import build
from slimbake_models import Piece


class Echo:
    """Gives the prompt back letter by letter; it remembers whose turn it was, and who was let go."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.ended: list[str] = []

    def generate(self, prompt: str, max_new_tokens: int, temperature: float) -> Iterator[Piece]:
        try:
            for letter in prompt[:max_new_tokens]:
                self.turns.append(prompt)
                yield Piece(token=ord(letter), text=letter if temperature == 0 else letter.upper())
        finally:
            self.ended.append(prompt)


def generate(*bodies: dict[str, Any], generator: Echo | None = None) -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        app = build(generator or Echo())
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://nlg") as client,
        ):
            return await asyncio.gather(*(client.post("/generate", json=body) for body in bodies))

    return asyncio.run(send())


def test_an_answer_streams_as_plain_text_unless_told_otherwise() -> None:
    [answer] = generate({"prompt": "grün"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.content.decode("utf-8") == "grün"


def test_a_whole_answer_has_its_tokens() -> None:
    [answer] = generate({"prompt": "abc", "stream": False, "max_new_tokens": 2})
    assert answer.json() == {"text": "ab", "tokens": [97, 98]}


def test_temperature_reaches_the_model() -> None:
    [answer] = generate({"prompt": "abc", "temperature": 0.5})
    assert answer.text == "ABC"


def test_two_answers_take_turns_token_by_token() -> None:
    generator = Echo()
    long, short = "l" * 100, "s"
    generate({"prompt": long}, {"prompt": short}, generator=generator)
    assert generator.ended == [short, long]


def test_each_token_is_sent_before_the_next_is_made() -> None:
    generator = Echo()
    sent = asyncio.run(first_chunks(build(generator), generator, "abcdef", most=2))
    assert sent == [(b"a", 1), (b"b", 2)]


def test_a_caller_who_goes_away_ends_the_work() -> None:
    generator = Echo()
    asyncio.run(first_chunks(build(generator), generator, "abcdef", most=2))
    while not generator.ended:  # the step that was running may still be
        time.sleep(0.01)
    assert generator.ended == ["abcdef"]
    assert len(generator.turns) < len("abcdef")


async def first_chunks(
    app: FastAPI, generator: Echo, prompt: str, most: int
) -> list[tuple[bytes, int]]:
    """Read so many chunks as a raw ASGI server would, each with the count of tokens made, then hang
    up.
    """
    body = f'{{"prompt": "{prompt}"}}'.encode()
    chunks: list[tuple[bytes, int]] = []
    gone = asyncio.Event()
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        request = next(requests, None)
        if request is None:
            await gone.wait()
            return {"type": "http.disconnect"}
        return request

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            chunks.append((message["body"], len(generator.turns)))
            if len(chunks) == most:
                gone.set()
                await asyncio.sleep(1)  # never through: the hang-up cancels it

    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "POST", "path": "/generate", "raw_path": b"/generate", "query_string": b"",
        "headers": headers, "scheme": "http", "server": ("nlg", 80), "client": ("test", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    return chunks


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "body.prompt: Field required"),
        ({"prompt": ""}, "body.prompt: String should have at least 1 character"),
        (
            {"prompt": "a", "max_new_tokens": 0},
            "body.max_new_tokens: Input should be greater than or equal to 1",
        ),
        (
            {"prompt": "a", "max_new_tokens": 513},
            "body.max_new_tokens: Input should be less than or equal to 512",
        ),
        (
            {"prompt": "a", "temperature": -1},
            "body.temperature: Input should be greater than or equal to 0",
        ),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(body: dict[str, Any], reason: str) -> None:
    [answer] = generate(body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["service"]) == ("invalid_request", "nlg")
    assert error["message"] == reason
