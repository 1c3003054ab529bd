"""Copies files to further places of an image: those that `copy` of the manifest names.

It runs in the image itself, and so sees all that lies there: the runtime, packages, what other
entries brought.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..lines import some
from ..step import INSIDE, StepError
from .tree import normalise, refuse_links_out, tree

SHOWN = 5


def copy_files(arguments: Sequence[str]) -> None:
    """The program `copy-files SOURCE TO`: copy /inside/copy, which is SOURCE of what the step mounts.

    The contents of a folder lie in TO; a file is TO, or lies in it where it ends with a slash.
    Raises StepError for links that lead out, for what is no file, and where the image has files of
    these names or has links on the way to them.
    """
    name, to = arguments
    source, target = INSIDE / "copy", Path(to)
    if source.is_dir():
        refuse_links_out(source, f"{name}, which `copy` names")
    elif to.endswith("/"):
        target /= os.path.basename(name)  # noqa: PTH119 - a path of another image
    for folder in target.parents:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise StepError(f"copy: {folder} is no folder in this image; choose another `to`")
    refuse_taken(source, target, f"copy: {name} overlaps with files of this image")
    new = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in _paths(source):
        place = target / path.relative_to(source)
        if not place.is_dir():
            _copy(path, place)
            new.append(place)
    normalise(new)


def refuse_taken(source: Path, target: Path, what: str) -> None:
    """Raise StepError for what cannot lie in its place below `target`, or as `target` itself, since
    something else does. Folders of both are one.
    """
    taken = []
    for path in _paths(source):
        place = target / path.relative_to(source)
        if os.path.lexists(place) and not (_is_folder(path) and _is_folder(place)):
            taken.append(str(place))
    if taken:
        raise StepError(f"{what}: {some(taken, SHOWN)}")


def _paths(source: Path) -> list[Path]:
    """All that lies in a folder, and itself; of a file itself."""
    return sorted(tree(source)) if source.is_dir() else [source]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _copy(path: Path, place: Path) -> None:
    if path.is_symlink():
        place.symlink_to(path.readlink())
    elif path.is_dir():
        place.mkdir()
    elif path.is_file():
        shutil.copyfile(path, place)
        place.chmod(path.stat().st_mode)
    else:
        raise StepError(f"copy: {path.name} is neither a file nor a folder")
