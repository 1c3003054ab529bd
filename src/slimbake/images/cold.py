"""The cold stores of an image: Python code that lies compressed in its layers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from slimbake.errors import SetupError
from slimbake.host.files import write_atomically
from slimbake.inside.cold.layout import SUFFIX, Store

_FOLDER = PurePosixPath("opt/slimbake/cold")


def store_of(layer: str, content: bytes) -> Store:
    """The store of a layer, of its bytes. Raises StoreError."""
    path = f"/{_FOLDER}/{layer}{SUFFIX}"
    return Store(path, lambda start, size: content[start : start + size])


def extract_cold(modules: Iterable[tuple[str, bytes]], into: Path) -> None:
    """Write modules, by their paths below site-packages, into a folder. Raises SetupError for a
    path that leads out of it.
    """
    for path, content in modules:
        if ".." in PurePosixPath(path).parts:
            raise SetupError(f"a cold store names {path}, outside its folder")
        write_atomically(into / path, content)
