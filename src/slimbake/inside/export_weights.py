"""Stores the weights of an ONNX graph in 8 bits, in its file and in memory.

A matrix has a scale for each block of a column, and what it is multiplied with is rounded in blocks too, for each token
by itself: a text's answer is the same whatever is asked beside it. A table of embeddings has one for each row, and only
the rows that a text asks for are made floats again.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Any

BLOCK = 32  # weights of a column that share a scale: what it costs and gains is in docs/inference-figures.md
_INTEGERS = 4  # MatMulNBits' accuracy_level: sums of products of 8-bit integers
LEAST = 4096  # weights below which nothing is gained
_PLACES = {"MatMul": 1, "Gather": 0}  # of the weight, among the inputs


def to_bytes(graph: Any, kinds: Collection[str], names: Set[str]) -> None:
    """Replace the constant matrices of MatMul and Gather; those of excluded operators and nodes stay as they are."""
    import onnx

    weights = {weight.name: weight for weight in graph.graph.initializer}
    nodes = list(graph.graph.node)
    users: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for name in filter(weights.__contains__, node.input):
            users.setdefault(name, []).append(number)
    made: dict[int, list[Any]] = {}
    for name, numbers in users.items():
        mine = [nodes[number] for number in numbers]
        kind = mine[0].op_type
        whole = all((node.op_type, list(node.input).index(name)) == (kind, _PLACES.get(kind)) for node in mine)
        free = kind not in kinds and names.isdisjoint(node.name for node in mine)
        if kind in _PLACES and whole and free and _large(weights[name]):
            maker = _matrix if kind == "MatMul" else _table
            made |= zip(numbers, maker(graph, weights[name], mine), strict=True)
            graph.graph.initializer.remove(weights[name])
    changed = [each for number, node in enumerate(nodes) for each in made.get(number, (node,))]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in changed]
    del graph.graph.node[:]
    graph.graph.node.extend(copies)


def _large(weight: Any) -> bool:
    import onnx

    floats = len(weight.dims) == 2 and weight.data_type == onnx.TensorProto.FLOAT
    return bool(floats and weight.dims[0] * weight.dims[1] >= LEAST)


def _matrix(graph: Any, weight: Any, nodes: list[Any]) -> list[list[Any]]:
    """A matrix in blocks of a column, each with a scale, multiplied by an operator of ONNX Runtime's own."""
    import numpy as np
    from onnx import helper, numpy_helper

    matrix = numpy_helper.to_array(weight)
    rows, columns = matrix.shape
    blocks = -(-rows // BLOCK)
    padded = np.pad(matrix.T, ((0, 0), (0, blocks * BLOCK - rows)))
    whole, scale = _rounded(padded.reshape(columns, blocks, BLOCK), axis=2)
    name = f"{weight.name}.int8"
    # Its integers have no sign: 128 stands for nothing.
    unsigned = (whole.astype(np.int16) + 128).astype(np.uint8)
    graph.graph.initializer.append(numpy_helper.from_array(unsigned, name))
    graph.graph.initializer.append(numpy_helper.from_array(scale.reshape(columns, blocks), f"{name}.scale"))
    _knows(graph, "com.microsoft")
    return [
        [
            helper.make_node(
                "MatMulNBits", [node.input[0], name, f"{name}.scale"], node.output, node.name, domain="com.microsoft",
                K=rows, N=columns, bits=8, block_size=BLOCK, accuracy_level=_INTEGERS,
            )
        ]
        for node in nodes
    ]  # fmt: skip


def _table(graph: Any, weight: Any, nodes: list[Any]) -> list[list[Any]]:
    """A table with a scale for each row, of which rows are made floats after they were chosen."""
    from onnx import helper, numpy_helper

    name = f"{weight.name}.int8"
    for end, values in zip(("", ".scale"), _rounded(numpy_helper.to_array(weight), axis=1), strict=True):
        graph.graph.initializer.append(numpy_helper.from_array(values, f"{name}{end}"))
    made = []
    for node in nodes:
        ids, out = node.input[1], node.output[0]
        rows = [
            helper.make_node("Gather", [part, ids], [f"{out}.{end}"], f"{node.name}.{end}", axis=0)
            for part, end in ((name, "rows"), (f"{name}.scale", "scales"))
        ]
        made.append([*rows, *_floats(f"{out}.rows", f"{out}.scales", out)])
    return made


def _rounded(values: Any, axis: int) -> tuple[Any, Any]:
    """The values as 8-bit integers, and their scales along an axis, which stays, with one place."""
    import numpy as np

    scale = np.abs(values).max(axis=axis, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


def _floats(integers: str, scales: str, out: str) -> list[Any]:
    from onnx import TensorProto, helper

    return [
        helper.make_node("Cast", [integers], [f"{out}.cast"], f"{out}/Cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}.cast", scales], [out], f"{out}/Mul"),
    ]


def _knows(graph: Any, domain: str) -> None:
    """Have a graph say that it uses operators of a domain."""
    from onnx import helper

    if all(each.domain != domain for each in graph.opset_import):
        graph.opset_import.append(helper.make_opsetid(domain, 1))
