"""The lexical side: BM25 over words."""

import re
from collections.abc import Mapping

import bm25s
import numpy as np

_WORD = re.compile(r"\w+")


class LexicalIndex:
    """An index over texts by id; it does not change."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        words = {id_: _words(text) for id_, text in texts.items()}
        self._ids = [id_ for id_ in words if words[id_]]  # bm25s cannot index nothing
        self._bm25 = bm25s.BM25()
        if self._ids:
            self._bm25.index([words[id_] for id_ in self._ids], show_progress=False)

    def rank(self, query: str, most: int) -> list[str]:
        """Return the ids of the texts that share a word with the query, best first, ties in their
        order.
        """
        words = _words(query)
        if not self._ids or not words:
            return []
        scores = self._bm25.get_scores(words)
        best = np.argsort(-scores, kind="stable")[:most]
        return [self._ids[place] for place in best if scores[place] > 0]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
