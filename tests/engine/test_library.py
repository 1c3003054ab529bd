"""The library that runs models, in a repository that is not ours: a service of 15 lines on both
runtimes.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from tests.engine.conftest import ROOT, Toy, python
from tests.engine.toys import text_of

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["the", "a", "of", "to", "and", "is", "in", "you", "model"],
)
SIZE, PLACES = 32, 64
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "hidden_size": SIZE,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 2 * SIZE,
    "max_position_embeddings": PLACES,
}
SERVICE = """\
import uvicorn
from fastapi import FastAPI
from slimbake_models import load

model = load()
app = FastAPI()

@app.post("/embed")
def embed(texts: list[str]) -> list[list[float]]:
    return model.encode(texts).tolist()

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8000)
"""
SMOKE = """\
def load():
    from main import embed
    assert len({tuple(vector) for vector in embed(["is in the", "a", "you"])}) == 3
"""
VERIFY = """\
def verify(service):
    answer = service.post("/embed", ["is in the", "a", "you"])
    assert answer.status == 200 and len(answer.json()) == 3, answer.text
"""
PARITY = """\
from main import model
ids = model.ids
def embed(texts):
    return model.encode(texts).tolist()
"""
MANIFEST = text_of("library.yaml")


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of CONFIG's model."""
    layers = {
        "attention.self.query": (SIZE, SIZE),
        "attention.self.key": (SIZE, SIZE),
        "attention.self.value": (SIZE, SIZE),
        "attention.output.dense": (SIZE, SIZE),
        "intermediate.dense": (2 * SIZE, SIZE),
        "output.dense": (SIZE, 2 * SIZE),
    }
    dense = {f"encoder.layer.{n}.{name}": layers[name] for n in (0, 1) for name in layers}
    norms = [
        f"encoder.layer.{n}.{part}.LayerNorm"
        for n in (0, 1)
        for part in ("attention.output", "output")
    ]
    rows = {"word": len(WORDS), "position": PLACES, "token_type": 2}
    return {
        **{f"embeddings.{name}_embeddings.weight": (n, SIZE) for name, n in rows.items()},
        **{f"{name}.weight": shape for name, shape in dense.items()},
        **{f"{name}.bias": shape[:1] for name, shape in dense.items()},
        **{
            f"{name}.{part}": (SIZE,)
            for name in ("embeddings.LayerNorm", *norms)
            for part in ("weight", "bias")
        },
    }


def save_model(folder: Path) -> None:
    """A small encoder with random weights, as transformers would save it."""
    folder.mkdir()
    draw, header, content = np.random.default_rng(7), {}, b""
    for name, shape in shapes().items():
        values = draw.normal(0, 0.3, shape).astype(np.float32).tobytes()
        places = [len(content), len(content) + len(values)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": places}
        content += values
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content)
    tokenizer = {"tokenizer_class": "BertTokenizer", "model_max_length": PLACES}
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")


def test_a_service_of_15_lines_runs_on_both_runtimes(toy: Toy) -> None:
    assert len(SERVICE.splitlines()) <= 15
    files = {"main": SERVICE, "smoke": SMOKE, "verify": VERIFY, "parity": PARITY}
    toy.write(MANIFEST, {f"services/rank/{name}.py": text for name, text in files.items()})
    toy.file("services/rank/requirements.txt", "../../libs/slimbake-models\n")
    save_model(toy.root / "model")
    shutil.copy(ROOT / "examples/atlas/parity/sentences.jsonl", toy.root / "texts.jsonl")
    shutil.copytree(ROOT / "bake/locks", toy.root / "bake/locks")
    shutil.copytree(ROOT / "libs/slimbake-models", toy.root / "libs/slimbake-models")
    toy.done("lock")
    vectors = {}
    for variant, service in (("torch", "rank"), ("onnx", "rank-onnx")):
        for words in (("bake",), ("check", "--images")):
            toy.done(*words, service)
        image = toy.image("rank", "latest" if variant == "torch" else "latest-onnx")
        asks = "import main; print(main.embed(['is in the', 'a', 'you']))"
        vectors[variant] = np.array(json.loads(python(image, asks)))
    assert vectors["onnx"] == pytest.approx(vectors["torch"], abs=1e-4)
    figures = json.loads((toy.root / ".slimbake/parity/rank-onnx/parity.json").read_text())
    assert figures["task"] == "embedding" and figures["min-cosine"] > 0.99999
