import numpy as np
import pytest

from hybrid.ranking import fuse, late_interaction
from slimbake_models import Encoded


def encoded(*tokens: tuple[float, float]) -> Encoded:
    rows = np.array(tokens, dtype=np.float32).reshape(-1, 2)
    return Encoded(vector=np.zeros(2, dtype=np.float32), tokens=rows)


def test_what_two_rankings_name_comes_before_what_one_names_first() -> None:
    assert fuse([["a", "b"], ["c", "b"]]) == ["b", "a", "c"]


def test_equal_places_are_ordered_by_id() -> None:
    assert fuse([["b", "a"], ["a", "b"]]) == ["a", "b"]


def test_no_rankings_fuse_to_nothing() -> None:
    assert fuse([[], []]) == []


def test_each_query_token_counts_with_its_best_match() -> None:
    query, document = encoded((1, 0), (0, 1)), encoded((0.6, 0.8), (1, 0), (-1, 0))
    assert late_interaction(query, document) == pytest.approx((1 + 0.8) / 2)


def test_tokens_of_the_document_that_match_nothing_do_no_harm() -> None:
    query = encoded((1, 0))
    assert (
        late_interaction(query, encoded((1, 0), (-1, 0)))
        == late_interaction(query, encoded((1, 0)))
        == 1
    )


@pytest.mark.parametrize(
    ("query", "document"), [(encoded(), encoded((1, 0))), (encoded((1, 0)), encoded())]
)
def test_nothing_to_compare_scores_zero(query: Encoded, document: Encoded) -> None:
    assert late_interaction(query, document) == 0
