"""libs/slimbake-models where neither torch nor ONNX Runtime is: what a service's own tests see."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("numpy")

import numpy as np

from slimbake_models import BATCH, Encoded, Model, load, runtime
from slimbake_models.model import Settings


class Given:
    """A runtime and its tokenizer: of each text the same, however it reads."""

    settings = Settings(task="embedding", max_length=8, inputs=("attention_mask",))

    def __init__(self, masks: list[str], tokens: Any = (), vectors: Any = ()) -> None:
        self.masks = masks  # of each text its places: "s" is a special token, "." a padding
        self.outputs = {
            "token_embeddings": np.array(tokens, np.float32),
            "sentence_embedding": np.array(vectors, np.float32),
        }
        self.tokenizer = self
        self.batches: list[int] = []

    def enable_truncation(self, most: int, direction: str) -> None:
        assert (most, direction) == (self.settings.max_length, "right")

    def encode_batch(self, texts: list[str]) -> list[Any]:
        self.batches.append(len(texts))
        return [
            SimpleNamespace(
                attention_mask=[int(place != ".") for place in mask],
                special_tokens_mask=[int(place in "s.") for place in mask],
            )
            for mask in self.masks[: len(texts)]
        ]

    def run(self, given: Any, outputs: list[str]) -> list[Any]:
        assert list(given) == ["attention_mask"]
        return [self.outputs[name] for name in outputs]


def encoded(masks: list[str], tokens: Any, vectors: Any) -> list[Encoded]:
    model: Any = Given(masks, tokens, vectors)
    return Model(model).encode_tokens(["text"] * len(masks))


def test_a_text_has_its_vector_and_its_own_tokens_at_length_one() -> None:
    vectors = [[1, 0], [0, 1]]
    tokens = [[[9, 9], [3, 4], [9, 9], [9, 9]], [[9, 9], [0, 2], [5, 0], [9, 9]]]
    short, full = encoded(["s_s.", "s__s"], tokens, vectors)
    np.testing.assert_allclose(short.tokens, [[0.6, 0.8]])
    np.testing.assert_allclose(full.tokens, [[0, 1], [1, 0]])
    assert [each.vector.tolist() for each in (short, full)] == vectors


def test_a_token_of_nothing_but_zeros_stays_so() -> None:
    (only,) = encoded(["s_s"], np.zeros((1, 3, 2)), [[0, 0]])
    assert only.tokens.tolist() == [[0, 0]]


def test_more_texts_than_a_batch_go_through_the_model_one_batch_after_the_other() -> None:
    model: Any = Given(["s_s"] * BATCH, vectors=[[1, 0]])
    Model(model).encode(["text"] * (2 * BATCH + 1))
    assert model.batches == [BATCH, BATCH, 1]


@pytest.mark.parametrize(
    ("files", "module", "name"),
    [
        (["config.json"], "transformer", "Transformer"),
        (["model.onnx", "config.json"], "graph", "Graph"),
    ],
)
def test_what_the_folder_holds_decides_and_nothing_else_is_imported(
    files: list[str], module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in files:
        (tmp_path / file).touch()
    stands = ModuleType(f"slimbake_models.{module}")
    setattr(stands, name, lambda folder, **said: (name, folder, said))
    other = "graph" if module == "transformer" else "transformer"
    monkeypatch.setitem(sys.modules, f"slimbake_models.{module}", stands)
    monkeypatch.setitem(sys.modules, f"slimbake_models.{other}", None)  # an import of it fails
    made: Any = runtime(tmp_path, "bfloat16")(tmp_path)
    computes = {"dtype": "bfloat16"} if module == "transformer" else {}
    assert made == (name, tmp_path, computes)


@pytest.mark.parametrize("there", [[], ["model.onnx"], ["tokenizer.json"]])
def test_a_folder_without_a_model_is_no_name_on_a_hub(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=r"holds no model: no config\.json"):
        load(tmp_path)


def test_an_import_of_it_needs_numpy_alone() -> None:
    program = (
        "import sys\n"
        "names = ('torch', 'transformers', 'onnxruntime', 'tokenizers')\n"
        "sys.modules |= dict.fromkeys(names)  # importing them fails\n"
        "import slimbake_models\n"
    )
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], env=path, check=True)
