"""Answers as text for people."""

from typing import Any

WIDTH = 76  # characters of a document that are shown


def ingested(result: dict[str, Any]) -> str:
    """Say how many lines went in."""
    return f"{result['stored']} stored, {result['bad']} bad"


def hits(result: dict[str, Any]) -> str:
    """List the hits, the best first: score, id, the beginning of the text."""
    lines = [f"{hit['score']:8.4f}  {hit['id']}  {_short(hit['text'])}" for hit in result["hits"]]
    return "\n".join(lines) or "nothing found"


def answer(result: dict[str, Any]) -> str:
    """Give the answer, then what it was drawn from."""
    return f"{result['answer']}\n\nfrom:\n{hits({'hits': result['sources']})}"


def status(result: dict[str, Any]) -> str:
    """Say that the service is up."""
    return f"{result['service']}: {result['status']}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
