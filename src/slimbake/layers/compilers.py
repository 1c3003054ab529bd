"""What in the locks of an image could compile C, C++ or GPU code: by names, since a lock has nothing
else. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Compilers as parts of a package's name: gcc-14, clang-19, nvidia-cuda-nvrtc, ziglang, pyopencl.
_COMPILER = re.compile(
    r"(?:^|-)(?:gcc|g\+\+|cc|tcc|nvcc|icpx|hipcc|dpcpp|build-essential|cuda-toolkit)(?:-|$)"
    r"|clang|nvrtc|opencl|pocl|cling|ziglang"
)
_EMPTY = re.compile(r"gcc-[\d.]+-base|libgcc-s1|libclang-common.*")  # no program, no library


def compilers(packages: Iterable[str]) -> tuple[str, ...]:
    """Of these names of wheels and Debian packages, those that bring a compiler, sorted."""
    names = {name for name in packages if _COMPILER.search(name) and not _EMPTY.fullmatch(name)}
    return tuple(sorted(names))
