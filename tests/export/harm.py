"""Makes text encoders that answer wrongly: parity must notice each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slimbake_export.model import export_model


def export_harmed(folder: Path, out: Path, precision: str) -> dict[str, Path]:
    """Export the model in FOLDER once for each way to harm it: way -> folder."""
    made = {}
    for harm in (swapped, pooled, shifted):
        name = harm.__name__
        copy = shutil.copytree(folder, out / f"{name}-model")
        harm(copy)
        export_model(copy, out / name, precision)
        made[name] = out / name
    made["lengths"] = shutil.copytree(out / "whole", out / "lengths")
    _double(out / "lengths/model.onnx")
    return made


def swapped(folder: Path) -> None:
    """The first two layers swap the matrices of one name: a wrongly assembled checkpoint."""

    def swap(tensors: dict[str, Any]) -> None:
        one = max(
            (name for name in tensors if ".0." in name and name.endswith("weight")),
            key=lambda name: (tensors[name].numel(), name),
        )
        other = one.replace(".0.", ".1.", 1)
        tensors[one], tensors[other] = tensors[other], tensors[one]

    _change(folder, swap)


def pooled(folder: Path) -> None:
    """A text's vector is that of its first token instead of the mean."""
    config = folder / "1_Pooling/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"pooling_mode_cls_token": True}))


def shifted(folder: Path) -> None:
    """Positions are off by one."""

    def roll(tensors: dict[str, Any]) -> None:
        (name,) = (name for name in tensors if "position_embeddings" in name)
        tensors[name] = tensors[name].roll(1, dims=0)

    _change(folder, roll)


def _change(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"}
    )


def _double(path: Path) -> None:
    """Vectors are twice as long: no cosine changes, but a ranking by products may."""
    import numpy as np
    import onnx

    model = onnx.load(path)
    output = "sentence_embedding"
    for node in model.graph.node:
        node.output[:] = [f"{name}_before" if name == output else name for name in node.output]
    two = onnx.numpy_helper.from_array(np.array(2, np.float32), "two")
    model.graph.initializer.append(two)
    model.graph.node.append(onnx.helper.make_node("Mul", [f"{output}_before", "two"], [output]))
    onnx.save(model, path)
