"""A decoder as an ONNX graph, run by onnxruntime: neither torch nor transformers need be there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

AT_ONCE = 256  # tokens of a prompt: each makes as many logits as there are tokens, for large vocabularies a megabyte

Cache = Mapping[str, ort.OrtValue]


class OnnxDecoder:
    """A folder with model.onnx, whose past comes in and goes out as tensors, and inference.json."""

    def __init__(self, weights: Path, threads: int) -> None:
        described = json.loads((weights / "inference.json").read_text(encoding="utf-8"))
        self.window: int = described["max_length"]
        self.ends = frozenset(described["ends"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(weights / "model.onnx", options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        inputs = {node.name: node for node in self._session.get_inputs() if node.name.startswith("past_key_values.")}
        self._nothing = {name: _empty(node.shape, node.type) for name, node in inputs.items()}

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
            "input_ids": ort.OrtValue.ortvalue_from_numpy(np.array([ids], np.int64)),
            "attention_mask": ort.OrtValue.ortvalue_from_numpy(np.ones((1, past + len(ids)), np.int64)),
        }
        # As values of the runtime's own: the cache would else be copied to numpy and back for each token.
        found = dict(zip(self._outputs, self._session.run_with_ort_values(None, inputs | cache), strict=True))
        logits = found.pop("logits").numpy()[0].astype(np.float32, copy=False)
        return logits, {name.replace("present.", "past_key_values."): value for name, value in found.items()}


def _empty(shape: Sequence[int | str], kind: str) -> ort.OrtValue:
    """The past of one text that has not begun: of the axes with a name, the first is the batch, the other the past."""
    sizes = [size if isinstance(size, int) else int(axis == 0) for axis, size in enumerate(shape)]
    return ort.OrtValue.ortvalue_from_numpy(np.empty(sizes, {"tensor(float)": np.float32}.get(kind, np.float16)))
