"""The zipapps that run in containers, as files to run on this machine."""

from pathlib import Path

from slimbake.inside import zipapp
from slimbake.render.generated import export_zipapp


def program(kind: str) -> bytes:
    """The zipapp of a kind of step: make, check or export."""
    if kind == "export":
        return export_zipapp()
    return zipapp("make" if kind == "make" else "check")


def written(kind: str, folder: Path) -> Path:
    """Put the zipapp of a kind of step into a folder; return its path."""
    path = folder / f"{kind}.pyz"
    path.write_bytes(program(kind))
    return path
