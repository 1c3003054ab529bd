"""Cold modules as `importlib.resources` gives them; loaded when a program first asks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources.readers import FileReader
from pathlib import Path, PosixPath
from typing import Any

from .hook import content, names


class ColdReader(FileReader):
    """The resources of a package of which modules are cold."""

    def files(self) -> ColdFolder:
        """Its folder."""
        return ColdFolder(super().files())


class ColdFolder(PosixPath):
    """A folder on disk, and what is in it: programs take it for the path that `files()` mostly is."""

    def joinpath(self, *parts: Any) -> Any:
        """What lies below: a path, or a cold file."""
        path = super().joinpath(*parts)
        cold = path.suffix == ".py" and not path.exists() and content(str(path)) is not None
        return ColdFile(path) if cold else path

    __truediv__ = joinpath

    def iterdir(self) -> Iterator[Any]:  # type: ignore[override]
        """What is in it, on disk and cold."""
        on_disk = {path.name: path for path in super().iterdir()}
        yield from on_disk.values()
        for name in names(str(self)):
            if "/" not in name and f"{name}.py" not in on_disk:
                yield ColdFile(PosixPath(self, f"{name}.py"))


class ColdFile:
    """A cold module as a resource: a `Traversable`, of which `as_file` makes a file on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name

    def __str__(self) -> str:
        return str(self._path)

    def open(self, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """It, to be read."""
        binary = io.BytesIO(self.read_bytes())
        return binary if "b" in mode else io.TextIOWrapper(binary, *arguments, **options)

    def read_bytes(self) -> bytes:
        """Its content."""
        return content(str(self)) or b""

    def read_text(self, *arguments: Any, **options: Any) -> str:
        """Its text."""
        return str(self.open("r", *arguments, **options).read())

    def is_file(self) -> bool:
        """It is."""
        return True

    def is_dir(self) -> bool:
        """It is none."""
        return False

    def iterdir(self) -> Iterator[Any]:
        """Raises NotADirectoryError."""
        raise NotADirectoryError(str(self))

    def joinpath(self, *parts: Any) -> Path:
        """What would lie below a file."""
        return self._path.joinpath(*parts)

    __truediv__ = joinpath
