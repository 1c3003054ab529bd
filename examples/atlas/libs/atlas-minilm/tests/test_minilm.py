import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from atlas_minilm import form, load, of_tokens


def test_a_text_has_its_vector_and_its_own_tokens_at_length_one() -> None:
    vectors = np.array([[1, 0], [0, 1]], dtype=np.float32)
    tokens = np.array(
        [[[9, 9], [3, 4], [9, 9], [9, 9]], [[9, 9], [0, 2], [5, 0], [9, 9]]], dtype=np.float32
    )
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    short, full = of_tokens(vectors, tokens, mask)
    np.testing.assert_allclose(short.tokens, [[0.6, 0.8]])
    np.testing.assert_allclose(full.tokens, [[0, 1], [1, 0]])
    assert [each.vector.tolist() for each in (short, full)] == vectors.tolist()


def test_a_token_of_nothing_but_zeros_stays_so() -> None:
    [only] = of_tokens(
        np.zeros((1, 2), np.float32), np.zeros((1, 3, 2), np.float32), np.array([[1, 1, 1]])
    )
    assert only.tokens.tolist() == [[0, 0]]


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
    stands = ModuleType(f"atlas_minilm.{module}")
    setattr(stands, name, object())
    other = "graph" if module == "transformer" else "transformer"
    monkeypatch.setitem(sys.modules, f"atlas_minilm.{module}", stands)
    monkeypatch.setitem(sys.modules, f"atlas_minilm.{other}", None)  # an import of it fails
    assert form(tmp_path) is getattr(stands, name)


def test_a_folder_without_a_model_is_no_name_on_a_hub(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no model"):
        load(tmp_path)
