"""The HTTP routes of the gateway, each of which puts other services' work together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import BaseModel, Field

from api.prompt import prompt
from atlas_common.settings import Url
from atlas_common.upstream import Upstream
from atlas_common.web import ServiceError, create_app

BATCH = 256  # the most texts that embedding takes at once


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The addresses of the services behind the gateway, EMBEDDING_URL and so on."""

    embedding_url: Url = "http://embedding:8001"
    storage_url: Url = "http://storage:8002"
    nlg_url: Url = "http://nlg:8003"
    hybrid_url: Url = "http://hybrid:8004"


class Document(BaseModel):
    """A text to be found later."""

    id: str = Field(min_length=1, max_length=512)
    text: str = Field(min_length=1, max_length=100_000)


class Ingest(BaseModel):
    """The body of POST /ingest."""

    documents: list[Document] = Field(min_length=1, max_length=BATCH)


class Search(BaseModel):
    """The body of POST /search."""

    query: str = Field(min_length=1, max_length=10_000)
    k: int = Field(default=5, ge=1, le=50)


class Ask(BaseModel):
    """The body of POST /ask."""

    question: str = Field(min_length=1, max_length=1_000)
    k: int = Field(default=3, ge=1, le=10)
    max_new_tokens: int = Field(default=64, ge=1, le=512)


def build(settings: Settings, client: httpx.AsyncClient) -> FastAPI:
    """Make the app; it closes the client when it ends."""
    embedding = Upstream("embedding", settings.embedding_url, client)
    storage = Upstream("storage", settings.storage_url, client)
    nlg = Upstream("nlg", settings.nlg_url, client)
    hybrid = Upstream("hybrid", settings.hybrid_url, client)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = create_app("api", lifespan=lifespan)

    @app.post("/ingest")
    async def ingest(body: Ingest) -> dict[str, Any]:
        embedded = await embedding.call(
            "POST", "/embed", {"texts": [d.text for d in body.documents]}
        )
        pairs = zip(body.documents, embedded["vectors"], strict=True)
        documents = [
            {"id": d.id, "text": d.text, "metadata": {}, "vector": vector} for d, vector in pairs
        ]
        stored = await storage.call("PUT", "/documents", {"documents": documents})
        return {"stored": stored["stored"]}

    @app.post("/search")
    async def search(body: Search) -> dict[str, Any]:
        found = await hybrid.call("POST", "/search", {"query": body.query, "k": body.k})
        return {"hits": found["hits"]}

    @app.post("/ask")
    async def ask(body: Ask) -> dict[str, Any]:
        await nlg.alive()  # before a search whose hits nobody could put into words
        found = await hybrid.call("POST", "/search", {"query": body.question, "k": body.k})
        hits = found["hits"]
        if not hits:
            raise ServiceError(
                404, "not_found", "there are no documents to answer from; ingest some first"
            )
        order = {
            "prompt": prompt(body.question, [hit["text"] for hit in hits]),
            "max_new_tokens": body.max_new_tokens,
            "temperature": 0.0,
            "stream": False,
        }
        generated = await nlg.call("POST", "/generate", order)
        return {"answer": generated["text"].strip(), "sources": hits}

    return app
