"""Settles the code of a service: copied, compiled, with Git's modes and one constant time.

Little is imported: an edit waits for it.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..step import EPOCH, INSIDE, StepError

TESTS = frozenset(("test", "tests"))
ALONE = 200  # modules: fewer are compiled sooner than other processes are there for it


class LayerError(StepError):
    """The step cannot make its layer."""


def copy_code(arguments: Sequence[str]) -> None:
    """The program `copy-code TARGET`: copy the build context and compile it.

    Sources stay: tracebacks and `inspect` read them.
    """
    target = Path(*arguments)
    copy_context(target)
    modules = [
        str(path)
        for path in tree(target)
        if path.suffix == ".py" and path.is_file()
        if TESTS.isdisjoint(path.relative_to(target).parts)
    ]
    if len(modules) < ALONE:
        for module in modules:
            _compile(module)
    else:
        from concurrent.futures import ProcessPoolExecutor  # as long to import as 20 modules take

        with ProcessPoolExecutor() as pool:
            list(pool.map(_compile, modules, chunksize=64))
    normalise(tree(target))


def _compile(path: str) -> None:
    """Compile a module. One that does not compile fails when it is imported."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with contextlib.suppress(py_compile.PyCompileError, SyntaxError, ValueError, OSError):
        py_compile.compile(path, doraise=True, invalidation_mode=mode)


def copy_context(into: Path) -> None:
    """Copy the build context. Raises LayerError for a link that is absolute or leads out of it."""
    source = INSIDE / "context"
    refuse_links_out(source, "the build context")
    shutil.copytree(source, into, symlinks=True, dirs_exist_ok=True)


def refuse_links_out(source: Path, what: str) -> None:
    """Raise LayerError for a link below a folder that is absolute or leads out of it."""
    for path in filter(Path.is_symlink, tree(source)):
        target = path.readlink()
        if target.is_absolute() or not path.resolve().is_relative_to(source.resolve()):
            name = path.relative_to(source)
            raise LayerError(f"{name} is a link that leads out of {what}: {target}")


def tree(root: Path) -> Iterator[Path]:
    """Every path below `root` and `root` itself, folders after their contents."""
    for name, folders, files in os.walk(root, topdown=False):
        folder = Path(name)
        links = [each for each in folders if os.path.islink(f"{name}/{each}")]  # noqa: PTH114 - sooner
        yield from (folder / each for each in sorted([*files, *links]))
        yield folder


def normalise(paths: Iterable[Path]) -> None:
    """Give paths Git's modes and one time, and their parent folders the same time."""
    touched: set[Path] = set()
    for path in paths:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        touched.add(path.parent)
    for folder in sorted(touched, key=lambda folder: len(folder.parts), reverse=True):
        os.utime(folder, (EPOCH, EPOCH))
