"""Compiles modules, so that the same sources give the same files.

What CPython writes into a bytecode file depends on what its process has compiled before: marshal
marks an object that something else refers to, too (astral-sh/uv#10619). So modules are compiled in
their order, in lots of a fixed size, each lot in a process that is forked from the same state.
"""

from __future__ import annotations

import multiprocessing
import os
import py_compile
import warnings
from collections.abc import Iterable, Sequence
from importlib.util import cache_from_source
from pathlib import Path

LOT = 64  # modules


def compile_modules(
    modules: Iterable[Path], root: Path = Path("/"), image: Path = Path("/"), out: Path = Path("/")
) -> list[Path]:
    """Compile modules on all cores; return those that do not compile, which Python says when they
    are imported.

    A module below `root` lies at the same place below `image` in the image, and its bytecode is
    written to that place below `out`.
    """
    jobs = []
    for module in sorted(modules):
        place = module.relative_to(root)
        jobs.append((str(module), str(image / place), cache_from_source(str(out / place))))
    lots = [jobs[start : start + LOT] for start in range(0, len(jobs), LOT)]
    if not lots:
        return []
    forked = multiprocessing.get_context("fork")
    with forked.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        failed = pool.map(_compile, lots, chunksize=1)
    return [Path(name) for names in failed for name in names]


def _compile(lot: Sequence[tuple[str, str, str]]) -> list[str]:
    """Compile a lot: file, path in the image, file of the bytecode. Those that do not compile."""
    warnings.simplefilter("ignore")  # of a package's own code, which others cannot change
    failed = []
    for file, place, bytecode in lot:
        try:
            py_compile.compile(
                file,
                bytecode,
                place,
                doraise=True,
                # An image's files have one time, and nobody edits packages there.
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, ValueError, RecursionError):
            failed.append(file)
    return failed
