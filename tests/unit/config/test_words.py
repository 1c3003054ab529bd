"""What a word without quotes means, and which words need them."""

from __future__ import annotations

import pytest

from slimbake.config.words import Word, unquoted


@pytest.mark.parametrize(
    "text", ["api", "3.11.2", "100MB", "1.2GB", "-m", "10.0.0.1", "y", "1:x", "v1", "--", "0x"]
)
def test_an_ordinary_word_is_a_text(text: str) -> None:
    assert unquoted(text) == text


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("8000", 8000), ("-1", -1)])
def test_a_plain_whole_number_is_one(text: str, number: int) -> None:
    assert unquoted(text) == number


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("no", "false"),
        ("Off", "false"),
        ("YES", "true"),
        ("3.10", "the number 3.1"),
        ("1e3", "the number 1000"),
        ("8_000", "the number 8000"),
        ("+1", "the number 1"),
        ("0123", "the number 83"),
        ("0o17", "the number 15"),
        ("0x1F", "the number 31"),
        ("0b11", "the number 3"),
        ("08", "the number 8"),
        ("1:30", "the number 90"),
        ("190:20:30.5", "the number 685230.5"),
        ("2026-11-24", "a date"),
        ("2026-11-24T10:00:00Z", "a date"),
        (".inf", "the number .inf"),
        ("123456789012345678901234567890", "the number 1.2345678901234568e+29"),
    ],
)
def test_a_word_that_readers_take_for_something_else_is_kept_as_written(
    text: str, meaning: str
) -> None:
    word = unquoted(text)
    assert isinstance(word, Word)
    assert (word.text, word.meaning) == (text, meaning)
