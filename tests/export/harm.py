"""Makes models that answer wrongly: parity must notice each."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from slimbake.inside.export.model import GRAPH, export_model
from slimbake.inside.export.reference import pooling, task_of
from slimbake.inside.model_task import CLASSIFIERS


class WithoutError(Exception):
    """A model that cannot be harmed in this way."""


def export_harmed(folder: Path, out: Path, precision: dict[str, Any]) -> dict[str, Path]:
    """Export the model in FOLDER once for each way to harm it that its kind has: way -> folder."""
    made = {}
    for name, harm in CONTROLS.items():
        with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(WithoutError):
            copy = Path(scratch, "model")
            shutil.copytree(folder, copy)
            after = harm(copy)
            export_model(copy, out / name, precision)
            if after is not None:
                after(out / name / GRAPH)
            made[name] = out / name
    return made


Harmed = Callable[[Path], None] | None
"""What is left to do to the exported graph."""


def swapped(folder: Path) -> Harmed:
    """The first two layers swap the matrices of one name: a wrongly assembled checkpoint."""
    path, tensors, metadata = _tensors(folder, lambda names: bool(_twins(names)))
    one, other = max(_twins(tensors), key=lambda pair: (tensors[pair[0]].numel(), pair))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    _store(tensors, path, metadata)
    return None


def pooled(folder: Path) -> Harmed:
    """A text's vector is that of its first token instead of the mean, or the other way round."""
    if task_of(folder) != "embedding":
        raise WithoutError("only a model that embeds pools")
    cls = pooling(folder)[0] == "cls"
    config = folder / "1_Pooling/config.json"
    config.parent.mkdir(exist_ok=True)
    config.write_text(
        json.dumps({"pooling_mode_cls_token": not cls, "pooling_mode_mean_tokens": cls})
    )
    return None


def lengths(folder: Path) -> Harmed:
    """Vectors are twice as long: no cosine changes, but a ranking by products may."""
    if task_of(folder) != "embedding":
        raise WithoutError("only a model that embeds has vectors")
    return partial(_scaled, output="sentence_embedding", by=2)


def head(folder: Path) -> Harmed:
    """Logits have the other sign: the head is that of another model."""
    if task_of(folder) not in CLASSIFIERS.values():
        raise WithoutError("only a classifier has labels")
    return partial(_scaled, output="logits", by=-1)


def positions(folder: Path) -> Harmed:
    """Positions are off by one: of all tokens if learned, else of those after the cache."""
    if task_of(folder) == "generation":
        return _shifted
    learned = "position_embeddings"
    path, tensors, metadata = _tensors(folder, lambda names: any(learned in n for n in names))
    name = next(name for name in tensors if learned in name)
    tensors[name] = tensors[name].roll(1, dims=0)
    _store(tensors, path, metadata)
    return None


CONTROLS: dict[str, Callable[[Path], Harmed]] = {
    "swapped": swapped,
    "pooled": pooled,
    "lengths": lengths,
    "head": head,
    "positions": positions,
}


def _tensors(
    folder: Path, wanted: Callable[[Collection[str]], bool]
) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """Path, tensors and metadata of the first file of weights with the wanted names."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if wanted(names):
                return (
                    path,
                    {name: file.get_tensor(name) for name in names},
                    file.metadata() or {"format": "pt"},
                )
    raise WithoutError("its weights have no tensors of the wanted names")


def _twins(names: Collection[str]) -> list[tuple[str, str]]:
    """The weights of which the first two layers have one each."""
    first = [name for name in names if ".0." in name and name.endswith("weight")]
    pairs = ((name, name.replace(".0.", ".1.", 1)) for name in first)
    return [(one, other) for one, other in pairs if other in names]


def _store(tensors: dict[str, Any], path: Path, metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


def _scaled(path: Path, output: str, by: int) -> None:
    import numpy as np
    import onnx

    model = onnx.load(path)
    make = onnx.helper.make_node
    _between(model.graph, output, lambda name: make("Mul", [name, "harm"], [output]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(by, np.float32), "harm"))
    onnx.save(model, path)


def _shifted(path: Path) -> None:
    """Add one to the count of tokens, which gives the positions, once there is a past."""
    import numpy as np
    import onnx

    model = onnx.load(path)
    sums = (node.output[0] for node in model.graph.node if node.op_type == "CumSum")
    inputs = (value.name for value in model.graph.input)
    count = next(sums, None)
    past = next((name for name in inputs if name.startswith("past_key_values.")), None)
    if count is None or past is None:
        raise WithoutError("its graph counts no positions, or keeps no past")
    make = onnx.helper.make_node
    _between(model.graph, count, lambda name: make("Add", [name, "off_by"], [count]))
    for node in (
        make("Min", ["past_length", "one"], ["off_by"]),
        make("Gather", ["past_shape", "axis_of_past"], ["past_length"]),
        make("Shape", [past], ["past_shape"]),
    ):
        model.graph.node.insert(0, node)
    for name, number in (("one", 1), ("axis_of_past", 2)):
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(number, np.int64), name)
        )
    onnx.save(model, path)


def _between(graph: Any, output: str, node: Callable[[str], Any]) -> None:
    """Put a node between a value and its users: it gets the value under a new name."""
    place = next(number for number, each in enumerate(graph.node) if output in each.output)
    maker = graph.node[place]
    maker.output[list(maker.output).index(output)] = f"{output}_before"
    graph.node.insert(place + 1, node(f"{output}_before"))
