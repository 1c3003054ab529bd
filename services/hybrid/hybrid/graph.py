"""all-MiniLM-L6-v2 as slimbake exports it to ONNX: a text's vector, and the vector of each of its tokens."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from hybrid.ranking import Encoded


class Graph:
    """Encodes texts; not for two threads at once."""

    def __init__(self, weights: Path) -> None:
        """Load from a folder with model.onnx, inference.json, tokenizer.json; raises OSError without."""
        told = json.loads((weights / "inference.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
        self.tokenizer.enable_truncation(told["max_length"])
        self.tokenizer.enable_padding(pad_id=told["padding"]["id"], pad_token=told["padding"]["token"])
        options = onnxruntime.SessionOptions()
        # ONNX Runtime does not read the variable itself; 0 stands for all cores.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        # With an arena, what the largest batch took would be kept for good: 230 MB; without, answers come as fast.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(weights / "model.onnx", options, ["CPUExecutionProvider"])

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Return each text's mean vector and its tokens' vectors without [CLS] and [SEP], all of length 1."""
        batch = self.tokenizer.encode_batch(list(texts))
        mask = np.array([each.attention_mask for each in batch], dtype=np.int64)
        given = {"input_ids": np.array([each.ids for each in batch], dtype=np.int64), "attention_mask": mask}
        tokens, means = self._session.run(["token_embeddings", "sentence_embedding"], given)
        units = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True).clip(1e-12)
        return [
            Encoded(vector=mean, tokens=unit[1 : length - 1])
            for mean, unit, length in zip(means, units, mask.sum(axis=1), strict=True)
        ]
