"""The zipapps that run in containers, as files to run on this machine."""

from pathlib import Path

from slimbake.inside import Kind, pyz, zipapp


def written(kind: Kind, folder: Path) -> Path:
    """Put the zipapp of a kind of step into a folder; return its path."""
    path = folder / pyz(kind)
    path.write_bytes(zipapp(kind))
    return path
