"""Says what a start compiles itself: which imported modules have no bytecode on disk, and what that costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import cache_from_source
from pathlib import Path, PurePosixPath

MUCH = 0.03  # of a start's processor time


def uncompiled(files: Iterable[str], site: Path) -> dict[str, float]:
    """Of these files those that Python has to compile, by name below site-packages, and the processor
    time in seconds that it takes.

    Of an image in which nothing is compiled, none: that is what its manifest asks for.
    """
    sources = [file for file in files if file.endswith(".py")]
    without = [Path(file) for file in sources if not Path(cache_from_source(file)).is_file()]
    if len(without) == len(sources):
        return {}
    seconds = {}
    for path in without:
        began = time.process_time()
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OSError):
            continue
        seconds[path.relative_to(site).as_posix()] = time.process_time() - began
    return seconds


def advice(seconds_of: Mapping[str, float], whole: float) -> Iterator[str]:
    """The line to add to a manifest where compiling these modules takes much of a start; `whole`: the
    seconds of that.
    """
    total = sum(seconds_of.values())
    much = MUCH * whole
    if total <= much:
        return
    folders: dict[str, float] = {}
    for name, seconds in seconds_of.items():
        folder = PurePosixPath(name).parent.as_posix()
        folders[folder] = folders.get(folder, 0) + seconds
    globs = []
    left = total
    for folder in sorted(folders, key=lambda folder: (-folders[folder], folder)):
        if left <= much:
            break
        globs.append("*.py" if folder == "." else f"{folder}/*.py")
        left -= folders[folder]
    yield (
        f"slimbake: warning: a start spends {total / whole:.0%} of its processor time on modules without"
        f" bytecode; with this line the build compiles them: bytecode: {json.dumps(sorted(globs))}"
    )
