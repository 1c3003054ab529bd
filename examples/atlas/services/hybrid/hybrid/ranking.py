"""How results are ordered: reciprocal rank fusion of two rankings, then late interaction. Pure."""

from collections.abc import Iterable, Sequence

from slimbake_models import Encoded

RANK_OFFSET = (
    60  # k in Cormack, Clarke, Buettcher 2009: how little the first ranks outweigh the next
)


def fuse(rankings: Iterable[Sequence[str]]) -> list[str]:
    """Return the ids of all rankings by the sum of 1 / (RANK_OFFSET + rank), best first, ties by
    id.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, id_ in enumerate(ranking, start=1):
            scores[id_] = scores.get(id_, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda id_: (-scores[id_], id_))


def late_interaction(query: Encoded, document: Encoded) -> float:
    """Return MaxSim: for each token of the query its best cosine among the document's tokens,
    averaged.

    Between -1 and 1; 0 when either has no tokens.
    """
    if not len(query.tokens) or not len(document.tokens):
        return 0.0
    return float((query.tokens @ document.tokens.T).max(axis=1).mean())
