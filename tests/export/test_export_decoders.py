"""Exports of small decoders with random weights, where torch is, as CONTRIBUTING.md says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from slimbake_export.decoder import export_decoder  # noqa: E402
from slimbake_export.quantise import LEAST, quantise_graph  # noqa: E402
from slimbake_export.tracing import ExportError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of what it will change itself

SMALL = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
WINDOWS = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
FAMILIES: dict[str, dict[str, Any]] = {
    "Gemma": {"head_dim": 16},
    "Gemma2": {"head_dim": 16, "query_pre_attn_scalar": 16, **WINDOWS},
    "Gemma3Text": {"head_dim": 16, "query_pre_attn_scalar": 16, **WINDOWS},
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8, "tie_word_embeddings": True},
    "Mistral": {"sliding_window": 8},
    "GPT2": {},
}
CLASSES = {"Gemma3Text": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}
STEPS = 30  # past the windows


class Exported(NamedTuple):
    """A torch model, its graph, and what the export said of it."""

    model: Any
    graph: Path
    said: dict[str, Any]


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp(request.param)
    model = saved(request.param, folder / "torch")
    return Exported(model, folder / "model.onnx", export_decoder(folder / "torch", folder))


def saved(family: str, folder: Path) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SMALL, **FAMILIES[family])
    model = getattr(transformers, CLASSES.get(family, f"{family}ForCausalLM"))(config).eval()
    with torch.no_grad():  # as they begin, models prefer no token to another, and norms do nothing
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    return model


class Graph:
    """Runs a graph as the contract says: empty past first, what is present is the next past."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(
        self, ids: Any, mask: Any, past: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        given = past or {
            node.name: np.zeros((len(ids), node.shape[1], 0, node.shape[3]), np.float32)
            for node in self.session.get_inputs()
            if node.name.startswith("past_key_values.")
        }
        names = [
            node.name.replace("present.", "past_key_values.") for node in self.session.get_outputs()
        ]
        made = self.session.run(None, {"input_ids": ids, "attention_mask": mask, **given})
        found = dict(zip(names, made, strict=True))
        return found.pop("logits"), found


def torch_logits(model: Any, ids: Any, mask: Any) -> Any:
    """Of a whole text at once, positions counted from the mask, as generate() does."""
    attended = torch.tensor(mask)
    positions = (attended.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        return model(
            input_ids=torch.tensor(ids), attention_mask=attended, position_ids=positions
        ).logits.numpy()


def test_inputs_and_outputs_are_those_of_the_contract(exported: Exported) -> None:
    session = Graph(exported.graph).session
    caches = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    assert [node.name for node in session.get_inputs()] == [
        "input_ids",
        "attention_mask",
        *(f"past_key_values.{name}" for name in caches),
    ]
    assert [node.name for node in session.get_outputs()] == [
        "logits",
        *(f"present.{name}" for name in caches),
    ]
    shapes = {node.name: node.shape for node in session.get_inputs()}
    assert shapes["input_ids"] == ["batch", "length"]
    assert shapes["past_key_values.0.key"][::2] == ["batch", "past"]
    assert {type(size) for size in shapes["past_key_values.0.key"][1::2]} == {int}


def test_what_a_service_needs_to_know_is_reported(exported: Exported) -> None:
    assert exported.said == {"max_length": 64, "ends": [1]}


def test_the_likeliest_tokens_are_torchs_one_by_one(exported: Exported) -> None:
    graph = Graph(exported.graph)
    text = [[2, 17, 99, 5]]
    logits, past = graph(np.array(text), np.ones((1, 4), np.int64))
    for _ in range(STEPS):
        expected = torch_logits(exported.model, text, np.ones((1, len(text[0])), np.int64))[:, -1]
        np.testing.assert_allclose(logits[:, -1], expected, atol=1e-4)
        text[0].append(int(logits[0, -1].argmax()))
        logits, past = graph(np.array([text[0][-1:]]), np.ones((1, len(text[0])), np.int64), past)


def test_texts_of_several_lengths_side_by_side(exported: Exported) -> None:
    graph = Graph(exported.graph)
    texts = np.random.default_rng(0).integers(3, 128, (3, 20))
    mask = np.ones_like(texts)
    mask[1, :7] = mask[2, :15] = 0
    logits, past = graph(texts[:, :17], mask[:, :17])
    more, _ = graph(texts[:, 17:], mask, past)
    for row in range(3):
        alone = texts[row : row + 1, mask[row] == 1]
        expected = torch_logits(exported.model, alone, np.ones_like(alone))[0]
        found = np.concatenate([logits[row], more[row]])[mask[row] == 1]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_in_blocks_each_large_matrix_has_8_bits(exported: Exported, tmp_path: Path) -> None:
    """The head among them; what is small keeps floats."""
    path = quantised(exported, "int8", tmp_path)
    graph = onnx.load(path).graph
    blocks = [
        {each.name: each.i for each in node.attribute}
        for node in graph.node
        if node.op_type == "MatMulNBits"
    ]
    assert {each["bits"] for each in blocks} == {8}
    assert SMALL["vocab_size"] in {each["N"] for each in blocks}
    left = [each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    assert [each.name for each in left if len(each.dims) == 2 and np.prod(each.dims) >= LEAST] == []
    assert agreement(path, exported.graph) > 0.999


def quantised(exported: Exported, precision: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(exported.graph.read_bytes())
    quantise_graph(path, precision)
    return path


def agreement(one: Path, other: Path) -> float:
    """How two graphs' logits correlate."""
    text, mask = np.random.default_rng(1).integers(3, 128, (1, 24)), np.ones((1, 24), np.int64)
    found, expected = Graph(one)(text, mask)[0], Graph(other)(text, mask)[0]
    return float(np.corrcoef(found.ravel(), expected.ravel())[0, 1])


PROGRAM = """\
import sys
from pathlib import Path
from slimbake_export.decoder import export_decoder
export_decoder(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    saved("Llama", tmp_path / "torch")
    found = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        out.mkdir()
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))}
        subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / "torch", out],
            check=True,
            cwd=out,
            env=environment,
        )
        found.append((out / "model.onnx").read_bytes())
    assert found[0] == found[1]


def test_nothing_of_the_machine_is_in_the_graph(exported: Exported) -> None:
    content = exported.graph.read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in content
    assert b"stack_trace" not in content


def test_a_model_without_a_cache_of_keys_and_values_stays_with_torch(tmp_path: Path) -> None:
    config = transformers.MambaConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, state_size=4
    )
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path / "torch")
    with pytest.raises(
        ExportError,
        match=r"MambaForCausalLM keeps another cache than keys and values; `inference: torch`",
    ):
        export_decoder(tmp_path / "torch", tmp_path)


def test_of_several_ends_all_are_reported(tmp_path: Path) -> None:
    model = saved("Llama", tmp_path / "torch")
    model.generation_config.eos_token_id = [1, 7]
    model.generation_config.save_pretrained(tmp_path / "torch")
    assert export_decoder(tmp_path / "torch", tmp_path)["ends"] == [1, 7]
