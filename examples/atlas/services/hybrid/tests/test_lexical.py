import pytest

from hybrid.lexical import LexicalIndex


def test_a_rare_word_weighs_more_than_a_frequent_one() -> None:
    index = LexicalIndex({"a": "the cat", "b": "the dog", "c": "the the the the", "d": "the dog"})
    assert index.rank("the cat", 2) == ["a", "c"]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert LexicalIndex({"a": "Straße, ÜBER alles!", "b": "other"}).rank("strasse? über", 5) == [
        "a"
    ]


def test_texts_without_a_word_of_the_query_are_left_out() -> None:
    assert LexicalIndex({"a": "cat", "b": "dog"}).rank("dog bird", 5) == ["b"]


def test_equal_texts_keep_their_order() -> None:
    assert LexicalIndex({"z": "cat", "a": "cat", "m": "cat"}).rank("cat", 2) == ["z", "a"]


@pytest.mark.parametrize("texts", [{}, {"a": ""}, {"a": "...", "b": "\n"}])
def test_an_index_of_nothing_finds_nothing(texts: dict[str, str]) -> None:
    assert LexicalIndex(texts).rank("cat", 5) == []


@pytest.mark.parametrize("query", ["", "?!", "unheard-of"])
def test_a_query_that_says_nothing_known_finds_nothing(query: str) -> None:
    assert LexicalIndex({"a": "cat", "b": ""}).rank(query, 5) == []
