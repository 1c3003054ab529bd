"""The job itself: lines in, batches out."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from atlas_common.upstream import Upstream
from atlas_common.web import ServiceError
from bulk_ingester.cursor import Cursor

log = logging.getLogger(__name__)

REFUSED = (
    400,
    413,
    422,
)  # the document's fault; anything else is the service's, or a wrong address


class Document(BaseModel):
    """One line of the input; the bounds are those of storage."""

    id: str = Field(min_length=1, max_length=512)
    text: str = Field(min_length=1, max_length=100_000)


Deliver = Callable[[Sequence[Document]], Awaitable[None]]


def deliver_to(embedding: Upstream, storage: Upstream) -> Deliver:
    """Make the function that embeds and stores a batch; it raises ServiceError."""

    async def deliver(batch: Sequence[Document]) -> None:
        embedded = await embedding.call("POST", "/embed", {"texts": [d.text for d in batch]})
        pairs = zip(batch, embedded["vectors"], strict=True)
        await storage.call(
            "PUT",
            "/documents",
            {"documents": [{**d.model_dump(), "vector": vector} for d, vector in pairs]},
        )

    return deliver


class Job:
    """One run over one input; `stored` counts this run, the cursor the whole input."""

    def __init__(
        self, deliver: Deliver, cursor: Cursor, size: int, checkpoint: Path | None
    ) -> None:
        self.stored = 0
        self._deliver = deliver
        self._cursor = cursor
        self._size = size
        self._checkpoint = checkpoint
        self._told = time.monotonic()

    async def run(self, source: Iterable[bytes]) -> None:
        """Store every good line; raises ServiceError when a service fails, all batches before it
        stored.
        """
        pending: list[tuple[int, Document]] = []
        for line in source:
            self._cursor.advance(line)
            if not line.strip():
                continue
            try:
                pending.append((self._cursor.lines, Document.model_validate_json(line)))
            except ValidationError as error:
                self._reject(self._cursor.lines, _reason(error))
            if len(pending) == self._size:
                await self._finish(pending)
                pending = []
        await self._finish(pending)

    async def _finish(self, pending: Sequence[tuple[int, Document]]) -> None:
        if pending:
            await self._store(pending)
        if self._checkpoint:
            self._cursor.save(self._checkpoint)
        if time.monotonic() - self._told >= 1:
            self._told = time.monotonic()
            log.info("at line %d, %d stored", self._cursor.lines, self.stored)

    async def _store(self, pending: Sequence[tuple[int, Document]]) -> None:
        try:
            await self._deliver([document for _, document in pending])
        except ServiceError as error:
            if error.status not in REFUSED:
                raise
            if len(pending) > 1:  # one of them was refused: find out which
                for one in pending:
                    await self._store([one])
                return
            self._reject(pending[0][0], error.message)
        else:
            self.stored += len(pending)

    def _reject(self, line: int, reason: str) -> None:
        self._cursor.bad += 1
        log.warning("line %d: %s", line, reason, extra={"line": line})


def _reason(error: ValidationError) -> str:
    faults = (
        (".".join(map(str, fault["loc"])), fault["msg"])
        for fault in error.errors(include_input=False)
    )
    return "; ".join(f"{place}: {message}" if place else message for place, message in faults)
