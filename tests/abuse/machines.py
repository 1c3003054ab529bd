"""A machine of a test's own, and what holds of every command on it, no matter what was done to it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.index import Index
from tests.ran import ran
from tests.unit.adopt.repositories import written

from slimbake import errors

DOCUMENTED = {
    0,
    errors.MANIFEST,
    errors.NOTHING_SELECTED,
    errors.STALE,
    errors.BUILD_FAILED,
    errors.CHECK_FAILED,
    errors.SETUP,
}
OTHERS = ("PIP_", "UV_", "XDG_", "SSL_", "SLIMBAKE_", "HTTP", "ALL_PROXY", "NO_PROXY", "DOCKER_")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. That it ended as documented is asserted already."""

    code: int
    stdout: str
    stderr: str


def documented(code: int, stdout: str, stderr: str) -> Ended:
    """A command's end is one of those that the README lists, in words that harm no terminal."""
    assert "Traceback" not in stderr and "slimbake: a bug" not in stderr, stderr
    assert code in DOCUMENTED, (code, stderr)
    odd = {each for each in stderr if not each.isprintable() and each not in "\n\t"}
    assert not odd, (odd, stderr)
    assert code == 0 or stderr.strip() or stdout.strip(), f"{code}, and not a word why"
    return Ended(code, stdout, stderr)


def settings(machine: Path, index: Index) -> dict[str, str]:
    """The variables of a machine whose folders are these."""
    program = machine / "bin" / "docker"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    kinds = ("STATE", "CACHE", "CONFIG", "DATA")
    return {
        "HOME": str(machine / "home"),
        "DOCKER_HOST": "tcp://127.0.0.1:9",  # so that no engine is started
        "PIP_CONFIG_FILE": "/dev/null",
        "UV_DEFAULT_INDEX": index.url,
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(machine / "uv"),
        "SLIMBAKE_WHEELHOUSE": str(machine / "wheelhouse"),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        **{f"XDG_{kind}_HOME": str(machine / kind.lower()) for kind in kinds},
    }


def tree(*roots: Path) -> Mapping[str, bytes | None]:
    """Every file, link and folder under these, with its content; what is no file has none."""
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for root in roots
        for path in sorted(root.rglob("*"))
    }


def locked(root: Path, files: Mapping[str, str]) -> Path:
    """A repository of these files on this machine, locked and generated."""
    written(root, files)
    for command in ("lock", "generate"):
        done = ran([sys.executable, "-m", "slimbake", command], cwd=root)
        assert done.returncode == 0, done.stderr
    return root


def nested(folder: Path, depth: int) -> int:
    """Folders in folders, deeper than a path may be long: the innermost, open."""
    innermost = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("a", dir_fd=innermost)
        below = os.open("a", os.O_RDONLY, dir_fd=innermost)
        os.close(innermost)
        innermost = below
    return innermost
