"""The committed model as torch's weights beside graphs of it, where torch is: CONTRIBUTING.md says
more.
"""

from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "transformers", "onnxruntime", "onnxscript", "tokenizers"):
    pytest.importorskip(package)

from slimbake_export.model import export_model  # noqa: E402
from slimbake_models import Model, load  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

WEIGHTS = Path(__file__).parents[1] / "weights"
LONG = "Django provides a template system. " * 200
PROMPTS = ["If the user is authenticated,", "The", "Grüße an alle: 東京 🙂.", LONG]


@pytest.fixture(scope="module")
def torchs() -> Model:
    return load(WEIGHTS)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each precision."""
    folder = tmp_path_factory.mktemp("graphs")
    for precision in ("fp32", "int8"):
        export_model(WEIGHTS, folder / precision, precision)
    return folder


def tokens(model: Model, prompt: str, most: int = 64) -> list[int]:
    return [piece.token for piece in model.generate(prompt, most)]


def start(model: Model, prompt: str, most: int) -> list[int]:
    (ids,) = model.ids([prompt], most, "left")
    return ids


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_graph_in_fp32_writes_what_torch_writes(torchs: Model, graphs: Path, prompt: str) -> None:
    graph = load(graphs / "fp32")
    assert type(graph.runtime) is not type(torchs.runtime)
    assert tokens(graph, prompt) == tokens(torchs, prompt) != []
    assert list(graph.generate(prompt, 9)) == list(torchs.generate(prompt, 9))


def test_window_and_ends_are_the_same(torchs: Model, graphs: Path) -> None:
    graph = load(graphs / "int8")
    assert graph.settings == torchs.settings
    assert (graph.settings.max_length, graph.settings.ends) == (1024, {1})


def test_a_prompt_read_in_parts_is_as_read_whole(torchs: Model, graphs: Path) -> None:
    ids = start(torchs, LONG, 700)
    found, _ = load(graphs / "fp32").runtime.read(ids)
    assert len(ids) == 700
    np.testing.assert_allclose(found[-1], torchs.runtime.logits(ids)[-1], atol=1e-3)


def test_texts_take_turns(graphs: Path) -> None:
    graph = load(graphs / "int8")
    alone = [tokens(graph, prompt, 12) for prompt in PROMPTS]
    beside = [graph.generate(prompt, 12) for prompt in PROMPTS]
    found: list[list[int]] = [[] for _ in PROMPTS]
    for _ in range(12):
        for text, pieces in zip(found, beside, strict=True):
            text += [piece.token for piece in (next(pieces, None),) if piece]
    assert found == alone


def test_int8_stays_near(torchs: Model, graphs: Path) -> None:
    graph, off = load(graphs / "int8"), []
    for prompt in PROMPTS:
        ids = start(torchs, prompt, 200) + tokens(torchs, prompt, 32)
        off.append(
            np.mean(graph.runtime.logits(ids).argmax(-1) == torchs.runtime.logits(ids).argmax(-1))
        )
    assert np.mean(off) > 0.9
    sizes = {
        precision: (graphs / precision / "model.onnx").stat().st_size
        for precision in ("fp32", "int8")
    }
    assert sizes["int8"] < 0.4 * sizes["fp32"]
