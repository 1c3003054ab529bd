"""The names of installed files, as globs and ledgers have them."""

from __future__ import annotations

import os
import re
from pathlib import Path

CODE = frozenset((".py", ".so", ".pth"))  # suffixes of what two packages cannot both have
METADATA = re.compile(r"[^/]+\.dist-info/.+")
_PYC = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<module>[^/]+)\.[^.]+(\.opt-\d)?\.pyc")
_TESTS = re.compile(r"(.*/)?tests?/.*")


def file_name(path: Path | str, site: Path) -> str:
    """The name of a file: below site-packages, or with a leading `/` below the prefix."""
    whole = os.path.normpath(path)
    relative = whole.removeprefix(f"{site}/")
    if relative != whole:
        return relative
    return whole.removeprefix(str(site.parents[2]))


def path_of(name: str, site: Path) -> Path:
    """Where the file of that name lies."""
    return Path(f"{site.parents[2]}{name}" if name.startswith("/") else f"{site}/{name}")


def module_of(name: str) -> str:
    """The module of a bytecode file; the name itself for any other file."""
    match = _PYC.fullmatch(name)
    if match:
        return f"{match['folder']}{match['module']}.py"
    return name


def is_test(name: str) -> bool:
    """Whether a file lies in a folder of a package's own tests."""
    return _TESTS.match(name) is not None
