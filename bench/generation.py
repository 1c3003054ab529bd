"""What nlg's model loses and gains as an ONNX graph: greedy tokens, perplexity on held-out pages, bytes, speed.

Runs in an environment with torch, transformers, onnx, onnxscript and onnxruntime:
`python bench/generation.py DJANGO_SDIST`. bench/README.md has the words for people; JSON on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "services" / "nlg")]

PRECISIONS: dict[str, dict[str, Any]] = {
    "fp32": {"type": "fp32"},
    "fp16": {"type": "fp16"},
    "int8": {"type": "int8"},
    "int8, a scale a tensor": {"type": "int8", "per-channel": False},
    "int8, embedding fp32": {"type": "int8", "exclude": ["Gather"]},
}
WINDOW = 256  # tokens of a held-out window, as the training measured it
HELD_OUT_EVERY = 20  # pages, as the training held them out
TOKENS = 64  # that must be the same after each prompt
ROUNDS = 5


def main() -> None:
    """Export in each precision, measure each beside torch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sdist", type=Path, help="the text that the model was trained on: services/nlg/train/README.md")
    parser.add_argument("--weights", type=Path, default=ROOT / "services" / "nlg" / "weights")
    parser.add_argument("--by-token", action="store_true", help="perplexity as a service reads: token by token")
    parser.add_argument("--only", action="append", choices=PRECISIONS)
    arguments = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from nlg.graph import Graph
    from nlg.transformer import Transformer
    from slimbake.inside.export import export
    from train.prose import documents

    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(arguments.weights / "tokenizer.json"))
    pages = documents(arguments.sdist)[::HELD_OUT_EVERY]
    held_out = np.array([i for page in pages for i in (*tokenizer.encode(page).ids, 1)])
    windows = held_out[: len(held_out) // WINDOW * WINDOW].reshape(-1, WINDOW)
    prompts = [tokenizer.encode(" ".join(page.split()[:8])).ids for page in pages[:20]]

    whole = Transformer(arguments.weights, "float32")
    expected = [greedy(whole, prompt)[0] for prompt in prompts]
    size = (arguments.weights / "model.safetensors").stat().st_size
    found = {"torch": measured(whole, expected, prompts, windows, size, arguments.by_token)}
    for name in arguments.only or PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            export(arguments.weights, Path(folder), PRECISIONS[name])
            size = sum(path.stat().st_size for path in Path(folder).glob("model.onnx*"))
            decoder = Graph(Path(folder))
            found[name] = measured(decoder, expected, prompts, windows, size, arguments.by_token)
        print(name, found[name], file=sys.stderr)
    print(json.dumps(found, indent=1))


def measured(
    decoder: Any, expected: list[list[int]], prompts: list[list[int]], windows: Any, size: int, by_token: bool
) -> dict[str, Any]:
    """The figures of one form."""
    mine = [greedy(decoder, prompt) for prompt in prompts]
    equal = [first_other(ours, theirs) for (ours, _), theirs in zip(mine, expected, strict=True)]
    speeds = [max(greedy(decoder, prompt)[1] for _ in range(ROUNDS)) for prompt in prompts[:4]]
    started = time.process_time()
    for _ in range(ROUNDS):
        decoder.read(windows[:3].reshape(-1).tolist())
    prefill = 3 * WINDOW * ROUNDS / (time.process_time() - started)
    loss = np.mean([loss_of(decoder.logits(row.tolist()), row) for row in windows])
    found = {
        "bytes": size,
        "prompts": len(prompts),
        "all tokens equal": sum(count == TOKENS for count in equal),
        "equal tokens at the start, mean": float(np.mean(equal)),
        "loss": round(float(loss), 5),
        "perplexity": round(float(np.exp(loss)), 3),
        "tokens a second of one core": round(float(np.median(speeds))),
        "tokens a second of one core, of a prompt of 768": round(prefill),
    }
    if by_token:
        loss = np.mean([loss_of(one_by_one(decoder, row), row) for row in windows])
        found["perplexity by token"] = round(float(np.exp(loss)), 3)
    return found


def greedy(decoder: Any, prompt: Sequence[int]) -> tuple[list[int], float]:
    """TOKENS likeliest tokens, ends among them, and how many came after the first in a second of a core's time."""
    logits, cache = decoder.read(prompt)
    tokens = [int(logits.argmax())]
    started = time.process_time()
    while len(tokens) < TOKENS:
        logits, cache = decoder.read(tokens[-1:], cache)
        tokens.append(int(logits.argmax()))
    return tokens, (TOKENS - 1) / (time.process_time() - started)


def one_by_one(decoder: Any, ids: Any) -> Any:
    """The logits after each token, read one by one through the cache."""
    rows, cache = [], None
    for token in ids.tolist():
        logits, cache = decoder.read([token], cache)
        rows.append(logits)
    return np.stack(rows)


def loss_of(logits: Any, ids: Any) -> float:
    """Mean nats of the tokens after the first."""
    rows = logits[:-1].astype(np.float64)
    rows -= rows.max(axis=-1, keepdims=True)
    return float(np.mean(np.log(np.exp(rows).sum(axis=-1)) - rows[np.arange(len(rows)), ids[1:]]))


def first_other(mine: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens are the same before the first that differs."""
    return next((at for at, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b), len(mine))


if __name__ == "__main__":
    main()
