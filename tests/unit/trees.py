"""Trees of files as a layer holds them."""

import os
import stat
from pathlib import Path

EPOCH = 315532800


def state(root: Path) -> dict[str, tuple[str, float, bytes]]:
    """Mode, time and content of everything in a tree, as a layer holds them."""

    def content(path: Path) -> bytes:
        if path.is_symlink():
            return os.fsencode(path.readlink())
        return path.read_bytes() if path.is_file() else b""

    return {
        path.relative_to(root).as_posix(): (
            stat.filemode(path.lstat().st_mode),
            path.lstat().st_mtime,
            content(path),
        )
        for path in (root, *root.rglob("*"))
    }
