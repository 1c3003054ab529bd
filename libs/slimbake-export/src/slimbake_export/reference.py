"""Makes the answers that parity is measured against: torch's own, in float32, one text at a time.

It uses no code of the service, and of the export only what reads a model's folder, so a fault of
theirs does not show here in the same way. One thread: the same input gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .task import max_length, model_pooling, model_task, read_json
from .texts import Texts, TextsError, hostile, parse_texts, too_small
from .tracing import ExportError, load_model

CONTEXT = Path("/inside/context")
TOKENS = 64  # greedy ones after each prompt
# Of the likeliest logit over the next. Below it, the order of sums decides, which differs between
# runtimes.
MARGIN = 1e-3
DIGITS = 8


def make_reference(arguments: Sequence[str]) -> None:
    """The program `reference FOLDER OUT`: FOLDER is as transformers saves it; OUT gets JSON.

    `TEXTS` names the set of texts in the build context. Raises ExportError where the set is refused,
    or the model cannot be a reference.
    """
    folder, out = map(Path, arguments)
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    try:
        task = model_task(folder)
        texts = parse_texts((CONTEXT / os.environ["TEXTS"]).read_text(encoding="utf-8-sig"))
        if why := too_small(texts, task):
            raise TextsError(f"it is too small for {task}: {why}")
        answers = (generation_answers if task == "generation" else embedding_answers)(folder, texts)
    except TextsError as error:
        raise ExportError(f"parity: the set of texts is refused: {error}") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"task": task, **answers}, ensure_ascii=True, sort_keys=True)
    out.write_text(f"{text}\n", encoding="ascii")


def embedding_answers(folder: Path, texts: Texts) -> dict[str, Any]:
    """Vectors of all texts, pooled as the folder says, and which are of documents and queries."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = load_model(folder, AutoModel, unused="pooler.")
    pooling, of_length_1 = model_pooling(folder), normalises(folder)
    longest = max_length(folder, model, tokenizer)

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, truncation=True, max_length=longest)["input_ids"])

    def vector(text: str) -> list[float]:
        with torch.inference_mode():
            tokens = model(input_ids=torch.tensor([ids(text)])).last_hidden_state[0]
            pooled = tokens[0] if pooling == "cls" else tokens.mean(dim=0)
            result = torch.nn.functional.normalize(pooled, dim=0) if of_length_1 else pooled
        return [round(number, DIGITS) for number in result.tolist()]

    embedded = texts.embedded
    vectors = [vector(text) for text in embedded]
    first = len(texts.sentence)
    documents = list(range(first, first + len(texts.document)))
    queries = list(range(first + len(texts.document), len(embedded)))
    strings = hostile(sorted(tokenizer.all_special_tokens))
    return {
        "strings": strings,
        "ids": [ids(text) for text in strings],
        "texts": embedded,
        "vectors": vectors,
        "documents": documents,
        "queries": queries,
    }


def normalises(folder: Path) -> bool:
    """Whether vectors get length 1: as sentence-transformers stores it, without such files they do."""
    steps = read_json(folder / "modules.json")
    return steps is None or any(str(step["type"]).endswith("Normalize") for step in steps)


def generation_answers(folder: Path, texts: Texts) -> dict[str, Any]:
    """The likeliest tokens after each prompt, and the log-probability of each passage's tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = load_model(folder, AutoModelForCausalLM)
    window = model.config.get_text_config().max_position_embeddings
    stored = model.generation_config.eos_token_id
    ends = sorted({*(stored if isinstance(stored, list) else [stored])} - {None})
    # Greedy: without the folder's own settings of repetitions, lengths and sampling.
    model.generation_config = GenerationConfig(
        eos_token_id=ends or None, pad_token_id=tokenizer.pad_token_id or 0
    )

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, verbose=False)["input_ids"])

    def logits(tokens: Sequence[int]) -> Any:
        with torch.inference_mode():
            return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]

    def prompt(text: str) -> dict[str, Any]:
        start = _fitting(ids(text), text, window - TOKENS)
        tensor = torch.tensor([start])
        sequence = model.generate(tensor, max_new_tokens=TOKENS, do_sample=False)[0].tolist()
        chosen = [token for token in sequence[len(start) :] if token not in ends]
        # The margin of each choice, in one pass and without the cache.
        first = len(start) - 1
        values, tokens = logits([*start, *chosen])[first : first + len(chosen)].topk(2)
        margins = (values[:, 0] - values[:, 1]).tolist()
        sure = next((place for place, margin in enumerate(margins) if margin < MARGIN), len(chosen))
        if chosen[:sure] != tokens[:sure, 0].tolist():
            raise ExportError(
                "parity: torch with its cache gives other answers than without,"
                f" after {text[:60]!a}"
            )
        return {"text": text, "ids": chosen, "sure": sure}

    def passage(text: str) -> dict[str, Any]:
        tokens = _fitting(ids(text), text, window)
        if len(tokens) < 2:
            raise TextsError(f"a passage of one token predicts nothing: {text[:60]!a}")
        likelihoods = torch.log_softmax(logits(tokens)[:-1].double(), dim=-1)
        chosen = likelihoods.gather(1, torch.tensor(tokens[1:]).unsqueeze(1)).squeeze(1).tolist()
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
        raise TextsError(
            f"{len(ids)} tokens, of which the model reads {most} at most here: {text[:60]!a}"
        )
    return ids
