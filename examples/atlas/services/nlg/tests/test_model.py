import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

tokenizers = pytest.importorskip("tokenizers")

from nlg.model import CausalModel, load  # noqa: E402

WEIGHTS = Path(__file__).parents[1] / "weights"
BOS, EOS = 2, 1


class Recites:
    """Likes the tokens of one text best, one after the other; its cache is what it has read."""

    window = 12
    ends = frozenset([EOS])

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = [*tokens, EOS]
        self.reads: list[tuple[int, ...]] = []

    def read(self, ids: Sequence[int], cache: Any = None) -> tuple[NDArray[np.float32], Any]:
        self.reads.append(tuple(ids))
        seen = [*(cache or ()), *ids]
        logits = np.zeros(4096, np.float32)
        logits[self.tokens[len(self.reads) - 1]] = 5
        return logits, seen

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        raise NotImplementedError


@pytest.fixture
def tokenizer() -> Any:
    return tokenizers.Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


def test_the_likeliest_is_taken_until_the_text_ends(tokenizer: Any) -> None:
    decoder = Recites(ids(tokenizer, " a model"))
    pieces = list(CausalModel(tokenizer, decoder).generate("This is", 9, 0))
    assert "".join(piece.text for piece in pieces) == " a model"
    assert [piece.token for piece in pieces] == decoder.tokens[:-1]


def test_each_token_is_read_once(tokenizer: Any) -> None:
    decoder = Recites(ids(tokenizer, " a model"))
    list(CausalModel(tokenizer, decoder).generate("This is", 9, 0))
    assert decoder.reads == [
        (BOS, *ids(tokenizer, "This is")),
        *((token,) for token in decoder.tokens[:-1]),
    ]


def test_no_token_is_made_before_it_is_asked_for(tokenizer: Any) -> None:
    decoder = Recites(ids(tokenizer, " a model of the world"))
    list(itertools.islice(CausalModel(tokenizer, decoder).generate("This is", 9, 0), 2))
    assert len(decoder.reads) == 2


def test_a_character_comes_when_its_bytes_are_there(tokenizer: Any) -> None:
    tokens = ids(tokenizer, "🙂!")
    texts = [piece.text for piece in CausalModel(tokenizer, Recites(tokens)).generate("x", 11, 0)]
    assert len(tokens) > 2
    assert texts == [*[""] * (len(tokens) - 2), "🙂", "!"]


def test_of_a_long_prompt_the_end_is_read_and_leaves_room_in_the_window(tokenizer: Any) -> None:
    decoder = Recites(ids(tokenizer, " a"))
    words = "one two three four five six seven eight nine ten"
    list(CausalModel(tokenizer, decoder).generate(words, 8, 0))
    assert decoder.reads[0] == (BOS, *ids(tokenizer, words)[-3:])


def test_no_more_is_written_than_the_window_holds_beside_the_start(tokenizer: Any) -> None:
    decoder = Recites([7] * 100)
    assert (
        len(list(CausalModel(tokenizer, decoder).generate("one two", 512, 0))) == decoder.window - 1
    )
    assert decoder.reads[0] == (BOS,)


def test_a_temperature_makes_chance_choose(tokenizer: Any) -> None:
    drawn = {
        tuple(
            piece.token for piece in CausalModel(tokenizer, Recites([7] * 9)).generate("x", 8, 5.0)
        )
        for _ in range(3)
    }
    assert len(drawn) == 3


def test_a_low_temperature_chooses_almost_as_none_does(tokenizer: Any) -> None:
    pieces = CausalModel(tokenizer, Recites([7] * 9)).generate("x", 8, 0.01)
    assert [piece.token for piece in pieces] == [7] * 8


@pytest.mark.parametrize("there", [[], ["config.json"], ["model.onnx"], ["tokenizer.json"]])
def test_a_folder_without_a_model_is_told(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match="holds no model: no "):
        load(tmp_path)
