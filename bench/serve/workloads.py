"""What each service of the example is asked. Pure, but for the documents, which lie beside the
engine's tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "engine" / "corpus.jsonl"


@dataclass(frozen=True, slots=True)
class Workload:
    """One request, asked over and over."""

    name: str
    path: str
    asked: Any

    @property
    def body(self) -> bytes:
        return json.dumps(self.asked).encode()


def documents() -> list[dict[str, Any]]:
    """What a search looks through: 50 sentences."""
    return [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]


def workloads() -> dict[str, tuple[Workload, ...]]:
    """By service; the first one is what a start is measured with."""
    texts = [document["text"] for document in documents()]
    order = {"prompt": "This method returns", "max_new_tokens": 32, "stream": False}
    return {
        "embedding": tuple(
            Workload(
                "1 text" if count == 1 else f"{count} texts", "/embed", {"texts": texts[:count]}
            )
            for count in (1, 16)
        ),
        "nlg": (Workload("32 tokens", "/generate", order),),
        "hybrid": (
            Workload("1 search", "/search", {"query": "Which animal has three hearts?", "k": 5}),
        ),
    }
