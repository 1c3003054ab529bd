"""Looks through a repository once: which files it has."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from slimbake.adopt.model import Repository
from slimbake.config.naming import BAKE, SCHEMA
from slimbake.host.files import content

MOST = 200_000  # files
# What a checkout has beside its sources.
_SKIPPED = frozenset(
    (".git", ".hg", "node_modules", "__pycache__", "site-packages", ".tox", ".nox", ".slimbake")
)


def survey(root: Path) -> Repository:
    """A repository's files. What tools make beside the sources is left out, as are names that hold
    what cannot be printed.
    """
    files: list[str] = []
    folders = {"."}
    partial = False
    for where, inner, names in os.walk(root):
        relative = os.path.relpath(where, root).replace(os.sep, "/")
        prefix = "" if relative == "." else f"{relative}/"
        ours = relative == "." and (root / SCHEMA).is_file()
        inner[:] = sorted(
            name
            for name in inner
            if name not in _SKIPPED
            and name.isprintable()
            and not name.endswith((".egg-info", "_cache"))
            and not Path(where, name, "pyvenv.cfg").exists()
            and not (ours and name == BAKE)
        )
        folders.update(f"{prefix}{name}" for name in inner)
        files += [f"{prefix}{name}" for name in names if name.isprintable()]
        if len(files) > MOST:
            partial = True
            break
    sorted_files = tuple(sorted(files))
    return Repository(
        root,
        functools.partial(content, root),
        sorted_files,
        frozenset(folders),
        partial,
        _known=frozenset(sorted_files),
    )
