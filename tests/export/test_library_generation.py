"""libs/slimbake-models: how a text is generated, with a runtime that recites."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slimbake_models import Model, Piece
from slimbake_models.model import Settings

tokenizers = pytest.importorskip("tokenizers")

TOKENIZER = Path(__file__).parents[2] / "examples/atlas/services/nlg/weights/tokenizer.json"
BOS, EOS = 2, 1


class Recites:
    """Likes the tokens of one text best, one after the other; its cache is what it has read."""

    settings = Settings(task="generation", max_length=12, ends=frozenset([EOS]))

    def __init__(self, tokenizer: Any, tokens: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.tokens = [*tokens, EOS]
        self.reads: list[tuple[int, ...]] = []

    def read(self, ids: Sequence[int], cache: Any = None) -> tuple[NDArray[np.float32], Any]:
        self.reads.append(tuple(ids))
        seen = [*(cache or ()), *ids]
        logits = np.zeros((1, 4096), np.float32)
        logits[0, self.tokens[len(self.reads) - 1]] = 5
        return logits, seen

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        raise NotImplementedError

    def run(self, given: Any, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        raise NotImplementedError


@pytest.fixture
def tokenizer() -> Any:
    return tokenizers.Tokenizer.from_file(str(TOKENIZER))


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


def generated(runtime: Recites, prompt: str, most: int = 9, temperature: float = 0) -> list[Piece]:
    return list(Model(runtime).generate(prompt, most, temperature))


def test_the_likeliest_is_taken_until_the_text_ends(tokenizer: Any) -> None:
    runtime = Recites(tokenizer, ids(tokenizer, " a model"))
    pieces = generated(runtime, "This is")
    assert "".join(piece.text for piece in pieces) == " a model"
    assert [piece.token for piece in pieces] == runtime.tokens[:-1]


def test_each_token_is_read_once(tokenizer: Any) -> None:
    runtime = Recites(tokenizer, ids(tokenizer, " a model"))
    generated(runtime, "This is")
    assert runtime.reads == [
        (BOS, *ids(tokenizer, "This is")),
        *((token,) for token in runtime.tokens[:-1]),
    ]


def test_no_token_is_made_before_it_is_asked_for(tokenizer: Any) -> None:
    runtime = Recites(tokenizer, ids(tokenizer, " a model of the world"))
    list(itertools.islice(Model(runtime).generate("This is", 9), 2))
    assert len(runtime.reads) == 2


def test_a_character_comes_when_its_bytes_are_there(tokenizer: Any) -> None:
    tokens = ids(tokenizer, "🙂!")
    texts = [piece.text for piece in generated(Recites(tokenizer, tokens), "x", 11)]
    assert len(tokens) > 2
    assert texts == [*[""] * (len(tokens) - 2), "🙂", "!"]


def test_of_a_long_prompt_the_end_is_read_and_leaves_room_in_the_window(tokenizer: Any) -> None:
    runtime = Recites(tokenizer, ids(tokenizer, " a"))
    words = "one two three four five six seven eight nine ten"
    generated(runtime, words, 8)
    assert runtime.reads[0] == (BOS, *ids(tokenizer, words)[-3:])


def test_no_more_is_written_than_the_window_holds_beside_the_start(tokenizer: Any) -> None:
    runtime = Recites(tokenizer, [7] * 100)
    assert len(generated(runtime, "one two", 512)) == runtime.settings.max_length - 1
    assert runtime.reads[0] == (BOS,)


def test_a_temperature_makes_chance_choose(tokenizer: Any) -> None:
    drawn = {
        tuple(piece.token for piece in generated(Recites(tokenizer, [7] * 9), "x", 8, 5.0))
        for _ in range(3)
    }
    assert len(drawn) == 3


def test_a_low_temperature_chooses_almost_as_none_does(tokenizer: Any) -> None:
    pieces = generated(Recites(tokenizer, [7] * 9), "x", 8, 0.01)
    assert [piece.token for piece in pieces] == [7] * 8


def test_of_a_prompt_the_tokens_are_cut_on_the_side_that_is_asked_for(tokenizer: Any) -> None:
    model = Model(Recites(tokenizer, []))
    whole = ids(tokenizer, "one two three four")
    assert model.ids(["one two three four"], 3) == [[BOS, *whole[:2]]]
    assert model.ids(["one two three four"], 3, "left") == [[BOS, *whole[-2:]]]
