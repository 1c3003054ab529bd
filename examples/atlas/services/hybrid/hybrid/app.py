"""The HTTP route of hybrid."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import FastAPI
from pydantic import BaseModel, Field, StringConstraints

from atlas_common.settings import Url
from atlas_common.upstream import Upstream, open_client
from atlas_common.web import create_app
from hybrid.search import Searcher
from hybrid.storage import Storage
from slimbake_models import Model

STORAGE = Url("http://storage:8002")  # on the services' own network


@dataclass(frozen=True, kw_only=True)
class Settings:
    """WEIGHTS: the folder of the model. STORAGE_URL: the storage service."""

    weights: Path = Path("/weights")
    storage_url: Url = STORAGE


class Search(BaseModel):
    """The body of POST /search."""

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
    k: int = Field(default=5, ge=1, le=50)


def build(
    encoder: Model, storage_url: Url, transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """Make the app; `transport` stands for the network to storage in checks."""
    client = open_client(transport)
    searcher = Searcher(encoder, Storage(Upstream("storage", storage_url, client)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        searcher.close()
        await client.aclose()

    app = create_app("hybrid", lifespan=lifespan)

    @app.post("/search")
    async def search(body: Search) -> dict[str, list[dict[str, Any]]]:
        return {"hits": [asdict(hit) for hit in await searcher.search(body.query, body.k)]}

    return app
