"""Train the tiny Gemma in ../weights, once, from the documentation text of a source distribution.

`cd examples/atlas/services/nlg && python -m train.train SDIST`. Fixed seeds; six minutes on two
cores. See README.md.
"""

import argparse
import hashlib
import json
import math
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GemmaConfig, GemmaForCausalLM, PreTrainedTokenizerFast

from train.prose import HELD_OUT_EVERY, documents

SOURCE = {
    "package": "Django",
    "version": "5.2.19",
    "sha256": "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1",
    "licence": "BSD-3-Clause",
}
PAD, EOS, BOS = SPECIAL = ("<pad>", "<eos>", "<bos>")  # ids 0, 1, 2: GemmaConfig's defaults
VOCABULARY = 4096
LONGEST = 1024  # tokens that the model may be given
WINDOW = 256  # tokens that it is trained on; rotary positions carry it further, less well
BATCH = 8


def main() -> None:
    """Train, measure on held-out pages, and write the weights folder."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "sdist", type=Path, help=f"{SOURCE['package']} {SOURCE['version']} as a .tar.gz"
    )
    arguments.add_argument("--weights", type=Path, default=Path(__file__).parents[1] / "weights")
    arguments.add_argument("--steps", type=int, default=1400)
    options = arguments.parse_args()
    if hashlib.sha256(options.sdist.read_bytes()).hexdigest() != SOURCE["sha256"]:
        raise SystemExit(
            f"not {SOURCE['package']} {SOURCE['version']}, its sha256 differs: {options.sdist}"
        )

    torch.manual_seed(0)
    pages = documents(options.sdist)
    held_out = pages[::HELD_OUT_EVERY]
    training = [page for index, page in enumerate(pages) if index % HELD_OUT_EVERY]
    tokenizer = train_tokenizer(training)
    train_ids, held_out_ids = token_ids(tokenizer, training), token_ids(tokenizer, held_out)
    model = train_model(train_ids, options.steps)
    model.to(torch.bfloat16).to(torch.float32)  # what is stored is what is measured
    figures = {
        "held_out_loss": round(held_out_loss(model, held_out_ids), 4),
        "unigram_baseline": round(unigram_loss(train_ids, held_out_ids), 4),
        "unit": "nats per token",
        "train_tokens": len(train_ids),
        "held_out_tokens": len(held_out_ids),
        "parameters": model.num_parameters(),
        "steps": options.steps,
        "torch": torch.__version__,
        "source": SOURCE,
    }
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    if figures["held_out_loss"] > 0.75 * figures["unigram_baseline"]:
        raise SystemExit(
            "the model is not clearly better than the unigram baseline: nothing written"
        )
    model.to(torch.bfloat16).save_pretrained(options.weights)  # half the bytes of float32
    tokenizer.save_pretrained(options.weights)
    (options.weights / "training.json").write_text(json.dumps(figures, indent=2) + "\n")
    for file in options.weights.iterdir():
        file.chmod(0o644)  # safetensors writes 0600, which the service's user could not read


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer that starts every text with <bos>."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = list(SPECIAL)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, bpe.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=PAD, eos_token=EOS, bos_token=BOS, model_max_length=LONGEST
    )


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Return all texts as one row of token ids, each text between <bos> and <eos>."""
    rows = tokenizer(texts, verbose=False)["input_ids"]
    return torch.tensor([i for row in rows for i in (*row, tokenizer.eos_token_id)])


def train_model(ids: torch.Tensor, steps: int) -> GemmaForCausalLM:
    """Return a Gemma of 1.5 million parameters after so many steps of AdamW on random windows."""
    config = GemmaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=LONGEST,
    )
    model = GemmaForCausalLM(config)
    peak = 3e-3
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.1)
    for step in range(steps):
        warm, done = min(1.0, (step + 1) / 50), step / steps
        optimizer.param_groups[0]["lr"] = (
            peak * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
        )
        starts = torch.randint(len(ids) - WINDOW, (BATCH, 1))
        batch = ids[starts + torch.arange(WINDOW)]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step:5} loss {loss.item():.3f}", file=sys.stderr)  # noqa: T201  # progress
    return model


def held_out_loss(model: GemmaForCausalLM, ids: torch.Tensor) -> float:
    """Return the mean loss over whole windows, in nats per predicted token."""
    windows = ids[: len(ids) // WINDOW * WINDOW].view(-1, WINDOW)
    with torch.inference_mode():
        losses = [
            model(input_ids=rows, labels=rows).loss.item() * len(rows)
            for rows in windows.split(BATCH)
        ]
    return float(sum(losses)) / len(windows)


def unigram_loss(train: torch.Tensor, held_out: torch.Tensor) -> float:
    """Return the held-out loss of the training tokens' frequencies (add-one), in nats per token."""
    counts = torch.bincount(train, minlength=VOCABULARY).double() + 1
    return float(-(counts / counts.sum()).log()[held_out].mean())


if __name__ == "__main__":
    main()
