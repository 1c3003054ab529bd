"""Delta debugging finds what is needed, in few questions, no matter what the answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from slimbake.proof.ddmin import ddmin


class Oracle:
    """Counts what it is asked, and how often it is asked at all."""

    def __init__(self, holds: Callable[[frozenset[int]], bool], width: int = 2) -> None:
        self.holds, self.width, self.asked, self.batches = holds, width, [], 0  # type: ignore[var-annotated]

    def __call__(self, questions: Sequence[tuple[int, ...]]) -> list[bool]:
        assert 0 < len(questions) <= self.width
        self.batches += 1
        self.asked += [frozenset(question) for question in questions]
        return [self.holds(frozenset(question)) for question in questions]


@given(st.integers(0, 60), st.data(), st.integers(1, 4))
@settings(max_examples=300)
def test_where_all_that_is_needed_must_be_there_exactly_that_is_kept(
    size: int, data: st.DataObject, width: int
) -> None:
    needed = data.draw(st.frozensets(st.integers(0, size - 1))) if size else frozenset()
    oracle = Oracle(lambda kept: needed <= kept, width)
    assert set(ddmin(range(size), oracle, width=width)) == needed


@given(
    st.lists(st.frozensets(st.integers(0, 19), min_size=1, max_size=4), min_size=1, max_size=5),
    st.integers(1, 3),
)
@settings(max_examples=300)
def test_of_several_ways_to_hold_one_is_found_of_which_nothing_can_be_left_out(
    ways: list[frozenset[int]], width: int
) -> None:
    def holds(kept: frozenset[int]) -> bool:
        return any(way <= kept for way in ways)

    kept = frozenset(ddmin(range(20), Oracle(holds, width), width=width))
    assert holds(kept)
    assert not any(holds(kept - {unit}) for unit in kept)


@given(st.integers(1, 40), st.randoms(use_true_random=False), st.integers(1, 3))
@settings(max_examples=200)
def test_no_matter_what_the_answers_it_ends_with_what_held_or_with_everything(
    size: int, answers: random.Random, width: int
) -> None:
    known: dict[frozenset[int], bool] = {}
    oracle = Oracle(lambda kept: known.setdefault(kept, answers.random() < 0.5), width)
    kept = frozenset(ddmin(range(size), oracle, width=width))
    assert len(oracle.asked) <= 4 * size * width
    assert kept == frozenset(range(size)) or known[kept]


SIZED = st.integers(1, 40).flatmap(
    lambda size: st.tuples(st.just(size), st.frozensets(st.integers(0, size - 1)))
)


@given(SIZED)
@example((20, frozenset({7, 12, 15})))  # a hope that had failed before
def test_nothing_is_asked_twice(case: tuple[int, frozenset[int]]) -> None:
    size, needed = case
    oracle = Oracle(lambda kept: needed <= kept)
    ddmin(range(size), oracle)
    assert len(oracle.asked) == len(set(oracle.asked))


def test_a_few_of_many_are_found_in_few_rounds() -> None:
    needed = frozenset({13, 101, 240, 399})
    oracle = Oracle(lambda kept: needed <= kept)
    assert set(ddmin(range(400), oracle)) == needed
    assert oracle.batches <= 40


def test_where_all_is_needed_it_takes_two_questions_a_unit_at_most() -> None:
    oracle = Oracle(lambda kept: len(kept) == 64)
    assert len(ddmin(range(64), oracle)) == 64
    assert len(oracle.asked) <= 128


def test_the_heavy_is_decided_first_and_the_light_is_not_split() -> None:
    weights = {0: 1000.0, **dict.fromkeys(range(1, 33), 1.0)}
    oracle = Oracle(lambda kept: 20 in kept)
    kept = ddmin(range(33), oracle, weight=weights.__getitem__, least=10)
    assert 0 not in kept
    assert 20 in kept
    assert 1 < len(kept) <= 10
