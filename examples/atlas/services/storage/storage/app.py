"""The HTTP routes of storage."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import AfterValidator, BaseModel, Field, FiniteFloat

from atlas_common.web import ServiceError, create_app
from storage.store import Document, Store

DIMENSION = 384  # of all-MiniLM-L6-v2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """DATABASE: the file, in a folder that the service may write to."""

    database: Path = Path("/data/atlas.db")


def _unit(vector: list[float]) -> list[float]:
    """Bring the vector to length 1; the cosine of a vector without length or beyond float32 is
    undefined.
    """
    length = math.hypot(*vector)
    if length == 0 or not math.isfinite(length):
        raise ValueError("a vector needs a length that is finite and not 0")
    return [component / length for component in vector]


def _portable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON readers elsewhere would choke on: NaN, infinities, halves of surrogate
    pairs.
    """
    json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()
    return metadata


Components = Annotated[list[FiniteFloat], Field(min_length=DIMENSION, max_length=DIMENSION)]
Vector = Annotated[Components, AfterValidator(_unit)]


class Incoming(BaseModel):
    """A document as it is put."""

    id: str = Field(min_length=1, max_length=512)
    text: str = Field(min_length=1, max_length=100_000)
    metadata: Annotated[dict[str, Any], AfterValidator(_portable)] = {}
    vector: Vector


class Put(BaseModel):
    """The body of PUT /documents."""

    documents: list[Incoming] = Field(min_length=1, max_length=1000)


class Search(BaseModel):
    """The body of POST /search."""

    vector: Vector
    k: int = Field(default=5, ge=1, le=1000)


def build(store: Store) -> FastAPI:
    """Make the app; it closes the store when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = create_app("storage", lifespan=lifespan)

    # Plain functions: FastAPI runs them in threads, so a slow disk does not stop the others.
    @app.put("/documents")
    def put(body: Put) -> dict[str, int]:
        store.put([Document(d.id, d.text, d.metadata, d.vector) for d in body.documents])
        return {"stored": len(body.documents)}

    @app.get("/documents")
    def page(after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        found = store.page(after, limit + 1)  # one more tells whether there is a next page
        documents = [{"id": id_, "text": text} for id_, text in found[:limit]]
        return {"documents": documents, "next": found[limit - 1][0] if len(found) > limit else None}

    @app.get("/documents/{document:path}")
    def get(document: str) -> dict[str, Any]:
        found = store.get(document)
        if found is None:
            raise ServiceError(404, "not_found", f"there is no document {document!r}")
        return {"id": document, "text": found[0], "metadata": found[1]}

    @app.post("/search")
    def search(body: Search) -> dict[str, list[dict[str, Any]]]:
        hits = store.search(body.vector, body.k)
        return {"hits": [{"id": id_, "text": text, "score": score} for id_, text, score in hits]}

    @app.get("/count")
    def count() -> dict[str, int]:
        documents, revision = store.count()
        return {"documents": documents, "revision": revision}

    return app
