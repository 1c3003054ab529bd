"""all-MiniLM-L6-v2, as torch's weights or exported to ONNX. A form's packages are imported only
with it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Before transformers is imported anywhere: weights come with the image, not from a hub; logs are
# JSON lines.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A text as the model sees it: one vector, and a row per token without [CLS] and [SEP]; all of
    length 1.
    """

    vector: NDArray[np.float32]
    tokens: NDArray[np.float32]


class Encoder(Protocol):
    """What reads texts; not for two threads at once."""

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector of length 1 per text, shape (texts, 384): the mean of its tokens' vectors,
        padding left out.
        """
        ...

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Each text's vector, and those of its tokens."""
        ...


def load(weights: Path) -> Encoder:
    """Load what the folder holds; raises OSError where that is no model."""
    return form(weights)(weights)


def form(weights: Path) -> Callable[[Path], Encoder]:
    """What loads and runs the model of a folder, with all that it imports."""
    if (weights / "model.onnx").is_file():
        from atlas_minilm.graph import Graph

        return Graph
    if not (
        weights / "config.json"
    ).is_file():  # transformers would take the path for a name on a hub
        raise FileNotFoundError(f"{weights} holds no model: no config.json")
    from atlas_minilm.transformer import Transformer

    return Transformer


def of_tokens(
    vectors: NDArray[np.float32], tokens: NDArray[np.float32], mask: NDArray[np.int64]
) -> list[Encoded]:  # fmt: skip
    """Put together what a batch gave: tokens of shape (texts, longest, 384), a mask of (texts,
    longest).
    """
    units = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True).clip(1e-12)
    return [
        Encoded(vector=vector, tokens=unit[1 : length - 1])
        for vector, unit, length in zip(vectors, units, mask.sum(axis=1), strict=True)
    ]
