"""A model as slimbake exports it to ONNX."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from slimbake_models.model import Floats, Settings

# Tokens of a prompt: each makes as many logits as there are tokens, for large vocabularies a MB.
AT_ONCE = 256
PAST, PRESENT = "past_key_values.", "present."  # how the names of a cache's tensors begin


class Graph:
    """A Runtime."""

    def __init__(self, folder: Path) -> None:
        said = json.loads((folder / "inference.json").read_text(encoding="utf-8"))
        self.settings = Settings(
            task=said["task"],
            max_length=said["max_length"],
            inputs=tuple(said.get("inputs", ())),
            labels=tuple(said.get("labels", ())),
            padding=said.get("padding"),
            ends=frozenset(said.get("ends", ())),
        )
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        options = onnxruntime.SessionOptions()
        # ONNX Runtime does not read the variable itself; 0 stands for all cores.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        # With an arena, what the largest batch took would be kept for good; without, answers come
        # as fast.
        options.enable_cpu_mem_arena = said["task"] == "generation"
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, ["CPUExecutionProvider"]
        )
        shapes = {node.name: node.shape for node in self._session.get_inputs()}
        self._nothing = {
            name: _empty(shape) for name, shape in shapes.items() if name.startswith(PAST)
        }
        self._outputs = ["logits", *(name.replace(PAST, PRESENT) for name in self._nothing)]

    def run(self, given: dict[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[Floats]:
        """As Runtime says."""
        found: list[Floats] = self._session.run(list(outputs), given)
        return found

    def read(
        self, ids: Sequence[int], cache: Mapping[str, Floats] | None = None
    ) -> tuple[Floats, Mapping[str, Floats]]:
        """As Runtime says."""
        cache = cache or self._nothing
        for start in range(0, len(ids), AT_ONCE):
            logits, cache = self._on(ids[start : start + AT_ONCE], cache)
        return logits, cache

    def logits(self, ids: Sequence[int]) -> Floats:
        """As Runtime says."""
        return self._on(ids, self._nothing)[0]

    def _on(
        self, ids: Sequence[int], cache: Mapping[str, Floats]
    ) -> tuple[Floats, Mapping[str, Floats]]:
        total = next(iter(cache.values())).shape[2] + len(ids)
        given = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
        }
        # Nothing is copied: an array that comes out is a view of the runtime's memory.
        logits, *present = self._session.run(self._outputs, given | dict(cache))
        return logits[0], dict(zip(self._nothing, present, strict=True))


def _empty(shape: Sequence[int | str]) -> Floats:
    """The past of a text that has not begun: of the axes with a name, the first is the batch."""
    sizes = [size if isinstance(size, int) else int(axis == 0) for axis, size in enumerate(shape)]
    return np.empty(sizes, np.float32)
