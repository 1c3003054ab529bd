"""The model in either form: as torch's weights, or exported to ONNX. A form's packages are imported only with it."""

from collections.abc import Callable
from pathlib import Path

from hybrid.search import Encoder


def load(weights: Path) -> Encoder:
    """Load what the folder holds; raises OSError where that is no model."""
    return form(weights)(weights)


def form(weights: Path) -> Callable[[Path], Encoder]:
    """What loads and runs the model of a folder, with all that it imports."""
    if (weights / "model.onnx").is_file():
        from hybrid.graph import Graph

        return Graph
    from hybrid.minilm import MiniLM

    return MiniLM
