"""How far a model's answers agree with its reference: figures, and which limits they keep.

A value that is not a number counts as the worst: a cosine of -1, a share of 0, an INFINITE change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter, mul, sub
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
    for vector, expected in zip(vectors, reference["vectors"], strict=True):
        cosines.append(cosine(vector, expected))
        changes.append(_relative(length(vector), length(expected)))
    ranked = sorted(zip(cosines, texts, strict=True), key=itemgetter(0))
    worst = [f"{value:.6f} {shown(text)}" for value, text in ranked[:WORST]]
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
    return {**_greedy_figures(reference["prompts"], greedy), **_likelihoods(reference, logprobs)}


def _greedy_figures(
    prompts: Sequence[Mapping[str, Any]], greedy: Sequence[Sequence[int]]
) -> dict[str, Any]:
    cases = []
    id_count = equal_count = 0
    for ids, prompt in zip(greedy, prompts, strict=True):
        # After a choice between two equally likely tokens nothing can be compared.
        sure = prompt["ids"][: prompt["sure"]]
        equal = _leading(ids, sure)
        id_count += len(sure)
        equal_count += equal
        case = f"{equal} of {len(sure)} tokens after {shown(prompt['text'])}"
        cases.append((equal / max(1, len(sure)), case))
    cases.sort(key=itemgetter(0))
    return {
        "prompts": len(cases),
        "ids": id_count,
        "tokens": equal_count / max(1, id_count),
        "worst": [case for _, case in cases[:WORST]],
    }


def _likelihoods(reference: Mapping[str, Any], logprobs: Sequence[Vector]) -> dict[str, Any]:
    own: list[float] = []
    expected: list[float] = []
    for answer, passage in zip(logprobs, reference["passages"], strict=True):
        own += answer
        expected += passage["logprobs"]
    predicted = len(expected)
    loss = -sum(own) / predicted
    reference_loss = -sum(expected) / predicted
    differences = list(map(sub, own, expected))
    squares = _product(differences, differences) / predicted
    return {
        "passages": len(logprobs),
        "predicted": predicted,
        "reference": perplexity(reference_loss),
        "service": perplexity(loss),
        "perplexity": abs(perplexity(loss - reference_loss) - 1),
        "logprobs": math.sqrt(squares) if math.isfinite(squares) else INFINITE,
    }


def perplexity(loss: float) -> float:
    """The perplexity of a mean loss in nats per token."""
    if math.isfinite(loss):
        return min(math.exp(min(loss, 700.0)), INFINITE)
    return INFINITE


def judge(
    task: str, figures: Mapping[str, Any], limits: Mapping[str, float]
) -> tuple[VerdictLine, ...]:
    """Compare figures with limits. `limits`: by key; those of other tasks do not apply."""
    different = figures["different"]
    count = f"{figures['strings'] - len(different)} of {figures['strings']} strings"
    ids = [f"token ids are equal on {count}: {_verdict(not different)}"]
    ids += [f"  {shown(text)}" for text in different[:WORST]]
    lines = [VerdictLine(not different, "\n".join(ids))]
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


def _leading(ids: Sequence[int], expected: Sequence[int]) -> int:
    """How many ids are equal before the first difference."""
    count = 0
    for one, other in zip(ids, expected, strict=False):
        if one != other:
            break
        count += 1
    return count


def _relative(value: float, expected: float) -> float:
    if not expected > 0:
        return INFINITE
    change = abs(value - expected) / expected
    return change if math.isfinite(change) else INFINITE
