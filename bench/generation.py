"""What decoders lose and gain as ONNX graphs: greedy tokens, perplexity on held-out pages, bytes,
speed. nlg's own model in all precisions, and a larger Llama with random weights in some.

Runs in an environment with torch, transformers, onnx, onnxscript and onnxruntime: `python
bench/generation.py DJANGO_SDIST`. `tools/docs/results.py` makes docs/inference-figures.md of it.
bench/README.md has more.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
NLG = ROOT / "examples" / "atlas" / "services" / "nlg"
LIBS = (ROOT / "libs/slimbake-models/src", ROOT / "libs/slimbake-export/src")
PATHS = (ROOT, ROOT / "src", *LIBS, NLG)
RESULTS = ROOT / "bench" / "results" / "generation.json"

TORCH = "torch, fp32"
WINDOW = 256  # tokens of a held-out window, as the training measured it
HELD_OUT_EVERY = 20  # pages, as the training held them out
TOKENS = 64  # that must be the same after each prompt
ROUNDS = 5
ONE_BY_ONE = 10  # windows that are also read token by token
FORMS = ("ONNX, fp32", "ONNX, fp16", "ONNX, int8")
# The second family: enough weights that reading them takes longer than all else.
LLAMA = {
    "vocab_size": 8192,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1024,
}
LLAMA_FORMS = ("ONNX, fp32", "ONNX, int8")
LLAMA_WINDOWS = 6


def main() -> None:
    """Measure, and write the numbers."""
    sys.path[:0] = [str(each) for each in PATHS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "sdist",
        type=Path,
        help="the model's text: examples/atlas/services/nlg/train/README.md",
    )
    parser.add_argument("--weights", type=Path, default=NLG / "weights")
    arguments = parser.parse_args()
    compare(arguments.sdist, arguments.weights)


def compare(sdist: Path, weights: Path) -> None:
    """Export in each precision, measure each beside torch, and keep all numbers."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import onnxruntime
    import torch
    import transformers
    from bench.precision import PRECISIONS
    from bench.tables import cpu, machine
    from tokenizers import Tokenizer

    prose = importlib.import_module("train.prose")
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    pages = prose.documents(sdist)[::HELD_OUT_EVERY]
    held_out = np.array([i for page in pages for i in (*tokenizer.encode(page).ids, 1)])
    windows = held_out[: len(held_out) // WINDOW * WINDOW].reshape(-1, WINDOW)
    prompts = [tokenizer.encode(" ".join(page.split()[:8])).ids for page in pages[:20]]

    precisions = {name: PRECISIONS[name] for name in FORMS}
    found = forms(weights, precisions, prompts, windows)
    with tempfile.TemporaryDirectory() as folder:
        llama(Path(folder), weights)
        random = np.random.default_rng(0).integers(3, LLAMA["vocab_size"], (LLAMA_WINDOWS, WINDOW))
        few = {name: precisions[name] for name in LLAMA_FORMS}
        other = forms(Path(folder), few, random[:, :8].tolist(), random)
    said = {
        "machine": machine(),
        "cpu": cpu(),
        "versions": {
            each.__name__: each.__version__ for each in (torch, transformers, onnxruntime)
        },
        "text": sdist.name,
        "windows": len(windows),
        "prompts": len(prompts),
        "forms": found,
        "llama": other,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(said, indent=1) + "\n")


def llama(folder: Path, tokenizer: Path) -> None:
    """Save a Llama with random weights, and a tokenizer, which nothing here asks."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**LLAMA))
    with torch.no_grad():  # as it begins, it prefers no token to another
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.02)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)


def forms(
    weights: Path,
    precisions: dict[str, str],
    prompts: list[list[int]],
    windows: Any,
) -> dict[str, Any]:
    """The figures of torch and of graphs, by form."""
    from slimbake_export.model import export_model

    load = importlib.import_module("slimbake_models").load
    whole = load(weights).runtime
    expected = [greedy(whole, prompt)[0] for prompt in prompts]
    likeliest = [whole.logits(row.tolist()).argmax(axis=-1) for row in windows]
    size = (weights / "model.safetensors").stat().st_size
    found = {TORCH: measured(whole, expected, likeliest, prompts, windows) | {"bytes": size}}
    for name, precision in precisions.items():
        print(f"  {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.redirect_stdout(sys.stderr):  # torch tells of its progress
                export_model(weights, Path(folder), precision)
            size = sum(path.stat().st_size for path in Path(folder).glob("model.onnx*"))
            graph = load(folder).runtime
            figures = measured(graph, expected, likeliest, prompts, windows)
            found[name] = figures | {"bytes": size}
    return found


def measured(
    decoder: Any,
    expected: list[list[int]],
    likeliest: list[Any],
    prompts: list[list[int]],
    windows: Any,
) -> dict[str, Any]:
    """The figures of one form. Speeds are by the processor's time: those of one core that does
    nothing else.
    """
    mine = [greedy(decoder, prompt) for prompt in prompts]
    equal = [first_other(ours, theirs) for (ours, _), theirs in zip(mine, expected, strict=True)]
    speeds = [max(greedy(decoder, prompt)[1] for _ in range(ROUNDS)) for prompt in prompts[:4]]
    started = time.process_time()
    for _ in range(ROUNDS):
        decoder.read(windows[:3].reshape(-1).tolist())
    prefill = 3 * WINDOW * ROUNDS / (time.process_time() - started)
    logits = [decoder.logits(row.tolist()) for row in windows]
    return {
        "equal": sum(count == TOKENS for count in equal),
        "first": float(np.mean(equal)),
        "likeliest": float(
            np.mean([a.argmax(axis=-1) == b for a, b in zip(logits, likeliest, strict=True)])
        ),
        "perplexity": float(np.exp(np.mean([*map(loss_of, logits, windows)]))),
        "by_token": float(
            np.exp(
                np.mean([loss_of(one_by_one(decoder, row), row) for row in windows[:ONE_BY_ONE]])
            )
        ),
        "rate": float(np.median(speeds)),
        "prefill": prefill,
    }


def greedy(decoder: Any, prompt: Sequence[int]) -> tuple[list[int], float]:
    """TOKENS likeliest tokens, ends among them, and how many came after the first in a second of a
    core's time.
    """
    logits, cache = decoder.read(prompt)
    tokens = [int(logits[-1].argmax())]
    started = time.process_time()
    while len(tokens) < TOKENS:
        logits, cache = decoder.read(tokens[-1:], cache)
        tokens.append(int(logits[-1].argmax()))
    return tokens, (TOKENS - 1) / (time.process_time() - started)


def one_by_one(decoder: Any, ids: Any) -> Any:
    """The logits after each token, read one by one through the cache."""
    rows, cache = [], None
    for token in ids.tolist():
        logits, cache = decoder.read([token], cache)
        rows.append(logits[-1])
    return np.stack(rows)


def loss_of(logits: Any, ids: Any) -> float:
    """Mean nats of the tokens after the first."""
    rows = logits[:-1].astype(np.float64)
    rows -= rows.max(axis=-1, keepdims=True)
    return float(np.mean(np.log(np.exp(rows).sum(axis=-1)) - rows[np.arange(len(rows)), ids[1:]]))


def first_other(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens are the same before the first that differs."""
    return next(
        (at for at, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b), len(mine)
    )


if __name__ == "__main__":
    main()
