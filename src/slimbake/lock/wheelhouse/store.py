"""Files by their content: each once, under its SHA-256, and folders that hold exactly some of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from slimbake.config.specs import normalised
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host.files import half_of, locked_file
from slimbake.inside.fetch import FetchError, hashed

VARIABLE = "SLIMBAKE_WHEELHOUSE"
COMMIT = "git-"  # before a Git commit, which stands for a SHA-256 there


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """A file that the store holds."""

    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Store:
    """The wheelhouse's folder. It may be copied to a machine without a network as it is."""

    root: Path
    rehashed: Console | None = None  # all that is there is hashed, and what is damaged said to it

    def path(self, sha256: str, file: str) -> Path:
        return self.root / "sha256" / sha256 / file

    def packages(self) -> set[str]:
        """The packages that it has a wheel of."""
        wheels = (self.root / "sha256").glob("*/*.whl")
        return {normalised(wheel.name.partition("-")[0]) for wheel in wheels}

    def held(self, sha256: str, file: str, size: int | None) -> Held | None:
        """The file, where it is there whole: by its size, since all that is installed is verified
        by hash anyway. A damaged one is removed where all is hashed again.
        """
        path = self.path(sha256, file)
        if not path.is_file() or size not in (None, path.stat().st_size):
            return None
        if self.rehashed and not sha256.startswith(COMMIT) and hashed(path) != sha256:
            self.rehashed.say(f"{file} is damaged: slimbake downloads it again")
            path.unlink()
            return None
        return Held(sha256, path)

    def take(self, source: Path, sha256: str, file: str) -> Path:
        """Bring in a copy of a file. Raises FetchError where it is another than its hash says."""
        target = self.path(sha256, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        with half_of(target) as half:
            shutil.copy2(source, half)
            if (actual := hashed(half)) != sha256:
                raise FetchError(
                    f"{source} is not what the lock names: sha256 {actual}, wanted {sha256}"
                )
        return target

    @contextlib.contextmanager
    def exclusively(self, console: Console) -> Iterator[None]:
        """Hold the store while something is brought into it: of two at once, one brings it for
        both.

        Raises SetupError where nothing can be written there.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / ".lock").touch()
        except OSError as error:
            raise SetupError(
                f"the wheelhouse cannot be written: {error}", f"{VARIABLE} names another folder"
            ) from None
        with locked_file(
            self.root / ".lock", "waiting for another slimbake, which fills the wheelhouse", console
        ):
            yield

    def folder(self, files: Iterable[Held], within: str) -> Path:
        """A folder that holds exactly these files, in its folder `within`; the same files, the same
        folder.

        A layer whose context held more would be built again with all that is added to it.
        """
        file_of = {entry.path.name: entry for entry in sorted(files)}
        rows = (within, *(f"{h.sha256} {name}" for name, h in sorted(file_of.items())))
        key = hashlib.sha256("\n".join(rows).encode())
        folder = self.root / "contexts" / key.hexdigest()[:32]
        (folder / within).mkdir(parents=True, exist_ok=True)
        for path in (folder / within).iterdir():
            if path.name not in file_of:
                path.unlink()
        for name, file in file_of.items():
            _link(file.path, folder / within / name)
        return folder

    def clear(self) -> int:
        """Remove all that it holds; the bytes of it. All that a lock names can be fetched again."""
        size = sum(
            path.stat().st_size for path in (self.root / "sha256").rglob("*") if path.is_file()
        )
        for name in ("sha256", "contexts"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        return size


def _link(source: Path, target: Path) -> None:
    if target.exists() and (target.samefile(source) or _alike(source, target)):
        return
    with half_of(target) as half:
        try:
            half.hardlink_to(source)
        except OSError:  # a file system without links
            shutil.copy2(source, half)


def _alike(source: Path, target: Path) -> bool:
    a, b = source.stat(), target.stat()
    return a.st_dev != b.st_dev and (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)


def store(rehashed: Console | None = None) -> Store:
    """The store of this machine: where SLIMBAKE_WHEELHOUSE says, else among the user's caches."""
    named = os.environ.get(VARIABLE)
    path = named or Path(platformdirs.user_cache_dir("slimbake")) / "wheelhouse"
    return Store(Path(path).absolute(), rehashed)
