"""Runs a text model in a service, with torch or as slimbake exports it to ONNX.

`load(folder)` sees which of both the folder holds, and imports the packages of that one alone.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from slimbake_models.model import BATCH, Encoded, Model, Piece, Runtime, Span, WrongTaskError

__all__ = [
    "BATCH",
    "Encoded",
    "Model",
    "Piece",
    "Runtime",
    "Span",
    "WrongTaskError",
    "load",
    "runtime",
]

# Before transformers is imported anywhere: weights come with the image, not from a hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def load(folder: str | Path = "/weights", dtype: str = "float32") -> Model:
    """Load the model of a folder. Raises OSError where it holds none.

    `dtype`: what torch computes in; an exported model has a precision of its own.
    """
    path = Path(folder)
    return Model(runtime(path, dtype)(path))


def runtime(folder: Path, dtype: str = "float32") -> Callable[[Path], Runtime]:
    """What loads and runs the model of a folder; this imports its packages, and loads nothing."""
    if not (folder / "config.json").is_file():  # transformers would ask a hub for this name
        raise FileNotFoundError(f"{folder} holds no model: no config.json")
    if (folder / "model.onnx").is_file():
        from slimbake_models.graph import Graph

        return Graph
    from slimbake_models.transformer import Transformer

    return partial(Transformer, dtype=dtype)
