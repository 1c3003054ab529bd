"""How far a model's answers agree with those of its reference: figures, and which limits they keep. Stdlib only.

Whatever is no number counts as the worst there is: a cosine of -1, a part of 0, a change of INFINITE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

NEAREST = 10
WORST = 5  # cases that are told
LENGTH = 1e-3  # the most by which a vector's length may differ, relative: cosines do not see a length
INFINITE = 1e9  # JSON has no infinity

Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure may be at least, or at most."""

    key: str  # of the figures and of the manifest
    words: str
    least: bool  # otherwise at most


EMBEDDING = (
    Limit("min-cosine", "minimum cosine", True),
    Limit("mean-cosine", "mean cosine", True),
    Limit("top10", "top-10 agreement", True),
)
GENERATION = (
    Limit("tokens", "equal greedy tokens", True),
    Limit("perplexity", "change of perplexity", False),
    Limit("logprobs", "difference of log-probabilities", False),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A line of the verdict."""

    holds: bool
    words: str


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of two vectors; -1 where there is none: other dimensions, no length, no number."""
    lengths = length(one) * length(other)
    if len(one) != len(other) or not lengths > 0 or not math.isfinite(lengths):
        return -1.0
    found = sum(map(mul, one, other)) / lengths
    return min(found, 1.0) if math.isfinite(found) else -1.0


def length(vector: Vector) -> float:
    """The Euclidean length; nan where a number is none."""
    return math.sqrt(sum(map(mul, vector, vector)))


def nearest(query: Vector, documents: Sequence[Vector], count: int = NEAREST) -> tuple[int, ...]:
    """The places of the documents with the largest products with a query, the largest first.

    By product, as services rank: of vectors that are not of length 1, by other than the cosine.
    """
    products = [sum(map(mul, query, document)) for document in documents]
    return tuple(sorted(range(len(documents)), key=lambda place: (-_number(products[place]), place))[:count])


def embeddings(reference: Mapping[str, Any], vectors: Sequence[Vector]) -> dict[str, Any]:
    """Compare vectors of the reference's texts with its own: the figures, and the worst cases."""
    texts, theirs = reference["texts"], reference["vectors"]
    cosines = [cosine(mine, other) for mine, other in zip(vectors, theirs, strict=True)]
    lengths = [_relative(length(mine), length(other)) for mine, other in zip(vectors, theirs, strict=True)]
    documents = [vectors[place] for place in reference["documents"]]
    found = [nearest(vectors[place], documents) for place in reference["queries"]]
    shared = [len({*mine} & {*other}) for mine, other in zip(found, reference["nearest"], strict=True)]
    order = sorted(range(len(texts)), key=lambda place: cosines[place])
    return {
        "texts": len(texts),
        "min-cosine": min(cosines),
        "mean-cosine": sum(cosines) / len(cosines),
        "queries": len(found),
        "documents": len(documents),
        "top10": sum(shared) / (NEAREST * len(shared)),
        "length": max(lengths),
        "worst": [{"cosine": cosines[place], "text": texts[place]} for place in order[:WORST]],
    }


def generations(
    reference: Mapping[str, Any], greedy: Sequence[Sequence[int]], logprobs: Sequence[Vector]
) -> dict[str, Any]:
    """Compare greedy ids after the reference's prompts, and log-probabilities of its passages' ids, with its own."""
    prompts, passages = reference["prompts"], reference["passages"]
    # Of what follows a choice between two equals, nothing is known.
    wanted = [each["ids"][: each["sure"]] for each in prompts]
    equal = [_leading(mine, theirs) for mine, theirs in zip(greedy, wanted, strict=True)]
    pairs = [
        (m, t) for a, each in zip(logprobs, passages, strict=True) for m, t in zip(a, each["logprobs"], strict=True)
    ]
    mine, theirs = (-sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    squares = sum((m - t) * (m - t) for m, t in pairs) / len(pairs)
    order = sorted(range(len(prompts)), key=lambda place: equal[place] / max(1, len(wanted[place])))
    return {
        "prompts": len(prompts),
        "ids": sum(map(len, wanted)),
        "tokens": sum(equal) / max(1, sum(map(len, wanted))),
        "passages": len(passages),
        "predicted": len(pairs),
        "reference": perplexity(theirs),
        "service": perplexity(mine),
        "perplexity": abs(perplexity(mine - theirs) - 1),
        "logprobs": math.sqrt(squares) if math.isfinite(squares) else INFINITE,
        "worst": [
            {"equal": equal[place], "of": len(wanted[place]), "text": prompts[place]["text"]} for place in order[:WORST]
        ],
    }


def perplexity(loss: float) -> float:
    """The perplexity of a mean loss in nats per token."""
    return min(math.exp(min(loss, 700.0)), INFINITE) if math.isfinite(loss) else INFINITE


def judged(task: str, figures: Mapping[str, Any], limits: Mapping[str, float]) -> tuple[Judged, ...]:
    """What figures come to. `limits`: by key; a limit of another task's figure says nothing here."""
    lines = [_ids(figures)]
    for limit in EMBEDDING if task == "embedding" else GENERATION:
        value, bound = figures[limit.key], limits[limit.key]
        holds = value >= bound if limit.least else value <= bound
        wanted = f"at {'least' if limit.least else 'most'} {bound:g}"
        lines.append(Judged(holds, f"{limit.words} {value:.6f}, {wanted}: {_said(holds)}"))
    if task == "embedding":
        holds = figures["length"] <= LENGTH
        words = f"lengths of vectors differ by {figures['length']:.2e}, at most {LENGTH:g}: {_said(holds)}"
        lines.append(Judged(holds, words))
    return tuple(lines)


def _ids(figures: Mapping[str, Any]) -> Judged:
    different = figures["different"]
    count = f"{figures['strings'] - len(different)} of {figures['strings']} strings"
    cases = "".join(f"\n  {shown(text)}" for text in different[:WORST])
    return Judged(not different, f"token ids are equal on {count}: {_said(not different)}{cases}")


def worst(task: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    """The worst cases, a line each."""
    if task == "embedding":
        return tuple(f"{each['cosine']:.6f} {shown(each['text'])}" for each in figures["worst"])
    return tuple(f"{each['equal']} of {each['of']} tokens after {shown(each['text'])}" for each in figures["worst"])


def shown(text: str, most: int = 60) -> str:
    """A text so that a terminal shows it on one line, whatever is in it."""
    cut = f" ... ({len(text):,} characters)" if len(text) > most else ""
    return ascii(text[:most]) + cut


def _said(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


def _leading(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """How many ids are equal before the first that is not."""
    pairs = zip(mine, theirs, strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(mine), len(theirs)))


def _relative(mine: float, theirs: float) -> float:
    change = abs(mine - theirs) / theirs if theirs > 0 else INFINITE
    return change if math.isfinite(change) else INFINITE


def _number(value: float) -> float:
    return value if math.isfinite(value) else -INFINITE
