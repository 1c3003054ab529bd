"""The committed model as torch's weights beside graphs of it, where torch is: CONTRIBUTING.md says
more.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for package in ("torch", "transformers", "onnxruntime", "onnxscript", "tokenizers"):
    pytest.importorskip(package)

from nlg.graph import Graph  # noqa: E402
from nlg.model import CausalModel, load  # noqa: E402
from slimbake.inside.export.model import export_model  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

WEIGHTS = Path(__file__).parents[1] / "weights"
LONG = "Django provides a template system. " * 200
PROMPTS = ["If the user is authenticated,", "The", "Grüße an alle: 東京 🙂.", LONG]


@pytest.fixture(scope="module")
def torchs() -> CausalModel:
    return load(WEIGHTS)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each precision."""
    folder = tmp_path_factory.mktemp("graphs")
    for precision in ("fp32", "int8"):
        export_model(WEIGHTS, folder / precision, {"type": precision})
    return folder


def tokens(model: CausalModel, prompt: str, most: int = 64) -> list[int]:
    return [piece.token for piece in model.generate(prompt, most, 0)]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_graph_in_fp32_writes_what_torch_writes(
    torchs: CausalModel, graphs: Path, prompt: str
) -> None:
    graph = load(graphs / "fp32")
    assert isinstance(graph.decoder, Graph)
    assert tokens(graph, prompt) == tokens(torchs, prompt) != []
    assert list(graph.generate(prompt, 9, 0)) == list(torchs.generate(prompt, 9, 0))


def test_window_and_ends_are_the_same(torchs: CausalModel, graphs: Path) -> None:
    graph = load(graphs / "int8").decoder
    assert (graph.window, graph.ends) == (torchs.decoder.window, torchs.decoder.ends) == (1024, {1})


def test_a_prompt_read_in_parts_is_as_read_whole(torchs: CausalModel, graphs: Path) -> None:
    ids = torchs.encode(LONG, 700)
    found, _ = load(graphs / "fp32").decoder.read(ids)
    assert len(ids) == 700
    np.testing.assert_allclose(found, torchs.decoder.logits(ids)[-1], atol=1e-3)


def test_texts_take_turns(graphs: Path) -> None:
    graph = load(graphs / "int8")
    alone = [tokens(graph, prompt, 12) for prompt in PROMPTS]
    beside = [graph.generate(prompt, 12, 0) for prompt in PROMPTS]
    found: list[list[int]] = [[] for _ in PROMPTS]
    for _ in range(12):
        for text, pieces in zip(found, beside, strict=True):
            text += [piece.token for piece in (next(pieces, None),) if piece]
    assert found == alone


def test_int8_stays_near(torchs: CausalModel, graphs: Path) -> None:
    graph, off = load(graphs / "int8"), []
    for prompt in PROMPTS:
        ids = torchs.encode(prompt, 200) + tokens(torchs, prompt, 32)
        off.append(
            np.mean(graph.decoder.logits(ids).argmax(-1) == torchs.decoder.logits(ids).argmax(-1))
        )
    assert np.mean(off) > 0.9
    sizes = {
        precision: (graphs / precision / "model.onnx").stat().st_size
        for precision in ("fp32", "int8")
    }
    assert sizes["int8"] < 0.4 * sizes["fp32"]


def test_a_graph_needs_neither_torch_nor_transformers(graphs: Path) -> None:
    program = "\n".join([
        "import sys",
        "sys.modules |= dict.fromkeys(('torch', 'transformers', 'onnx', 'safetensors'))  # importing them fails",
        "from pathlib import Path",
        "from nlg.model import load",
        "print([piece.token for piece in load(Path(sys.argv[1])).generate('The', 4, 0)])",
    ])  # fmt: skip
    environment: dict[str, Any] = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program, graphs / "fp32"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(tokens(load(graphs / "fp32"), "The", 4)), done.stderr
