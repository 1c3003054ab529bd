"""Ranks documents by a query: a reference and the check that compares with it must do it alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

NEAREST = 10
INFINITE = 1e9  # JSON has no infinity

Vector = Sequence[float]


def nearest(query: Vector, documents: Sequence[Vector], count: int = NEAREST) -> tuple[int, ...]:
    """The places of the documents with the largest products with a query, the largest first.

    By product, as services rank: where vectors are not of length 1, this differs from the cosine.
    """
    products = [sum(map(mul, query, document)) for document in documents]
    rank = [product if math.isfinite(product) else -INFINITE for product in products]
    return tuple(sorted(range(len(rank)), key=lambda place: (-rank[place], place))[:count])
