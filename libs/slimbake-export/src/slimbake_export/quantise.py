"""Gives an ONNX graph another precision: 16-bit floats, or integers of 8 bits.

Integers stand in blocks, each with a scale. A matrix has a scale for each block of a column, and
its input is rounded in blocks too, for each token by itself: the answer to a text does not depend on
the other texts of a batch. A table of embeddings has a scale for each row, and only the rows of a
text's tokens become floats again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .tracing import save_graph

BLOCK = 32  # weights of a column that share a scale: docs/inference-figures.md has the trade-off
_BITS = 8
LEAST = 4096  # weights below which nothing is gained
_INTEGERS = 4  # MatMulNBits' accuracy_level: sums of products of 8-bit integers
_PLACES = {"MatMul": 1, "Gemm": 1, "Gather": 0}  # of the weight, among the inputs
_PLAIN = {"axis": 0, "transA": 0, "alpha": 1.0, "beta": 1.0}


def quantise_graph(path: Path, precision: str) -> None:
    """Replace the float32 graph at `path` by one of `precision`: fp32 (nothing is done), fp16 or
    int8.
    """
    if precision == "fp32":
        return
    import onnx
    import onnx_ir
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = onnx.load(path)
    # The listed shapes of weights would be wrong for those that are transposed.
    weights = {weight.name for weight in graph.graph.initializer}
    others = [info for info in graph.graph.value_info if info.name not in weights]
    del graph.graph.value_info[:]
    graph.graph.value_info.extend(others)
    if precision == "fp16":  # inputs and outputs stay as they are for the service
        graph = convert_float_to_float16(graph, keep_io_types=True)
    else:
        _part(graph)
        store_in_blocks(graph)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    save_graph(onnx_ir.from_proto(graph), path)


def _part(graph: Any) -> None:
    """Give a decoder's head a weight of its own, transposed and scaled as it is used.

    The quantiser knows only MatMul. Otherwise the head keeps floats where its logits are capped;
    and where it shares the embedding's weight, that is stored in 8 bits and all of it becomes
    floats again for each token.
    """
    from onnx import helper, numpy_helper

    weights = {weight.name: weight for weight in graph.graph.initializer}
    replaced = set()
    for node in graph.graph.node:
        values = {
            attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        turned, scale = values.pop("transB", 0), values.pop("alpha", 1.0)
        if node.op_type == "FusedMatMul" and node.input[1] in weights and not values:
            name = node.input[1]
            whole = numpy_helper.to_array(weights[name])
            copy = (whole.swapaxes(-1, -2) if turned else whole) * whole.dtype.type(scale)
            graph.graph.initializer.append(numpy_helper.from_array(copy.copy(), f"{name}.own"))
            node.input[1], node.op_type, node.domain = f"{name}.own", "MatMul", ""
            del node.attribute[:]
            replaced.add(name)
    for name in replaced.difference(*(node.input for node in graph.graph.node)):
        graph.graph.initializer.remove(weights[name])


def store_in_blocks(graph: Any) -> None:
    """Replace the constant matrices of MatMul, Gemm and Gather by 8-bit integers with scales."""
    import onnx

    weights = {weight.name: weight for weight in graph.graph.initializer}
    nodes = list(graph.graph.node)
    users: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for name in filter(weights.__contains__, node.input):
            users.setdefault(name, []).append(number)
    replaced: dict[int, list[Any]] = {}
    for name, numbers in users.items():
        mine = [nodes[number] for number in numbers]
        kind = mine[0].op_type
        turned = _turned(mine[0])
        uses = {(node.op_type, list(node.input).index(name), _turned(node)) for node in mine}
        whole = turned is not None and uses == {(kind, _PLACES.get(kind), turned)}
        if kind in _PLACES and whole and _large(weights[name]):
            if kind == "Gather":
                instead = _table(graph, weights[name], mine)
            else:
                instead = _matrix(graph, weights[name], mine, bool(turned))
            replaced |= zip(numbers, instead, strict=True)
            graph.graph.initializer.remove(weights[name])
    changed = [new for number, node in enumerate(nodes) for new in replaced.get(number, (node,))]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in changed]
    del graph.graph.node[:]
    graph.graph.node.extend(copies)


def _large(weight: Any) -> bool:
    import onnx

    floats = len(weight.dims) == 2 and weight.data_type == onnx.TensorProto.FLOAT
    return bool(floats and weight.dims[0] * weight.dims[1] >= LEAST)


def _turned(node: Any) -> bool | None:
    """Whether a node takes its weight transposed; None where it does more with it than others."""
    from onnx import helper

    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    turned = bool(values.pop("transB", 0))
    return turned if values.items() <= _PLAIN.items() else None


def _matrix(graph: Any, weight: Any, nodes: list[Any], turned: bool) -> list[list[Any]]:
    """A matrix in blocks of a column, each with a scale; an operator of ONNX Runtime multiplies.

    ONNX Runtime's own quantiser rounds. It does not edit the graph: it knows no Gemm, and no
    tables of 8 bits.
    """
    import numpy as np
    from onnx import helper, numpy_helper
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits

    matrix = numpy_helper.to_array(weight)
    matrix = np.ascontiguousarray(matrix.T if turned else matrix)
    rows, columns = matrix.shape
    config = nbits.DefaultWeightOnlyQuantConfig(BLOCK, is_symmetric=True, bits=_BITS)
    integers, scales, _ = nbits.DefaultWeightOnlyQuantizer(config).qbits_block_quant(matrix)
    name = f"{weight.name}.int8"
    parts = {name: integers, f"{name}.scale": scales}
    no_zeros = ("", "")  # the two inputs between the scales and a bias
    for part, values in parts.items():
        graph.graph.initializer.append(numpy_helper.from_array(values, part))
    if all(opset.domain != "com.microsoft" for opset in graph.opset_import):
        graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return [
        [
            helper.make_node(
                "MatMulNBits",
                [
                    node.input[0],
                    *parts,
                    *(no_zeros if len(node.input) > 2 else ()),
                    *node.input[2:],
                ],
                node.output,
                node.name,
                domain="com.microsoft",
                K=rows,
                N=columns,
                bits=_BITS,
                block_size=BLOCK,
                accuracy_level=_INTEGERS,
            )
        ]
        for node in nodes
    ]


def _table(graph: Any, weight: Any, nodes: list[Any]) -> list[list[Any]]:
    """A table with a scale for each row; the chosen rows become floats."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    name, rows = f"{weight.name}.int8", numpy_helper.to_array(weight)
    scale = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    integers = np.rint(rows / scale).astype(np.int8)
    for end, values in (("", integers), (".scale", scale)):
        graph.graph.initializer.append(numpy_helper.from_array(values, f"{name}{end}"))
    lookups = []
    for node in nodes:
        ids, out = node.input[1], node.output[0]
        chosen = [
            helper.make_node("Gather", [part, ids], [f"{out}.{end}"], f"{node.name}.{end}", axis=0)
            for part, end in ((name, "rows"), (f"{name}.scale", "scales"))
        ]
        floats, to = f"{out}.rows.cast", TensorProto.FLOAT
        cast = helper.make_node("Cast", [f"{out}.rows"], [floats], f"{out}/Cast", to=to)
        scaled = helper.make_node("Mul", [floats, f"{out}.scales"], [out], f"{out}/Mul")
        lookups.append([*chosen, cast, scaled])
    return lookups
