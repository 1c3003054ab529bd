"""A model as transformers saves it, run by torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from slimbake_models.model import Floats, Settings

HEADS = {
    "ForCausalLM": "generation",
    "LMHeadModel": "generation",
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "token-classification",
}
AUTOS = {
    "embedding": "AutoModel",
    "generation": "AutoModelForCausalLM",
    "classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
}
TYPES = "token_type_ids"


class Transformer:
    """A Runtime."""

    def __init__(self, folder: Path, dtype: str = "float32") -> None:
        pooling = _json(folder / "1_Pooling/config.json")
        classes = _json(folder / "config.json").get("architectures") or [""]
        heads = (task for end, task in HEADS.items() if classes[0].endswith(end))
        task = "embedding" if pooling else next(heads, "embedding")
        auto = getattr(transformers, AUTOS[task])
        self.model = auto.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.tokenizer = tokenizer.backend_tokenizer
        self.tokenizer.no_padding()
        self._first = pooling.get("pooling_mode_cls_token") or pooling.get("pooling_mode") == "cls"
        if task == "generation":
            ends = self.model.generation_config.eos_token_id
            ends = ends if isinstance(ends, list) else [ends]
            longest = self.model.config.get_text_config().max_position_embeddings
            self.settings = Settings(task=task, max_length=longest, ends=frozenset(ends))
            return
        config = self.model.config
        several = task != "embedding" and getattr(config, "type_vocab_size", 0) > 1
        types = (TYPES,) if several and TYPES in tokenizer.model_input_names else ()
        self.settings = Settings(
            task=task,
            max_length=_longest(folder, self.model.base_model, tokenizer),
            inputs=("input_ids", "attention_mask", *types),
            labels=()
            if task == "embedding"
            else tuple(map(config.id2label.get, range(config.num_labels))),
            padding={"id": tokenizer.pad_token_id or 0, "token": tokenizer.pad_token or ""},
        )

    def run(self, given: dict[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[Floats]:
        """As Runtime says."""
        tensors = {name: torch.from_numpy(values) for name, values in given.items()}
        with torch.inference_mode():
            output = self.model(**tensors)
            found = (
                {"logits": output.logits} if "logits" in output else self._pooled(output, tensors)
            )
            return [found[name].float().numpy() for name in outputs]

    def read(self, ids: Sequence[int], cache: Any = None) -> tuple[Floats, Any]:
        """As Runtime says."""
        # Not around a whole continuation: the mode belongs to a thread and would last while others
        # work in it.
        with torch.inference_mode():
            output = self.model(
                input_ids=torch.tensor([ids]), cache=cache, use_cache=True, logits_to_keep=1
            )
        return output.logits[0].float().numpy(), output.cache

    def logits(self, ids: Sequence[int]) -> Floats:
        """As Runtime says."""
        with torch.inference_mode():
            found: Floats = self.model(input_ids=torch.tensor([ids])).logits[0].float().numpy()
        return found

    def _pooled(self, output: Any, given: dict[str, Any]) -> dict[str, Any]:
        tokens = output.last_hidden_state
        mask = given["attention_mask"].unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        vectors = torch.nn.functional.normalize(tokens[:, 0] if self._first else mean, dim=-1)
        return {"token_embeddings": tokens, "sentence_embedding": vectors}


def _longest(folder: Path, model: Any, tokenizer: Any) -> int:
    """The tokens that are read of a text, as an export has it.

    RoBERTa and what comes of it count positions from after that of the padding.
    """
    if limit := _json(folder / "sentence_bert_config.json").get("max_seq_length"):
        return int(limit)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    positions = getattr(model.config, "max_position_embeddings", 10**9)
    return int(min(tokenizer.model_max_length, positions - (0 if padding is None else padding + 1)))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
