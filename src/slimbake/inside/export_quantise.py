"""Gives an ONNX graph another precision: 16-bit floats, or 8-bit integers with ONNX Runtime's own quantiser.

int8 is dynamic by default: weights are stored as integers, and what flows through the graph is rounded at run time to
fit what came. Static rounds by ranges that a calibration file has shown, which costs accuracy and saves that step.
"""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .export_torch import ExportError, save
    from .export_weights import to_bytes
else:
    from export_torch import ExportError, save
    from export_weights import to_bytes

CALIBRATION = 512  # texts of a calibration file that are looked at, the first ones
BATCH = 16


def quantise(path: Path, precision: dict[str, Any], inference: dict[str, Any]) -> None:
    """Replace the float32 graph at `path`. Raises ExportError where what is excluded or calibrated with is not there.

    `precision`: `type` is fp32 (nothing is done), fp16 or int8; with int8 `per-channel` (a scale for each column of a
    weight), `reduce-range` (7 bits), `exclude` (operators, or globs of nodes' names), `mode`: `weights`
    (in blocks), `dynamic`, or `static` with `calibration`: a file of texts, one a line, which the tokenizer
    beside the graph reads as `inference` says.
    """
    if precision["type"] == "fp32":
        return
    import onnx
    import onnx_ir

    graph = onnx.load(path)
    _forget_weights_shapes(graph)
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / path.name
        if precision["type"] == "fp16":
            changed = _halved(graph, precision)
        elif precision.get("mode") == "weights":
            _part(graph)
            kinds, names = _excluded(graph, precision.get("exclude", ()))
            to_bytes(graph, kinds, set(names))
            changed = graph
        else:
            _to_integers(graph, made, precision, inference, path.with_name("tokenizer.json"))
            changed = onnx.load(made)
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        save(onnx_ir.from_proto(changed), path)


def _halved(graph: Any, precision: dict[str, Any]) -> Any:
    """Weights and arithmetic in 16 bits; inputs and outputs stay as they are, so that services need not know."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    kinds, names = _excluded(graph, precision.get("exclude", ()))
    return convert_float_to_float16(
        graph, keep_io_types=True, op_block_list=kinds or None, node_block_list=names or None
    )


def _to_integers(graph: Any, made: Path, precision: dict[str, Any], inference: dict[str, Any], tokenizer: Path) -> None:
    """Write the quantised graph to `made`, with its weights beside it: so it may be of any size."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.registry import IntegerOpsRegistry

    kinds, names = _excluded(graph, precision.get("exclude", ()))
    settings = {
        "per_channel": precision.get("per-channel", True),
        "reduce_range": precision.get("reduce-range", False),
        "nodes_to_exclude": names,
        "use_external_data_format": True,
    }
    if precision.get("mode", "dynamic") == "dynamic":
        _part(graph)
        operators = [kind for kind in IntegerOpsRegistry if kind not in kinds]
        quantize_dynamic(graph, made, operators, weight_type=QuantType.QInt8, **settings)
        return
    quantize_static(
        graph,
        made,
        _Texts(Path(precision["calibration"]), tokenizer, inference),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[kind for kind in ("MatMul", "Gemm", "Gather") if kind not in kinds],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        **settings,
    )


def _part(graph: Any) -> None:
    """Give a decoder's head a weight of its own, transposed and scaled as it is used: the quantiser knows only MatMul.

    Otherwise the head keeps floats where its logits are capped, and where it has the embedding's weight, that is stored
    in 8 bits, and all of it made floats again for each token.
    """
    from onnx import helper, numpy_helper

    weights = {weight.name: weight for weight in graph.graph.initializer}
    replaced = set()
    for node in graph.graph.node:
        told = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        turned, scale = told.pop("transB", 0), told.pop("alpha", 1.0)
        if node.op_type == "FusedMatMul" and node.input[1] in weights and not told:
            name = node.input[1]
            whole = numpy_helper.to_array(weights[name])
            own = (whole.swapaxes(-1, -2) if turned else whole) * whole.dtype.type(scale)
            graph.graph.initializer.append(numpy_helper.from_array(own.copy(), f"{name}.own"))
            node.input[1], node.op_type, node.domain = f"{name}.own", "MatMul", ""
            del node.attribute[:]
            replaced.add(name)
    for name in replaced.difference(*(node.input for node in graph.graph.node)):
        graph.graph.initializer.remove(weights[name])


def _excluded(graph: Any, exclude: Sequence[str]) -> tuple[list[str], list[str]]:
    """What `exclude` names: types of operators, and nodes. Raises ExportError for what is neither."""
    kinds = {node.op_type for node in graph.graph.node}
    weighty = [node.name for node in graph.graph.node if node.op_type in {"MatMul", "Gemm", "Gather", "Attention"}]
    names: list[str] = []
    for each in exclude:
        found = fnmatch.filter((node.name for node in graph.graph.node), each)
        if each not in kinds and not found:
            some = ", ".join(weighty[:8]) + (", ..." if len(weighty) > 8 else "")
            words = f"operators are {', '.join(sorted(kinds))}; nodes with weights are {some}"
            raise ExportError(f"precision.exclude: the graph has no operator or node {each!r}: {words}")
        names += found
    return sorted(kinds & set(exclude)), sorted(set(names))


def _forget_weights_shapes(graph: Any) -> None:
    """Shapes of weights are told by the weights; told twice, the quantiser trips over those that it transposes."""
    weights = {weight.name for weight in graph.graph.initializer}
    left = [info for info in graph.graph.value_info if info.name not in weights]
    del graph.graph.value_info[:]
    graph.graph.value_info.extend(left)


class _Texts:
    """What a static quantisation is calibrated with: batches of token ids, from a file with a text a line."""

    def __init__(self, calibration: Path, tokenizer: Path, inference: dict[str, Any]) -> None:
        if inference.get("inputs") != ["input_ids", "attention_mask"]:
            raise ExportError("precision.mode: static is for encoders, whose inputs are texts alone")
        try:
            texts = [line for line in calibration.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise ExportError(f"precision.calibration: {error}") from error
        if len(texts) < BATCH:
            raise ExportError(f"precision.calibration: {len(texts)} texts say too little: at least {BATCH}, one a line")
        self._batches = _batches(texts[:CALIBRATION], tokenizer, inference)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, as ONNX Runtime's calibrator asks for it."""
        return next(self._batches, None)


def _batches(texts: Sequence[str], path: Path, inference: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(inference["max_length"])
    tokenizer.enable_padding(pad_id=inference["padding"]["id"], pad_token=inference["padding"]["token"])
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer.encode_batch(texts[start : start + BATCH])
        yield {
            "input_ids": np.array([each.ids for each in encoded], dtype=np.int64),
            "attention_mask": np.array([each.attention_mask for each in encoded], dtype=np.int64),
        }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's advice to run its own preprocessing is not for graphs that are folded and fused already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
