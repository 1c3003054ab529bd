"""The figures of parity, and the limits that they keep or not."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.inside.check.agreement import (
    INFINITE,
    NEAREST,
    agreement_of_embeddings,
    agreement_of_generations,
    cosine,
    judge,
    length,
    nearest,
    perplexity,
    shown,
)

NUMBERS = st.floats(-1e3, 1e3, allow_nan=False).map(lambda number: round(number, 3))
VECTORS = st.lists(NUMBERS, min_size=3, max_size=3).filter(lambda vector: length(vector) > 1e-2)
ANYTHING = st.lists(st.floats(), min_size=3, max_size=3)
LIMITS = {"min-cosine": 0.99, "mean-cosine": 0.995, "top10": 0.97}
LIMITS |= {"tokens": 1.0, "perplexity": 0.02, "logprobs": 0.06}


@given(VECTORS, VECTORS, st.floats(0.01, 100))
def test_a_cosine_is_symmetric_and_bounded(one: list[float], other: list[float], by: float) -> None:
    found = cosine(one, other)
    assert -1 - 1e-9 <= found <= 1
    assert found == pytest.approx(cosine(other, one))
    assert found == pytest.approx(cosine([by * number for number in one], other), abs=1e-9)
    assert cosine(one, one) == pytest.approx(1)
    assert cosine(one, [-number for number in one]) == pytest.approx(-1)


@given(ANYTHING, ANYTHING)
def test_a_cosine_is_a_number_for_any_vectors(one: list[float], other: list[float]) -> None:
    assert -1.0 - 1e-9 <= cosine(one, other) <= 1.0


@pytest.mark.parametrize(
    "bad", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0], [1.0], [1.0, 0.0, 0.0]]
)
def test_a_vector_that_has_no_cosine_is_as_bad_as_can_be(bad: list[float]) -> None:
    assert cosine(bad, [1.0, 0.0]) == -1


@given(st.lists(ANYTHING, min_size=1, max_size=30), ANYTHING)
def test_the_nearest_are_ten_or_all(documents: list[list[float]], query: list[float]) -> None:
    found = nearest(query, documents)
    assert len(found) == len(set(found)) == min(NEAREST, len(documents))


@given(st.lists(VECTORS, min_size=11, max_size=30), VECTORS)
def test_no_other_document_is_nearer(documents: list[list[float]], query: list[float]) -> None:
    products = [sum(a * b for a, b in zip(query, document, strict=True)) for document in documents]
    found = nearest(query, documents)
    others = [product for place, product in enumerate(products) if place not in found]
    assert min(products[place] for place in found) >= max(others)


def reference(count: int = 30) -> dict[str, Any]:
    """Unit vectors on a circle; the last is the only query, all others are documents."""
    angles = [0.1 * number for number in range(count)]
    vectors = [[math.cos(angle), math.sin(angle)] for angle in angles]
    return {
        "texts": [f"text {number}" for number in range(count)],
        "vectors": vectors,
        "queries": [count - 1],
        "documents": list(range(count - 1)),
    }


def holding(task: str, figures: dict[str, Any], limits: dict[str, float] = LIMITS) -> list[bool]:
    return [each.holds for each in judge(task, {"strings": 3, "different": [], **figures}, limits)]


def test_vectors_that_are_equal_keep_all_limits() -> None:
    known = reference()
    figures = agreement_of_embeddings(known, known["vectors"])
    assert (figures["min-cosine"], figures["top10"], figures["length"]) == (pytest.approx(1), 1, 0)
    assert all(holding("embedding", figures))
    twice = [[2 * number for number in vector] for vector in known["vectors"]]
    figures = agreement_of_embeddings(known, twice)
    assert figures["min-cosine"] == pytest.approx(1)
    assert holding("embedding", figures) == [True, True, True, True, False], "not normalised"


def test_one_vector_that_is_wrong_is_the_worst_case_and_keeps_no_limit() -> None:
    known = reference()
    vectors = list(known["vectors"])
    vectors[27] = [-number for number in vectors[27]]
    figures = agreement_of_embeddings(known, vectors)
    assert figures["worst"][0] == "-1.000000 'text 27'"
    assert figures["mean-cosine"] == pytest.approx(1 - 2 / 30)
    assert figures["top10"] == pytest.approx(0.9)
    assert holding("embedding", figures) == [True, False, False, False, True]


def test_of_documents_that_are_equally_near_either_may_be_chosen() -> None:
    known = reference()
    known["vectors"][5:19] = [known["vectors"][19]] * 14  # the last of the ten, 14 times more
    vectors = list(known["vectors"])
    vectors[5] = [0.999999 * number for number in vectors[5]]
    assert agreement_of_embeddings(known, vectors)["top10"] == 1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 0.0])
def test_what_is_no_number_keeps_no_limit_and_is_json(number: float) -> None:
    known = reference()
    figures = agreement_of_embeddings(known, [[number, number]] * 30)
    assert holding("embedding", figures) == [True, False, False, False, False]
    json.dumps({key: value for key, value in figures.items() if key != "worst"}, allow_nan=False)


def test_ids_that_differ_are_reported_and_do_not_hold() -> None:
    known = reference()
    figures = agreement_of_embeddings(known, known["vectors"])
    figures |= {"strings": 3, "different": ["a\0\u202eb"]}
    first, *others = judge("embedding", figures, LIMITS)
    assert (first.holds, all(each.holds for each in others)) == (False, True)
    assert first.words == "token ids are equal on 2 of 3 strings: FAILED\n  'a\\x00\\u202eb'"


PROMPTS = {
    "prompts": [
        {"text": "one", "ids": [1, 2, 3, 4], "sure": 4},
        {"text": "two", "ids": [5, 6, 7, 8], "sure": 2},
    ],
    "passages": [{"ids": [9, 8, 7], "logprobs": [-1.5, -0.5]}, {"ids": [1, 2], "logprobs": [-1.0]}],
}


def test_answers_that_are_equal_change_nothing() -> None:
    greedy = [[1, 2, 3, 4], [5, 6, 7, 8]]
    figures = agreement_of_generations(PROMPTS, greedy, [[-1.5, -0.5], [-1.0]])
    assert (figures["tokens"], figures["perplexity"]) == (1, 0)
    assert figures["reference"] == pytest.approx(math.e)
    assert holding("generation", figures) == [True, True, True, True]


@pytest.mark.parametrize(
    ("greedy", "part"),
    [
        ([[1, 2, 0, 4], [5, 6]], 4 / 6),  # what comes after the first that differs is another text
        ([[], []], 0),
        ([[1, 2, 3], [5, 6]], 5 / 6),
        ([[1, 2, 3, 4], [5, 6, 0]], 1),  # what follows a choice between equals is not compared
        ([[1, 2, 3, 4, 9], [5, 6, 7, 8]], 1),
    ],
)
def test_tokens_count_until_the_first_that_differs(greedy: list[list[int]], part: float) -> None:
    figures = agreement_of_generations(PROMPTS, greedy, [[-2.0, 0.0], [-1.0]])
    assert figures["tokens"] == pytest.approx(part)


@pytest.mark.parametrize(
    ("logprobs", "perplexity", "change", "holds"),
    [
        ([-1.5, -0.6], 0.1 / 3, 0.1 / math.sqrt(3), [True, True, False, True]),
        ([-1.5, -0.4], 0.1 / 3, 0.1 / math.sqrt(3), [True, True, False, True]),
        ([-1.6, -0.4], 0, 0.1 * math.sqrt(2 / 3), [True, True, True, False]),
    ],
    ids=["higher", "lower has changed as well", "differences that cancel in the perplexity"],
)
def test_another_perplexity_or_other_log_probabilities_have_changed(
    logprobs: list[float], perplexity: float, change: float, holds: list[bool]
) -> None:
    figures = agreement_of_generations(PROMPTS, [[1, 2, 3, 4], [5, 6]], [logprobs, [-1.0]])
    assert figures["perplexity"] == pytest.approx(perplexity, rel=0.05, abs=1e-12)
    assert figures["logprobs"] == pytest.approx(change)
    assert holding("generation", figures) == holds


@pytest.mark.parametrize("bad", [[math.nan, 0.0], [-math.inf, -1.0], [math.inf, -math.inf]])
def test_log_probabilities_that_are_none_are_an_infinite_change(bad: list[float]) -> None:
    figures = agreement_of_generations(PROMPTS, [[1, 2, 3, 4], [5, 6]], [bad, [-1.0]])
    assert (figures["perplexity"], figures["logprobs"]) == (pytest.approx(INFINITE), INFINITE)
    assert holding("generation", figures)[-2:] == [False, False]


@given(st.floats())
def test_a_perplexity_is_finite(loss: float) -> None:
    assert 0 <= perplexity(loss) <= INFINITE


@given(st.text())
def test_a_text_is_shown_on_one_line_of_plain_characters(text: str) -> None:
    assert shown(text).isascii()
    assert shown(text).isprintable()
    assert len(shown(text)) < 800
