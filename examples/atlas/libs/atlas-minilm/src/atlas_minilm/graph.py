"""The model as slimbake exports it: pooled and made of length 1 inside the graph."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from atlas_minilm import Encoded, of_tokens


class Graph:
    """An Encoder."""

    def __init__(self, weights: Path) -> None:
        """Load from a folder with model.onnx, inference.json, tokenizer.json; raises OSError
        without.
        """
        told = json.loads((weights / "inference.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
        self.tokenizer.enable_truncation(told["max_length"])
        self.tokenizer.enable_padding(
            pad_id=told["padding"]["id"], pad_token=told["padding"]["token"]
        )
        options = onnxruntime.SessionOptions()
        # ONNX Runtime does not read the variable itself; 0 stands for all cores.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        # With an arena, what the largest batch took would be kept for good: 230 MB; without,
        # answers come as fast.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            weights / "model.onnx", options, ["CPUExecutionProvider"]
        )

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As Encoder says."""
        given = self._given(texts)
        found: NDArray[np.float32]
        [found] = self._session.run(["sentence_embedding"], given)
        return found

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """As Encoder says."""
        given = self._given(texts)
        tokens, vectors = self._session.run(["token_embeddings", "sentence_embedding"], given)
        return of_tokens(vectors, tokens, given["attention_mask"])

    def _given(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        batch = self.tokenizer.encode_batch(list(texts))
        return {
            "input_ids": np.array([each.ids for each in batch], dtype=np.int64),
            "attention_mask": np.array([each.attention_mask for each in batch], dtype=np.int64),
        }
