"""What every export does with torch: loads a model, traces it into an ONNX graph, stores and checks the graph.

The tracing is transformers' own (`transformers.exporters`), with its fusions for ONNX Runtime on a CPU. torch.onnx and
onnxscript are under it; they fold constants and name the values.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LIMIT = 2**31 - 2**20  # bytes of a file that protobuf still reads; some of them for all that is not weights
_OPERATOR = re.compile(r"call_function\[target=(?:torch\.ops\.)?([\w.:]+)")
STAY = "`inference: torch` runs this service as it is"


class ExportError(Exception):
    """The model cannot be exported as asked; the text is for the person who reads the build's log."""


def loaded(folder: Path, auto: Any) -> Any:
    """The torch model of a folder in float32, as it infers. `auto`: the class of transformers that finds its own.

    Raises ExportError where weights cannot be read, or are missing: transformers would make them up, at random.
    """
    import torch
    from safetensors import SafetensorError

    try:
        model, told = auto.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
        )
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ExportError(f"{folder} holds no model that can be read: {_first_line(error)}") from error
    # An encoder's pooler is trained for another task, is often left out, and is no part of these graphs.
    wrong = {"missing": told["missing_keys"], "of another shape": {key[0] for key in told["mismatched_keys"]}}
    for what, keys in wrong.items():
        names = sorted(name for name in keys if not name.startswith("pooler."))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ExportError(f"these are not the weights of this config.json: {what}: {', '.join(names[:3])}{more}")
    return model.eval()


def traced(module: Any, inputs: Mapping[str, Any], dynamic: Mapping[str, Any], outputs: Sequence[str]) -> Any:
    """The graph (onnx_ir.Model) of a module called with `inputs`, fused for ONNX Runtime on a CPU.

    `dynamic`: for each input, as torch.export wants it, the axes that vary. `outputs`: the names of the outputs. Raises
    ExportError where an operator has no translation: it says which, and in which module it stands.
    """
    from torch.onnx.errors import OnnxExporterError
    from transformers.exporters import OnnxConfig, OnnxExporter

    config = OnnxConfig(dynamic_shapes=dict(dynamic), ort_fusions="cpu")
    try:
        graph, _ = OnnxExporter().export_program(module, dict(inputs), config)
    except OnnxExporterError as error:
        raise ExportError(f"{_untranslated(error, module, inputs, dynamic)}; {STAY}") from error
    except Exception as error:
        if out_of_memory(error):
            raise
        name = type(getattr(module, "model", module)).__name__
        raise ExportError(f"torch cannot trace {name}: {_first_line(error)}; {STAY}") from error
    if len(graph.graph.outputs) != len(outputs):
        raise ExportError(f"the graph has {len(graph.graph.outputs)} outputs instead of {len(outputs)}; {STAY}")
    for value, name in zip(graph.graph.outputs, outputs, strict=True):
        value.name = name
    _settle(graph)
    return graph


def _untranslated(error: BaseException, module: Any, inputs: Mapping[str, Any], dynamic: Mapping[str, Any]) -> str:
    """What could not be translated, and where: torch names the operator deep in the causes, and no module."""
    texts = [str(cause) for cause in _causes(error)]
    names = [
        found[1] for text in texts if (found := re.search(r"call_function\[target=(?:torch\.ops\.)?([\w.:]+)", text))
    ]
    names += [found[1] for text in texts if (found := re.search(r"<OpOverload\(op='([\w.:]+)'", text))]
    if not names:
        return f"torch cannot translate the model to ONNX: {_first_line(_causes(error)[-1])}"
    operator = names[0]
    where = _module_of(operator, module, inputs, dynamic)
    return f"the exporter does not know the operator {operator}" + (f", in the module {where}" if where else "")


def _module_of(operator: str, module: Any, inputs: Mapping[str, Any], dynamic: Mapping[str, Any]) -> str:
    """The innermost module that calls an operator, with its class; nothing where another operator became this one."""
    from transformers.exporters import DynamoConfig, DynamoExporter

    program, _ = DynamoExporter().export_program(module, dict(inputs), DynamoConfig(dynamic_shapes=dict(dynamic)))
    for node in program.graph.nodes:
        if node.op == "call_function" and operator.replace("::", ".") in str(node.target).replace("::", "."):
            stack = list(node.meta.get("nn_module_stack", {}).values())
            if stack:
                path, kind = stack[-1]
                kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
                return f"{path or 'model'} ({kind.rpartition('.')[2]})"
    return ""


def _settle(graph: Any) -> None:
    """Name nodes after their modules, which an `exclude` can then name; drop what tells of the machine.

    torch writes stack traces, with paths, beside every node: half a megabyte that nobody reads.
    """
    numbers: dict[str, itertools.count[int]] = {}
    # What the fusions made has no module: it is told by who takes it on.
    names = [(node, f"{_scope(node) or 'graph'}/{node.op_type}") for node in graph.graph.all_nodes()]
    for node, name in names:
        number = next(numbers.setdefault(name, itertools.count()))
        node.name = f"{name}.{number}" if number else name
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.graph.inputs, *graph.graph.initializers.values()):
        value.metadata_props.clear()
    graph.graph.metadata_props.clear()
    graph.metadata_props.clear()


def _scope(node: Any, further: int = 3) -> str:
    """The module that a node is of, or the first of those that it leads to."""
    scopes = re.findall(r"'([^']*)'", node.metadata_props.get("pkg.torch.onnx.name_scopes", ""))
    path = scopes[-2].removeprefix("model.") if len(scopes) > 1 and not scopes[-2].startswith("_empty") else ""
    users = (user for value in node.outputs for user in value.consumers()) if further and not path else ()
    return path or next(filter(None, (_scope(user, further - 1) for user in users)), "")


def name_axes(graph: Any, names: Mapping[str, str]) -> None:
    """Call the axes that vary what they are; `names`: by what torch has called them, which is a number."""
    import onnx_ir

    def named(axis: str) -> str:
        return re.sub(r"\w+", lambda found: names.get(found[0], found[0]), axis)

    for value in (*graph.graph.inputs, *(output for node in graph.graph.all_nodes() for output in node.outputs)):
        if value.shape is not None:
            value.shape = onnx_ir.Shape([each if isinstance(each, int) else named(str(each)) for each in value.shape])


def save(graph: Any, path: Path) -> None:
    """Store a graph (onnx_ir.Model); its weights in a file beside it where one file would pass LIMIT."""
    import onnx_ir

    size = sum(value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value is not None)
    onnx_ir.save(graph, str(path), external_data=f"{path.name}.data" if size > LIMIT else None)


def check(path: Path) -> None:
    """Raise ExportError where ONNX Runtime cannot load a graph: ONNX's own checker does not know its operators."""
    import onnxruntime

    try:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        raise ExportError(f"the exported graph is not valid: {_first_line(error)}; {STAY}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch (`can't allocate memory`) or ONNX Runtime (`std::bad_alloc`) says so."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in ("allocate memory", "bad_alloc"))


def _causes(error: BaseException) -> list[BaseException]:
    """An error, what caused it, and so on."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
