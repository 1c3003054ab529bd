"""What every export does with torch: loads a model, traces an ONNX graph, saves and checks it.

The tracing is transformers' own (`transformers.exporters`), with its fusions for ONNX Runtime on a
CPU. It uses torch.onnx and onnxscript, which fold constants and name the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LIMIT = 2**31 - 2**20  # bytes of weights in a file that protobuf still reads
STAY = "`inference: torch` runs this service as it is"


class ExportError(Exception):
    """The model cannot be exported as asked, or cannot be a reference."""


def load_model(folder: Path, auto: Any, unused: str = "") -> Any:
    """The torch model of a folder, in float32. `auto`: an Auto class of transformers.

    `unused`: how the names of weights begin that may be missing, because nothing exports them.

    Raises ExportError where weights cannot be read, or are missing: transformers would make them
    up, at random.
    """
    import torch
    from safetensors import SafetensorError

    try:
        model, loading = auto.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
        )
    except (ImportError, OSError, SafetensorError, ValueError, KeyError) as error:
        raise ExportError(
            f"{folder} holds no model that can be read: {_first_line(error)}"
        ) from error
    wrong = {
        "missing": loading["missing_keys"],
        "of another shape": {key[0] for key in loading["mismatched_keys"]},
    }
    for what, keys in wrong.items():
        names = sorted(name for name in keys if not (unused and name.startswith(unused)))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ExportError(
                "these are not the weights of this config.json:"
                f" {what}: {', '.join(names[:3])}{more}"
            )
    return model.eval()


def trace_graph(
    module: Any, inputs: Mapping[str, Any], dynamic: Mapping[str, Any], outputs: Sequence[str]
) -> Any:
    """The graph (onnx_ir.Model) of a module called with `inputs`, fused for ONNX Runtime on a CPU.

    `dynamic`: for each input the axes that vary, as torch.export wants it. `outputs`: the names of
    the outputs. Raises ExportError for an operator without a translation.
    """
    from transformers.exporters import OnnxConfig, OnnxExporter

    config = OnnxConfig(dynamic_shapes=dict(dynamic), ort_fusions="cpu")
    try:
        graph, _ = OnnxExporter().export_program(module, dict(inputs), config)
    except Exception as error:
        causes: list[BaseException] = [
            error
        ]  # an operator that torch cannot translate is in the last
        while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
            causes.append(cause)
        name = type(getattr(module, "model", module)).__name__
        raise ExportError(
            f"torch cannot trace {name}: {_first_line(causes[-1])}; {STAY}"
        ) from error
    if len(graph.graph.outputs) != len(outputs):
        raise ExportError(
            f"the graph has {len(graph.graph.outputs)} outputs instead of {len(outputs)}; {STAY}"
        )
    for value, name in zip(graph.graph.outputs, outputs, strict=True):
        value.name = name
    _tidy(graph)
    return graph


def _tidy(graph: Any) -> None:
    """Number the nodes, also those that a fusion made; drop traces of the machine.

    torch writes stack traces, with paths, to every node: half a megabyte that nobody reads.
    """
    for number, node in enumerate(graph.graph.all_nodes()):
        node.name = f"{node.op_type}.{number}"
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.graph.inputs, *graph.graph.initializers.values()):
        value.metadata_props.clear()
    graph.graph.metadata_props.clear()
    graph.metadata_props.clear()


def name_axes(graph: Any, names: Mapping[str, str]) -> None:
    """Name the axes that vary. `names`: torch's own name, a number -> the new name."""
    import onnx_ir

    def named(axis: Any) -> int | str:
        if isinstance(axis, int):
            return axis
        return re.sub(r"\w+", lambda found: names.get(found[0], found[0]), str(axis))

    outputs = (output for node in graph.graph.all_nodes() for output in node.outputs)
    for value in (*graph.graph.inputs, *outputs):
        if value.shape is not None:
            value.shape = onnx_ir.Shape([named(axis) for axis in value.shape])


def save_graph(graph: Any, path: Path) -> None:
    """Save a graph (onnx_ir.Model), with its weights in a second file if one would pass LIMIT."""
    import onnx_ir

    weights = (value.const_value for value in graph.graph.initializers.values())
    size = sum(weight.nbytes for weight in weights if weight is not None)
    onnx_ir.save(graph, str(path), external_data=f"{path.name}.data" if size > LIMIT else None)


def check_graph(path: Path) -> None:
    """Raise ExportError where ONNX Runtime cannot load a graph.

    ONNX's own checker does not know ONNX Runtime's operators.
    """
    import onnxruntime

    try:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        raise ExportError(
            f"the exported graph is not valid: {_first_line(error)}; {STAY}"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
