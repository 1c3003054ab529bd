"""A decoder as slimbake exports it to ONNX: its cache comes in and goes out, positions are counted inside."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import OrtValue

AT_ONCE = 256  # tokens of a prompt: each makes as many logits as there are tokens, for large vocabularies a megabyte

Cache = Mapping[str, OrtValue]


class Graph:
    """A model that reads tokens; not for two threads at once, but several texts may take turns."""

    def __init__(self, weights: Path) -> None:
        """Load from a folder with model.onnx and inference.json; raises OSError without."""
        told = json.loads((weights / "inference.json").read_text(encoding="utf-8"))
        self.window: int = told["max_length"]
        self.ends = frozenset(told["ends"])
        options = onnxruntime.SessionOptions()
        # ONNX Runtime does not read the variable itself; 0 stands for all cores.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        self._session = onnxruntime.InferenceSession(weights / "model.onnx", options, ["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        inputs = self._session.get_inputs()
        self._nothing = {node.name: _empty(node.shape) for node in inputs if node.name.startswith("past_key_values.")}

    def read(self, ids: Sequence[int], cache: Cache | None = None) -> tuple[NDArray[np.float32], Cache]:
        if cache is None:
            cache = self._nothing
        for start in range(0, len(ids), AT_ONCE):
            logits, cache = self._run(ids[start : start + AT_ONCE], cache)
        return logits[-1], cache

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return self._run(ids, self._nothing)[0]

    def _run(self, ids: Sequence[int], cache: Cache) -> tuple[NDArray[np.float32], Cache]:
        past = next(iter(cache.values())).shape()[2]
        inputs = {
            "input_ids": OrtValue.ortvalue_from_numpy(np.array([ids], np.int64)),
            "attention_mask": OrtValue.ortvalue_from_numpy(np.ones((1, past + len(ids)), np.int64)),
        }
        # As values of the runtime's own: the cache would else be copied to numpy and back for each token.
        found = dict(zip(self._outputs, self._session.run_with_ort_values(None, inputs | cache), strict=True))
        logits: NDArray[np.float32] = found.pop("logits").numpy()[0]
        return logits, {name.replace("present.", "past_key_values."): value for name, value in found.items()}


def _empty(shape: Sequence[int | str]) -> OrtValue:
    """The past of one text that has not begun: of the axes with a name, the first is the batch, the other the past."""
    sizes = [size if isinstance(size, int) else int(axis == 0) for axis, size in enumerate(shape)]
    return OrtValue.ortvalue_from_numpy(np.empty(sizes, np.float32))
