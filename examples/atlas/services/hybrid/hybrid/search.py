"""One search: lexical and dense candidates, fused, the best of them reranked."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from hybrid.lexical import LexicalIndex
from hybrid.ranking import fuse, late_interaction
from hybrid.storage import Storage
from slimbake_models import BATCH, Encoded, Model

CANDIDATES = 20  # that each side names and that are reranked, unless more hits are asked for

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A document that was found; score is its late interaction, ranks count from 1."""

    id: str
    text: str
    score: float
    lexical_rank: int | None
    dense_rank: int | None


class Searcher:
    """Searches storage; the model and the index work in one thread of their own."""

    def __init__(self, encoder: Model, storage: Storage) -> None:
        self._encoder = encoder
        self._storage = storage
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="searcher")
        self._refreshing = asyncio.Lock()
        self._state: tuple[int, int] | None = None
        self._texts: dict[str, str] = {}
        self._lexical = LexicalIndex({})

    async def search(self, query: str, k: int) -> list[Hit]:
        """Return the k best documents, best first; raises ServiceError when storage does not
        answer.
        """
        most = max(k, CANDIDATES)
        await self._refresh()
        texts, lexical_index = self._texts, self._lexical
        [encoded] = await self._encode([query])
        lexical = await self._work(lexical_index.rank, query, most)
        dense = await self._storage.nearest(encoded.vector, most)
        fused = fuse([lexical, list(dense)])[:most]
        found = [dense[id_] if id_ in dense else texts[id_] for id_ in fused]
        scores = [late_interaction(encoded, document) for document in await self._encode(found)]
        best = sorted(range(len(fused)), key=lambda place: -scores[place])[:k]
        lexical_ranks = {id_: rank for rank, id_ in enumerate(lexical, start=1)}
        dense_ranks = {id_: rank for rank, id_ in enumerate(dense, start=1)}
        return [
            Hit(
                id=fused[place],
                text=found[place],
                score=scores[place],
                lexical_rank=lexical_ranks.get(fused[place]),
                dense_rank=dense_ranks.get(fused[place]),
            )
            for place in best
        ]

    def close(self) -> None:
        """End the thread after the step that it is at."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def _refresh(self) -> None:
        """Read all documents anew when storage was written to."""
        async with self._refreshing:
            # Asked before reading: a write in between leaves an old state, and the next search
            # reads again.
            state = await self._storage.state()
            if state != self._state:
                texts = await self._storage.texts()
                self._lexical = await self._work(LexicalIndex, texts)
                self._texts, self._state = texts, state

    async def _encode(self, texts: Sequence[str]) -> list[Encoded]:
        # A batch takes well under a second: searches take turns.
        encoded: list[Encoded] = []
        for start in range(0, len(texts), BATCH):
            encoded += await self._work(self._encoder.encode_tokens, texts[start : start + BATCH])
        return encoded

    async def _work(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *arguments)
