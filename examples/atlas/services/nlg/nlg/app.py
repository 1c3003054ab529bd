"""The HTTP route of nlg."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from atlas_common.web import create_app
from slimbake_models import Model, Piece


@dataclass(frozen=True, kw_only=True)
class Settings:
    """WEIGHTS: the folder of the model. DTYPE: what torch computes in, by its name.

    bfloat16 halves a large model's memory, but rounds so that the likeliest token may differ
    between CPUs. An exported graph has a precision of its own.
    """

    weights: Path = Path("/weights")
    dtype: str = "float32"


class Generate(BaseModel):
    """The body of POST /generate."""

    prompt: str = Field(min_length=1, max_length=100_000)
    max_new_tokens: int = Field(default=64, ge=1, le=512)
    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    stream: bool = True


def build(generator: Model) -> FastAPI:
    """Make the app; the generator runs in one thread of its own, requests taking turns token by
    token.
    """
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generator")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.shutdown(wait=False, cancel_futures=True)

    app = create_app("nlg", lifespan=lifespan)

    @app.post("/generate", response_model=None)
    async def generate(body: Generate) -> StreamingResponse | dict[str, Any]:
        tokens = generator.generate(body.prompt, body.max_new_tokens, body.temperature)
        pieces = _in_turns(tokens, worker)
        if body.stream:
            texts = (piece.text async for piece in pieces if piece.text)
            return StreamingResponse(texts, media_type="text/plain")
        all_pieces = [piece async for piece in pieces]
        return {
            "text": "".join(piece.text for piece in all_pieces),
            "tokens": [piece.token for piece in all_pieces],
        }

    return app


async def _in_turns(tokens: Iterator[Piece], worker: ThreadPoolExecutor) -> AsyncIterator[Piece]:
    """Take each piece in the worker; a caller that goes away costs at most the step that is
    running.
    """
    loop = asyncio.get_running_loop()
    while (piece := await loop.run_in_executor(worker, next, tokens, None)) is not None:
        yield piece
