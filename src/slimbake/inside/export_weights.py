"""Stores the weights of an ONNX graph in 8 bits while it goes on computing in float32.

Integers are made floats again where the graph is loaded, but for tables of embeddings: of these only the rows that a
text asks for. So a text's answer is the same whatever is asked beside it, on every CPU. What it costs: what was saved
in the file is not saved in memory, and arithmetic is as fast as before.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Any

BLOCK = (
    64  # weights of a column that share a scale; of all-MiniLM-L6-v2 that is 6 % more bytes than one for each column
)
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
    """A matrix in blocks of a column, made whole before the first of its users: ONNX Runtime does that at load."""
    from onnx import helper, numpy_helper

    matrix = numpy_helper.to_array(weight)
    rows, columns = matrix.shape
    block = BLOCK if rows % BLOCK == 0 else rows
    name = _stored(graph, weight.name, matrix.reshape(rows // block, block, columns), axis=1)
    shape = numpy_helper.from_array(_integers([rows, columns]), f"{weight.name}.shape")
    graph.graph.initializer.append(shape)
    whole = [
        *_floats(f"{name}", f"{name}.scale", f"{name}.blocks"),
        helper.make_node("Reshape", [f"{name}.blocks", shape.name], [weight.name], f"{weight.name}/Reshape"),
    ]
    return [[*whole, nodes[0]], *([node] for node in nodes[1:])]


def _table(graph: Any, weight: Any, nodes: list[Any]) -> list[list[Any]]:
    """A table with a scale for each row, of which rows are made floats after they were chosen."""
    from onnx import helper, numpy_helper

    name = _stored(graph, weight.name, numpy_helper.to_array(weight), axis=1)
    made = []
    for node in nodes:
        ids, out = node.input[1], node.output[0]
        rows = [
            helper.make_node("Gather", [part, ids], [f"{out}.{end}"], f"{node.name}.{end}", axis=0)
            for part, end in ((name, "rows"), (f"{name}.scale", "scales"))
        ]
        made.append([*rows, *_floats(f"{out}.rows", f"{out}.scales", out)])
    return made


def _stored(graph: Any, name: str, values: Any, axis: int) -> str:
    """Add `values` as 8-bit integers, and their scales along an axis, as weights; the name of the integers."""
    import numpy as np
    from onnx import numpy_helper

    scale = np.abs(values).max(axis=axis, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    whole = np.rint(values / scale).astype(np.int8)
    graph.graph.initializer.append(numpy_helper.from_array(whole, f"{name}.int8"))
    graph.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.int8.scale"))
    return f"{name}.int8"


def _floats(integers: str, scales: str, out: str) -> list[Any]:
    from onnx import TensorProto, helper

    return [
        helper.make_node("Cast", [integers], [f"{out}.cast"], f"{out}/Cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}.cast", scales], [out], f"{out}/Mul"),
    ]


def _integers(values: list[int]) -> Any:
    import numpy as np

    return np.array(values, dtype=np.int64)
