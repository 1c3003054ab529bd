"""How far a model's answers agree with its reference: figures, and which limits they keep.

A value that is not a number counts as the worst: a cosine of -1, a share of 0, an INFINITE change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from ..ranking import INFINITE, NEAREST, Vector, nearest

WORST = 5  # cases that are printed
# The most by which a vector's length may differ, relative: cosines do not see a length.
LENGTH = 1e-3
TIE = 1e-6  # of a product: nearer to each other, two documents are equally near


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
class Judged:
    """A line of the verdict."""

    holds: bool
    words: str


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of two vectors; -1 for other dimensions, no length, no number."""
    lengths = length(one) * length(other)
    if len(one) != len(other) or not lengths > 0 or not math.isfinite(lengths):
        return -1.0
    value = sum(map(mul, one, other)) / lengths
    return min(value, 1.0) if math.isfinite(value) else -1.0


def length(vector: Vector) -> float:
    """The Euclidean length; nan where a component is not a number."""
    return math.sqrt(sum(map(mul, vector, vector)))


def agreement_of_embeddings(
    reference: Mapping[str, Any], vectors: Sequence[Vector]
) -> dict[str, Any]:
    """Compare vectors of the reference's texts with its own: the figures, and the worst cases."""
    texts, theirs = reference["texts"], reference["vectors"]
    pairs = list(zip(vectors, theirs, strict=True))
    cosines = [cosine(mine, other) for mine, other in pairs]
    documents, their_documents = (
        [of[place] for place in reference["documents"]] for of in (vectors, theirs)
    )
    shared = [
        _as_near(nearest(vectors[query], documents), of_reference, theirs[query], their_documents)
        for query, of_reference in zip(reference["queries"], reference["nearest"], strict=True)
    ]
    order = sorted(range(len(texts)), key=lambda place: cosines[place])
    return {
        "texts": len(texts),
        "min-cosine": min(cosines),
        "mean-cosine": sum(cosines) / len(cosines),
        "queries": len(shared),
        "documents": len(documents),
        "top10": sum(shared) / (NEAREST * len(shared)),
        "length": max(_relative(length(mine), length(other)) for mine, other in pairs),
        "worst": [f"{cosines[place]:.6f} {shown(texts[place])}" for place in order[:WORST]],
    }


def _as_near(
    places: Sequence[int], of_reference: Sequence[int], query: Vector, documents: Sequence[Vector]
) -> int:
    """How many of these documents the reference might have chosen as well: by its own vectors, each
    is as near to the query as the last of its choice. Which of two equally near ones is chosen is
    decided by the order of sums, which differs between runtimes.
    """
    product = {p: sum(map(mul, query, documents[p])) for p in {*places, *of_reference}}
    least = min(product[place] for place in of_reference)
    return sum(product[place] >= least - TIE * abs(least) for place in places)


def agreement_of_generations(
    reference: Mapping[str, Any], greedy: Sequence[Sequence[int]], logprobs: Sequence[Vector]
) -> dict[str, Any]:
    """Compare greedy ids after the prompts, and log-probabilities of the passages' ids."""
    prompts, passages = reference["prompts"], reference["passages"]
    # After a choice between two equally likely tokens nothing can be compared.
    sure = [prompt["ids"][: prompt["sure"]] for prompt in prompts]
    equal = [_leading(mine, theirs) for mine, theirs in zip(greedy, sure, strict=True)]
    pairs = [
        pair
        for answer, passage in zip(logprobs, passages, strict=True)
        for pair in zip(answer, passage["logprobs"], strict=True)
    ]
    mine, theirs = (-sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    squares = sum((m - t) * (m - t) for m, t in pairs) / len(pairs)
    order = sorted(range(len(prompts)), key=lambda place: equal[place] / max(1, len(sure[place])))
    return {
        "prompts": len(prompts),
        "ids": sum(map(len, sure)),
        "tokens": sum(equal) / max(1, sum(map(len, sure))),
        "passages": len(passages),
        "predicted": len(pairs),
        "reference": perplexity(theirs),
        "service": perplexity(mine),
        "perplexity": abs(perplexity(mine - theirs) - 1),
        "logprobs": math.sqrt(squares) if math.isfinite(squares) else INFINITE,
        "worst": [
            f"{equal[place]} of {len(sure[place])} tokens after {shown(prompts[place]['text'])}"
            for place in order[:WORST]
        ],
    }


def perplexity(loss: float) -> float:
    """The perplexity of a mean loss in nats per token."""
    return min(math.exp(min(loss, 700.0)), INFINITE) if math.isfinite(loss) else INFINITE


def judge(task: str, figures: Mapping[str, Any], limits: Mapping[str, float]) -> tuple[Judged, ...]:
    """Compare figures with limits. `limits`: by key; those of other tasks do not apply."""
    lines = [_ids(figures)]
    for limit in OF_TASK[task]:
        value, bound = figures[limit.key], {"length": LENGTH, **limits}[limit.key]
        holds = value >= bound if limit.least else value <= bound
        demand = f"at {'least' if limit.least else 'most'} {bound:g}"
        lines.append(Judged(holds, f"{limit.words} {value:.6f}, {demand}: {_verdict(holds)}"))
    return tuple(lines)


def _ids(figures: Mapping[str, Any]) -> Judged:
    different = figures["different"]
    count = f"{figures['strings'] - len(different)} of {figures['strings']} strings"
    cases = "".join(f"\n  {shown(text)}" for text in different[:WORST])
    verdict = f"token ids are equal on {count}: {_verdict(not different)}{cases}"
    return Judged(not different, verdict)


def shown(text: str, most: int = 60) -> str:
    """A text as ASCII on one line, whatever is in it."""
    cut = f" ... ({len(text):,} characters)" if len(text) > most else ""
    return ascii(text[:most]) + cut


def _verdict(holds: bool) -> str:
    return "passed" if holds else "FAILED"


def _leading(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """How many ids are equal before the first difference."""
    pairs = enumerate(zip(mine, theirs, strict=False))
    equal = min(len(mine), len(theirs))
    return next((count for count, (one, other) in pairs if one != other), equal)


def _relative(mine: float, theirs: float) -> float:
    change = abs(mine - theirs) / theirs if theirs > 0 else INFINITE
    return change if math.isfinite(change) else INFINITE
