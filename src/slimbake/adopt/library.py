"""`slimbake library`: puts the library that runs models into a repository, as a package of its own."""

from __future__ import annotations

from pathlib import Path

from slimbake.errors import UsageError
from slimbake.host.files import write_all
from slimbake.render.generated import SHIPPED

LIBRARY = "slimbake-models"


def write_library(root: Path, folder: str) -> tuple[str, ...]:
    """Write the library's files into a folder below `root`; the paths of those that changed.

    Files of the same name are overwritten: that is how a later slimbake updates them. Raises
    UsageError for a folder that leads out of `root`, or that holds another project.
    """
    target = (root / folder).resolve()
    if not target.is_relative_to(root.resolve()):
        raise UsageError(f"{folder} lies outside of the repository", "name a folder below it")
    project = target / "pyproject.toml"
    if project.is_file() and f'name = "{LIBRARY}"' not in project.read_text("utf-8"):
        raise UsageError(f"{folder} holds another project", "name a folder of its own")
    source = SHIPPED / "libs" / LIBRARY
    code = (
        path for path in sorted((source / "src").rglob("*")) if path.suffix in (".py", ".typed")
    )
    files = {
        target / path.relative_to(source): path.read_bytes()
        for path in (source / "pyproject.toml", *code)
    }
    changed = {
        path: content
        for path, content in files.items()
        if not path.is_file() or path.read_bytes() != content
    }
    write_all(changed)
    return tuple(path.relative_to(root.resolve()).as_posix() for path in changed)
