"""The HTTP route of embedding."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from atlas_common.web import create_app
from slimbake_models import BATCH, Model

MODEL = "all-MiniLM-L6-v2"
DIMENSION = 384
MOST_TEXTS = 256  # in a request


@dataclass(frozen=True, kw_only=True)
class Settings:
    """WEIGHTS: the folder of the model."""

    weights: Path = Path("/weights")


class Embed(BaseModel):
    """The body of POST /embed."""

    texts: list[Annotated[str, Field(max_length=100_000)]] = Field(
        min_length=1, max_length=MOST_TEXTS
    )


def build(encoder: Model) -> FastAPI:
    """Make the app; the encoder runs in one thread of its own.

    A batch takes well under a second: requests take turns, batch by batch.
    """
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.shutdown(wait=False, cancel_futures=True)

    app = create_app("embedding", lifespan=lifespan)

    @app.post("/embed")
    async def embed(body: Embed) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        vectors: list[list[float]] = []
        for start in range(0, len(body.texts), BATCH):
            batch = body.texts[start : start + BATCH]
            found = await loop.run_in_executor(worker, encoder.encode, batch)
            vectors += found.tolist()
        return {"model": MODEL, "dimension": DIMENSION, "vectors": vectors}

    return app
