"""A decoder as slimbake exports it to ONNX: its cache comes in and goes out, positions are counted
inside.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

# tokens of a prompt: each makes as many logits as there are tokens, for large vocabularies a
# megabyte
AT_ONCE = 256
PAST, PRESENT = (
    "past_key_values.",
    "present.",
)  # how the names of a cache's tensors begin, in and out

Cache = Mapping[str, NDArray[np.float32]]


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
        self._session = onnxruntime.InferenceSession(
            weights / "model.onnx", options, ["CPUExecutionProvider"]
        )
        inputs = {node.name: node.shape for node in self._session.get_inputs()}
        self._nothing = {
            name: _empty(shape) for name, shape in inputs.items() if name.startswith(PAST)
        }
        self._outputs = ["logits", *(name.replace(PAST, PRESENT) for name in self._nothing)]

    def read(
        self, ids: Sequence[int], cache: Cache | None = None
    ) -> tuple[NDArray[np.float32], Cache]:
        if cache is None:
            cache = self._nothing
        for start in range(0, len(ids), AT_ONCE):
            logits, cache = self._run(ids[start : start + AT_ONCE], cache)
        return logits[-1], cache

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return self._run(ids, self._nothing)[0]

    def _run(self, ids: Sequence[int], cache: Cache) -> tuple[NDArray[np.float32], Cache]:
        total = next(iter(cache.values())).shape[2] + len(ids)
        given = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
        }
        # Nothing is copied between numpy and the runtime: an array that comes out is a view of its
        # memory.
        logits, *present = self._session.run(self._outputs, given | cache)
        return logits[0], dict(zip(self._nothing, present, strict=True))


def _empty(shape: Sequence[int | str]) -> NDArray[np.float32]:
    """The past of one text that has not begun: of the axes with a name, the first is the batch, the
    other the past.
    """
    return np.empty(
        [size if isinstance(size, int) else int(axis == 0) for axis, size in enumerate(shape)],
        np.float32,
    )
