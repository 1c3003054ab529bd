"""Runs a text model in a service, with torch or as slimbake exports it to ONNX.

`load(folder)` sees which of both the folder holds, and imports the packages of that one alone.
"""

import os
from pathlib import Path

from slimbake_models.model import Encoded, Model, Piece, Runtime, Span, WrongTaskError

__all__ = ["Encoded", "Model", "Piece", "Runtime", "Span", "WrongTaskError", "load"]

# Before transformers is imported anywhere: weights come with the image, not from a hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def load(folder: str | Path = "/weights", dtype: str = "float32") -> Model:
    """Load the model of a folder. Raises OSError where it holds none.

    `dtype`: what torch computes in; an exported model has a precision of its own.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():  # transformers would ask a hub for this name
        raise FileNotFoundError(f"{path} holds no model: no config.json")
    if (path / "model.onnx").is_file():
        from slimbake_models.graph import Graph

        return Model(Graph(path))
    from slimbake_models.transformer import Transformer

    return Model(Transformer(path, dtype))
