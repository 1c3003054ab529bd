"""What hybrid asks of storage."""

from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from atlas_common.upstream import Upstream

PAGE = 1000  # documents a request, the most that storage gives


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage service; every method raises ServiceError when it does not answer."""

    upstream: Upstream

    async def state(self) -> tuple[int, int]:
        """Return what differs after every write: the number of documents and the revision."""
        answer = await self.upstream.call("GET", "/count")
        return answer["documents"], answer["revision"]

    async def texts(self) -> dict[str, str]:
        """Return the texts of all documents by id, page by page."""
        texts: dict[str, str] = {}
        after: str | None = ""
        while after is not None:
            path = f"/documents?{urlencode({'after': after, 'limit': PAGE})}"
            answer = await self.upstream.call("GET", path)
            texts.update((document["id"], document["text"]) for document in answer["documents"])
            after = answer["next"]
        return texts

    async def nearest(self, vector: NDArray[np.float32], k: int) -> dict[str, str]:
        """Return the texts by id of the k documents whose vectors are nearest, nearest first."""
        answer = await self.upstream.call("POST", "/search", {"vector": vector.tolist(), "k": k})
        return {hit["id"]: hit["text"] for hit in answer["hits"]}
