"""Models that answer wrongly, for parity to notice: `python parity_controls.py FOLDER OUT SETTINGS`.

The model in FOLDER is harmed in one way after the other, exported as it is for the service, and put in a folder of its
own in OUT. What cannot be harmed so, since the model is of another kind, gets a folder with `without`, which says why.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .export import GRAPH, export
    from .parity_reference import pooling, task_of
else:
    from parity_reference import pooling, task_of

    from export import GRAPH, export

WITHOUT = "without"


class WithoutError(Exception):
    """A model that cannot be harmed in this way."""


def main() -> int:
    folder, out, settings = map(Path, sys.argv[1:])
    os.umask(0o022)  # the service reads it as another user
    precision = json.loads(settings.read_text(encoding="utf-8"))["precision"]
    for name, harm in CONTROLS.items():
        made = out / name
        made.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch, "model")
            shutil.copytree(folder, copy)
            try:
                after = harm(copy)
                export(copy, made, precision)
                if after is not None:
                    after(made / GRAPH)
            except WithoutError as error:
                shutil.rmtree(made)
                made.mkdir()
                (made / WITHOUT).write_text(f"{error}\n", encoding="utf-8")
    return 0


Harmed = Callable[[Path], None] | None
"""What is still to be done to the exported graph."""


def swapped(folder: Path) -> Harmed:
    """The first two layers have each other's matrices of one name: a checkpoint that was put together wrongly."""
    path, tensors, metadata = _tensors(folder, lambda names: bool(_twins(names)))
    one, other = max(_twins(tensors), key=lambda pair: (tensors[pair[0]].numel(), pair))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    _store(tensors, path, metadata)
    return None


def pooled(folder: Path) -> Harmed:
    """A text's vector is that of its first token in place of the mean, or the other way round."""
    if task_of(folder) != "embedding":
        raise WithoutError("what generates pools nothing")
    cls = pooling(folder)[0] == "cls"
    config = folder / "1_Pooling/config.json"
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"pooling_mode_cls_token": not cls, "pooling_mode_mean_tokens": cls}))
    return None


def lengths(folder: Path) -> Harmed:
    """Vectors are twice as long: no cosine changes, but what is ranked by products does where lengths are mixed."""
    if task_of(folder) != "embedding":
        raise WithoutError("what generates has no vectors")
    return _doubled


def positions(folder: Path) -> Harmed:
    """Positions are off by one: of all tokens where they are learned, and else of those that follow the cache."""
    if task_of(folder) == "generation":
        return _shifted
    path, tensors, metadata = _tensors(folder, lambda names: any("position_embeddings" in name for name in names))
    name = next(name for name in tensors if "position_embeddings" in name)
    tensors[name] = tensors[name].roll(1, dims=0)
    _store(tensors, path, metadata)
    return None


CONTROLS: dict[str, Callable[[Path], Harmed]] = {
    "swapped": swapped,
    "pooled": pooled,
    "lengths": lengths,
    "positions": positions,
}


def _tensors(folder: Path, wanted: Callable[[Collection[str]], bool]) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """The first file of weights that holds what is wanted: its path, its tensors, what it says of itself."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if wanted(names):
                return path, {name: file.get_tensor(name) for name in names}, file.metadata() or {"format": "pt"}
    raise WithoutError("its weights have no tensors of the names that are looked for")


def _twins(names: Collection[str]) -> list[tuple[str, str]]:
    """The weights of which the first two layers have one each."""
    pairs = ((name, name.replace(".0.", ".1.", 1)) for name in names if ".0." in name and name.endswith("weight"))
    return [(one, other) for one, other in pairs if other in names]


def _store(tensors: dict[str, Any], path: Path, metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


def _doubled(path: Path) -> None:
    import numpy as np
    import onnx

    model = onnx.load(path)
    vector = "sentence_embedding"
    _between(model.graph, vector, lambda name: onnx.helper.make_node("Mul", [name, "by_two"], [vector]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2, np.float32), "by_two"))
    onnx.save(model, path)


def _shifted(path: Path) -> None:
    """Add one to the count of tokens, from which positions come, once there is a past."""
    import numpy as np
    import onnx

    model = onnx.load(path)
    count = next((node.output[0] for node in model.graph.node if node.op_type == "CumSum"), None)
    past = next((value.name for value in model.graph.input if value.name.startswith("past_key_values.")), None)
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
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(number, np.int64), name))
    onnx.save(model, path)


def _between(graph: Any, output: str, node: Callable[[str], Any]) -> None:
    """Put a node between a value and all that use it: it gives the value under its name, and is given it renamed."""
    place = next(number for number, each in enumerate(graph.node) if output in each.output)
    maker = graph.node[place]
    maker.output[list(maker.output).index(output)] = f"{output}_before"
    graph.node.insert(place + 1, node(f"{output}_before"))


if __name__ == "__main__":
    sys.exit(main())
