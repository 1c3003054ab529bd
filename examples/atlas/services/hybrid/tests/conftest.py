import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest

from slimbake_models import Encoded

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Letters:
    """An encoder whose tokens are letters, each a direction of its own."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def encode_tokens(self, texts: Sequence[str]) -> list[Encoded]:
        self.batches.append(list(texts))
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Encoded:
        places = [LETTERS.index(letter) for letter in text if letter in LETTERS]
        tokens = np.eye(len(LETTERS), dtype=np.float32)[places]
        mean = tokens.sum(axis=0)
        return Encoded(vector=mean / max(1e-9, float(np.linalg.norm(mean))), tokens=tokens)


@dataclass
class FakeStorage:
    """Storage as hybrid sees it: pages of two, a dense ranking that is told, a count of its
    requests.
    """

    texts: dict[str, str]
    dense: list[str] = field(default_factory=list)
    revision: int = 1
    down: bool = False
    asked: list[str] = field(default_factory=list)
    vectors: list[list[float]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused")
        self.asked.append(request.url.path)
        return httpx.Response(200, json=self._answer(request))

    def _answer(self, request: httpx.Request) -> dict[str, Any]:
        match request.url.path:
            case "/health":
                return {"status": "ok", "service": "storage"}
            case "/count":
                return {"documents": len(self.texts), "revision": self.revision}
            case "/documents":
                rest = sorted(id_ for id_ in self.texts if id_ > request.url.params["after"])
                page = [{"id": id_, "text": self.texts[id_]} for id_ in rest[:2]]
                return {"documents": page, "next": rest[1] if len(rest) > 2 else None}
            case "/search":
                body = json.loads(request.content)
                self.vectors.append(body["vector"])
                hits = [{"id": id_, "text": self.texts[id_], "score": 0.5} for id_ in self.dense]
                return {"hits": hits[: body["k"]]}
        raise AssertionError(request.url)


@pytest.fixture
def encoder() -> Letters:
    return Letters()


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage(
        texts={"1": "cab fee", "2": "bad bed", "3": "face", "4": "quiz", "5": "jig"},
        dense=["3", "1", "2"],
    )
