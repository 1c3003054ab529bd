"""How far a model's answers agree with its reference: figures, and which limits they keep.

A value that is not a number counts as the worst: a cosine of -1, a share of 0, an INFINITE change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter, mul
from typing import Any

NEAREST = 10
INFINITE = 1e9  # JSON has no infinity
WORST = 5  # cases that are printed
# The most by which a vector's length may differ, relative: cosines do not see a length.
LENGTH = 1e-3
TIE = 1e-6  # of a product: nearer to each other, two documents are equally near

Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class FigureLimit:
    """A limit of a figure: at least, or at most."""

    key: str  # of the figures and of the manifest
    words: str
    least: bool  # otherwise at most


OF_TASK = {
    "embedding": (
        FigureLimit("min-cosine", "minimum cosine", True),
        FigureLimit("mean-cosine", "mean cosine", True),
        FigureLimit("top10", "top-10 agreement", True),
        FigureLimit("length", "difference of lengths", False),
    ),
    "generation": (
        FigureLimit("tokens", "equal greedy tokens", True),
        FigureLimit("perplexity", "change of perplexity", False),
        FigureLimit("logprobs", "difference of log-probabilities", False),
    ),
}


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """A line of the verdict."""

    holds: bool
    words: str


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of two vectors; -1 for other dimensions, no length, no number."""
    lengths = length(one) * length(other)
    if len(one) != len(other) or not lengths > 0 or not math.isfinite(lengths):
        return -1.0
    value = _product(one, other) / lengths
    return min(value, 1.0) if math.isfinite(value) else -1.0


def length(vector: Vector) -> float:
    """The Euclidean length; nan where a component is not a number."""
    return math.sqrt(_product(vector, vector))


def agreement_of_embeddings(
    reference: Mapping[str, Any], vectors: Sequence[Vector]
) -> dict[str, Any]:
    """Compare vectors of the reference's texts with its own: the figures, and the worst cases."""
    texts = reference["texts"]
    cosines: list[float] = []
    changes: list[float] = []
    for mine, other in zip(vectors, reference["vectors"], strict=True):
        cosines.append(cosine(mine, other))
        changes.append(_relative(length(mine), length(other)))
    worst = []
    for place in sorted(range(len(texts)), key=cosines.__getitem__)[:WORST]:
        worst.append(f"{cosines[place]:.6f} {shown(texts[place])}")
    query_count = len(reference["queries"])
    return {
        "texts": len(texts),
        "min-cosine": min(cosines),
        "mean-cosine": sum(cosines) / len(cosines),
        "queries": query_count,
        "documents": len(reference["documents"]),
        "top10": _as_near(reference, vectors) / (NEAREST * query_count),
        "length": max(changes),
        "worst": worst,
    }


def nearest(query: Vector, documents: Sequence[Vector]) -> tuple[int, ...]:
    """The places of the documents with the largest products with a query, the largest first.

    By product, as services rank: where vectors are not of length 1, this differs from the cosine.
    """
    ranks = []
    for place, document in enumerate(documents):
        product = _product(query, document)
        ranks.append((-product if math.isfinite(product) else INFINITE, place))
    return tuple(place for _, place in sorted(ranks)[:NEAREST])


def _as_near(reference: Mapping[str, Any], vectors: Sequence[Vector]) -> int:
    """Of the documents nearest to each query, how many the reference might have chosen as well: by
    its own vectors, each is as near to the query as the last of its choice. The order of sums, which
    differs between runtimes, decides which of two equally near ones is chosen.
    """
    documents = [vectors[place] for place in reference["documents"]]
    true_documents = [reference["vectors"][place] for place in reference["documents"]]
    count = 0
    for query in reference["queries"]:
        true_query = reference["vectors"][query]
        last = nearest(true_query, true_documents)[-1]
        least = _product(true_query, true_documents[last])
        for place in nearest(vectors[query], documents):
            count += _product(true_query, true_documents[place]) >= least - TIE * abs(least)
    return count


def agreement_of_generations(
    reference: Mapping[str, Any], greedy: Sequence[Sequence[int]], logprobs: Sequence[Vector]
) -> dict[str, Any]:
    """Compare greedy ids after the prompts, and log-probabilities of the passages' ids."""
    cases = []
    id_count = equal_count = 0
    for ids, prompt in zip(greedy, reference["prompts"], strict=True):
        # After a choice between two equally likely tokens nothing can be compared.
        sure = prompt["ids"][: prompt["sure"]]
        equal = _leading(ids, sure)
        id_count += len(sure)
        equal_count += equal
        case = f"{equal} of {len(sure)} tokens after {shown(prompt['text'])}"
        cases.append((equal / max(1, len(sure)), case))
    cases.sort(key=itemgetter(0))

    mine: list[float] = []
    theirs: list[float] = []
    for answer, passage in zip(logprobs, reference["passages"], strict=True):
        mine += answer
        theirs += passage["logprobs"]
    predicted = len(theirs)
    loss = -sum(mine) / predicted
    reference_loss = -sum(theirs) / predicted
    squares = sum((m - t) * (m - t) for m, t in zip(mine, theirs, strict=True)) / predicted
    return {
        "prompts": len(cases),
        "ids": id_count,
        "tokens": equal_count / max(1, id_count),
        "passages": len(logprobs),
        "predicted": predicted,
        "reference": perplexity(reference_loss),
        "service": perplexity(loss),
        "perplexity": abs(perplexity(loss - reference_loss) - 1),
        "logprobs": math.sqrt(squares) if math.isfinite(squares) else INFINITE,
        "worst": [case for _, case in cases[:WORST]],
    }


def perplexity(loss: float) -> float:
    """The perplexity of a mean loss in nats per token."""
    return min(math.exp(min(loss, 700.0)), INFINITE) if math.isfinite(loss) else INFINITE


def judge(
    task: str, figures: Mapping[str, Any], limits: Mapping[str, float]
) -> tuple[VerdictLine, ...]:
    """Compare figures with limits. `limits`: by key; those of other tasks do not apply."""
    different = figures["different"]
    count = f"{figures['strings'] - len(different)} of {figures['strings']} strings"
    cases = "".join(f"\n  {shown(text)}" for text in different[:WORST])
    ids = f"token ids are equal on {count}: {_verdict(not different)}{cases}"
    lines = [VerdictLine(not different, ids)]
    bounds = {"length": LENGTH, **limits}
    for limit in OF_TASK[task]:
        value, bound = figures[limit.key], bounds[limit.key]
        if limit.least:
            holds, demand = value >= bound, f"at least {bound:g}"
        else:
            holds, demand = value <= bound, f"at most {bound:g}"
        lines.append(VerdictLine(holds, f"{limit.words} {value:.6f}, {demand}: {_verdict(holds)}"))
    return tuple(lines)


def shown(text: str, most: int = 60) -> str:
    """A text as ASCII on one line, whatever is in it."""
    cut = f" ... ({len(text):,} characters)" if len(text) > most else ""
    return ascii(text[:most]) + cut


def _verdict(holds: bool) -> str:
    return "passed" if holds else "FAILED"


def _product(one: Vector, other: Vector) -> float:
    product: float = sum(map(mul, one, other))
    return product


def _leading(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """How many ids are equal before the first difference."""
    count = 0
    for one, other in zip(mine, theirs, strict=False):
        if one != other:
            break
        count += 1
    return count


def _relative(mine: float, theirs: float) -> float:
    change = abs(mine - theirs) / theirs if theirs > 0 else INFINITE
    return change if math.isfinite(change) else INFINITE
