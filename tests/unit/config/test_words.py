"""What a word without quotes means, and which words need them."""

import pytest

from slimbake.config.words import Word, unquoted

TEXTS = ("api", "3.11.2", "100MB", "1.2GB", "-m", "10.0.0.1", "y", "1:x", "v1", "--", "0x")


@pytest.mark.parametrize(
    ("text", "value"), [*zip(TEXTS, TEXTS, strict=True), ("0", 0), ("8000", 8000), ("-1", -1)]
)
def test_a_word_is_a_text_or_a_plain_whole_number(text: str, value: str | int) -> None:
    assert unquoted(text) == value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("no", "false"),
        ("Off", "false"),
        ("YES", "true"),
        ("3.10", "the number 3.1"),
        ("1e3", "the number 1000"),
        ("8_000", "a number"),
        ("+1", "a number"),
        ("0123", "a number"),
        ("0o17", "a number"),
        ("0x1F", "a number"),
        ("0b11", "a number"),
        ("08", "a number"),
        ("1:30", "a number"),
        ("190:20:30.5", "a number"),
        ("2026-11-24", "a date"),
        ("2026-11-24T10:00:00Z", "a date"),
        (".inf", "a number"),
        ("123456789012345678901234567890", "the number 1.23457e+29"),
    ],
)
def test_an_ambiguous_word_is_kept_as_written(text: str, meaning: str) -> None:
    word = unquoted(text)
    assert isinstance(word, Word)
    assert (word.text, word.meaning) == (text, meaning)
