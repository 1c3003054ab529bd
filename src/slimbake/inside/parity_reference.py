"""Answers that parity is measured against: `python parity_reference.py FOLDER OUT`.

FOLDER holds a model as transformers saves it; `TEXTS` names a set of texts in the build context; OUT gets JSON. Made
by torch in float32 on the base that models are exported on, one text at a time, by none of the service's code and none
of the exporter's: what either gets wrong is not wrong here in the same way. One thread: the same input, the same bytes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .agreement import nearest
    from .parity_texts import Texts, TextsError, hostile, read, too_small
else:
    from agreement import nearest
    from parity_texts import Texts, TextsError, hostile, read, too_small

CONTEXT = Path(os.environ.get("PARITY_CONTEXT", "/inside/context"))
TOKENS = 64  # greedy ones after each prompt
MARGIN = 1e-3  # of the likeliest logit over the next: below, the order of sums decides, which differs between runtimes
DIGITS = 8


class NoReferenceError(Exception):
    """The model cannot be a reference; the text is for the person who reads the build's log."""


def main() -> int:
    folder, out = map(Path, sys.argv[1:])
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        task = task_of(folder)
        found = read((CONTEXT / os.environ["TEXTS"]).read_text(encoding="utf-8-sig"))
        if why := too_small(found, task):
            raise TextsError(f"it says nothing of {task}: {why}")
        made = {"task": task, **(embedding if task == "embedding" else generation)(folder, found)}
    except TextsError as error:
        print(f"parity: the set of texts is refused: {error}", file=sys.stderr)
        return 1
    except NoReferenceError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(made, ensure_ascii=True, sort_keys=True) + "\n", encoding="ascii")
    return 0


def task_of(folder: Path) -> str:
    """What a model is for, by the class that saved it."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoReferenceError(f"there is no model to compare with: {error}") from None
    names = config.get("architectures") or ()
    return "generation" if any(name.endswith("ForCausalLM") for name in names) else "embedding"


def embedding(folder: Path, texts: Texts) -> dict[str, Any]:
    """Vectors of all texts as the folder says they are made, and of each query the nearest documents."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    pool, normalises = pooling(folder)
    longest = _longest(folder, tokenizer, model.config)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, truncation=True, max_length=longest)["input_ids"])

    def vector(text: str) -> list[float]:
        with torch.inference_mode():
            tokens = model(input_ids=torch.tensor([ids(text)])).last_hidden_state[0]
            pooled = {"mean": tokens.mean(dim=0), "cls": tokens[0], "max": tokens.amax(dim=0)}[pool]
            made = torch.nn.functional.normalize(pooled, dim=0) if normalises else pooled
        return [round(number, DIGITS) for number in made.tolist()]

    every = texts.embedded
    vectors = [vector(text) for text in every]
    first = len(texts.sentence)
    documents = list(range(first, first + len(texts.document)))
    queries = list(range(first + len(texts.document), len(every)))
    held = [vectors[place] for place in documents]
    strings = hostile(sorted(tokenizer.all_special_tokens))
    return {
        "strings": strings,
        "ids": [ids(text) for text in strings],
        "texts": every,
        "vectors": vectors,
        "documents": documents,
        "queries": queries,
        "nearest": [nearest(vectors[place], held) for place in queries],
    }


def pooling(folder: Path) -> tuple[str, bool]:
    """How a text's vector is made of its tokens' (mean, cls, max), and whether it is then made one of length 1.

    As sentence-transformers stores it beside a model; without that, the mean, of length 1.
    """
    told = _json(folder / "1_Pooling/config.json") or {}
    modes = [told["pooling_mode"]] if "pooling_mode" in told else [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, on in told.items()
        if key.startswith("pooling_mode_") and on
    ]  # fmt: skip
    if len(modes) > 1 or not {*modes} <= {"mean", "cls", "max"}:
        raise NoReferenceError(f"1_Pooling/config.json pools by {', '.join(modes)}, of which no reference can be made")
    steps = _json(folder / "modules.json")
    normalises = steps is None or any(str(step["type"]).endswith("Normalize") for step in steps)
    return (modes or ["mean"])[0], normalises


def _longest(folder: Path, tokenizer: Any, config: Any) -> int:
    """The tokens that are read of a text."""
    told = (_json(folder / "sentence_bert_config.json") or {}).get("max_seq_length")
    return int(told or min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", 10**9)))


def generation(folder: Path, texts: Texts) -> dict[str, Any]:
    """The likeliest tokens after each prompt, and how likely each token of the passages is after those before it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    window = model.config.get_text_config().max_position_embeddings
    told = model.generation_config.eos_token_id
    ends = sorted({*(told if isinstance(told, list) else [told])} - {None})
    # Greedy and nothing else: whatever the folder says of repetitions, lengths or sampling.
    model.generation_config = GenerationConfig(eos_token_id=ends or None, pad_token_id=tokenizer.pad_token_id or 0)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, verbose=False)["input_ids"])

    def logits(tokens: Sequence[int]) -> Any:
        with torch.inference_mode():
            return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]

    def prompt(text: str) -> dict[str, Any]:
        start = _fitting(ids(text), text, window - TOKENS)
        every = model.generate(torch.tensor([start]), max_new_tokens=TOKENS, do_sample=False)[0].tolist()
        made = [token for token in every[len(start) :] if token not in ends]
        # In one pass and without the cache: what each choice was by.
        values, tokens = logits([*start, *made])[len(start) - 1 : len(start) - 1 + len(made)].topk(2)
        margins = (values[:, 0] - values[:, 1]).tolist()
        sure = next((place for place, margin in enumerate(margins) if margin < MARGIN), len(made))
        if made[:sure] != tokens[:sure, 0].tolist():
            raise NoReferenceError(f"torch with its cache answers otherwise than without, after {text[:60]!a}")
        return {"text": text, "ids": made, "sure": sure}

    def passage(text: str) -> dict[str, Any]:
        tokens = _fitting(ids(text), text, window)
        if len(tokens) < 2:
            raise TextsError(f"a passage of one token predicts nothing: {text[:60]!a}")
        every = torch.log_softmax(logits(tokens)[:-1].double(), dim=-1)
        chosen = every.gather(1, torch.tensor(tokens[1:]).unsqueeze(1)).squeeze(1).tolist()
        return {"ids": tokens, "logprobs": [round(number, DIGITS) for number in chosen]}

    strings = hostile(sorted(tokenizer.all_special_tokens))
    return {
        "strings": strings,
        "ids": [ids(text) for text in strings],
        "tokens": TOKENS,
        "prompts": [prompt(text) for text in texts.prompt],
        "passages": [passage(text) for text in texts.passage],
    }


def _fitting(ids: list[int], text: str, most: int) -> list[int]:
    if len(ids) > most:
        raise TextsError(f"{len(ids)} tokens, of which the model reads {most} at most here: {text[:60]!a}")
    return ids


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
