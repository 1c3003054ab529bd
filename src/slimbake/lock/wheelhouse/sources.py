"""Brings the sources of packages that have no wheel to this machine, and reads what builds them."""

from __future__ import annotations

import ast
import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from slimbake.config.report import RefusedError
from slimbake.config.specs import lockable
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host import git
from slimbake.host.files import half_of
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.typed import WRONG, toml_value
from slimbake.host.wheels import file_path, is_file
from slimbake.images.streams import members
from slimbake.inside.archives import open_zip
from slimbake.inside.fetch import FetchError, download, opener
from slimbake.lock.wheelhouse.store import COMMIT, Held, Store

_LARGEST = 256 << 10  # bytes of a pyproject.toml or setup.py
_UNPACKED = 1 << 30  # bytes of an archive of sources up to them; OpenCV's has 0.4 GB
_FILES = 50_000  # of an archive up to them
DEFAULT = ("setuptools>=40.8.0", "wheel")  # PEP 517: of sources that do not say what builds them


def described(
    sources: Sequence[Source], machine: Machine, store: Store, console: Console
) -> list[Source]:
    """These sources with what builds them; each is brought into the store. Raises SetupError."""
    if not sources:
        return []
    with store.exclusively(console):
        return [_described(source, machine, store) for source in sources]


def _described(source: Source, machine: Machine, store: Store) -> Source:
    file = bring(source, machine, store)
    size = None if source.git else file.path.stat().st_size
    if source.wheel:
        return replace(source, bytes=size)
    subfolder = ""
    if not source.git:
        subfolder = source.address.partition("subdirectory=")[2].partition("&")[0]
    return replace(source, bytes=size, requires=requires(file.path, subfolder))


def held(source: Source, store: Store) -> Held | None:
    """The file of a source, where the store has it."""
    key = source.sha256 or f"{COMMIT}{source.repository[1]}"
    return store.held(key, source.file, source.bytes)


def bring(source: Source, machine: Machine, store: Store) -> Held:
    """The file of a source, which is fetched where the store lacks it.

    `source.found` says where the file of an index is. Raises SetupError.
    """
    file = held(source, store)
    if file:
        return file
    if source.git:
        address, commit, subfolder = source.repository
        target = store.path(f"{COMMIT}{commit}", source.file)
        target.parent.mkdir(parents=True, exist_ok=True)
        with half_of(target) as half:
            git.export(address, commit, subfolder, half)
        return Held(f"{COMMIT}{commit}", target)
    url = source.found or source.address
    try:
        if is_file(source.found):
            path = Path(file_path(source.found))
            return Held(source.sha256, store.take(path, source.sha256, source.file))
        target = store.path(source.sha256, source.file)
        packages = machine.packages
        open_ = opener((*packages.extra_index_urls, packages.index_url), machine.ca_bundle)
        download(url, target, {source.sha256}, open_, size=source.bytes)
        return Held(source.sha256, target)
    except (FetchError, OSError) as error:
        raise SetupError(
            f"the sources of {source.name} {source.version} cannot be had: {error}",
            "fix that, then run the same command: it continues",
        ) from None


def requires(archive: Path, subfolder: str = "") -> tuple[str, ...]:
    """What builds the sources in an archive, as its pyproject.toml (PEP 518) and its setup.py say.

    `subfolder`: a folder in it. Raises SetupError where that is no list of requirements.
    """
    folder = f"{subfolder}/" if subfolder else ""
    text = _member(archive, f"{folder}pyproject.toml") or ""
    try:
        table = toml_value(text)
        requirements = [*table.get("build-system", {}).get("requires", DEFAULT)]
        requirements += setup_requires(_member(archive, f"{folder}setup.py") or "")
        return tuple(dict.fromkeys(lockable(str(requirement)) for requirement in requirements))
    except (RefusedError, *WRONG) as error:
        raise SetupError(
            f"{archive.name}: its pyproject.toml does not say what builds it: {error}",
            "take another version of the package",
        ) from None


def setup_requires(setup: str) -> list[str]:
    """The packages that setuptools would fetch before it builds, as the text of a setup.py lists
    them. A list that the file computes is not found: slimbake does not run it.
    """
    found: list[str] = []
    try:
        for node in ast.walk(ast.parse(setup)):
            if isinstance(node, ast.keyword) and node.arg == "setup_requires":
                found += _literal(node.value)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what Python itself refuses
        return []
    return [requirement for requirement in found if requirement.strip()]


def _literal(node: ast.expr) -> list[str]:
    """The texts of a literal list, or the lines of a literal text; none of anything else."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return []
    if isinstance(value, str):
        return value.split("\n")
    if isinstance(value, list | tuple):
        return [item for item in value if isinstance(item, str)]
    return []


def _member(archive: Path, name: str) -> str | None:
    """The text of a file below the one folder of an archive; None where it has none."""
    try:
        if zipfile.is_zipfile(archive):
            with open_zip(archive) as opened:
                found = [entry for entry in opened.namelist() if entry.partition("/")[2] == name]
                if found:
                    return opened.open(found[0]).read(_LARGEST).decode()
                return None
        with archive.open("rb") as stored:
            for number, (member, content) in enumerate(members(_Unpacked(stored))):
                if number > _FILES:
                    raise ValueError(f"it has more than {_FILES:,} files")
                if content and member.name.removeprefix("./").partition("/")[2] == name:
                    return content.read(_LARGEST).decode()
    except _UNREADABLE as error:
        raise SetupError(
            f"{archive.name} is no archive of sources: {error}", "take another version"
        ) from None
    return None


# What readers of archives raise; RuntimeError for a ZIP archive with a password.
_UNREADABLE = (
    *(OSError, EOFError, RuntimeError, MemoryError, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile, *WRONG),
)


class _Unpacked:
    """What a compressed tar comes to, of which a few bytes may claim any number."""

    def __init__(self, stored: IO[bytes]) -> None:
        head = stored.read(6)
        stored.seek(0)
        self._stream: Any = stored
        if head.startswith(b"\x1f\x8b"):
            self._stream = gzip.GzipFile(fileobj=stored)
        elif head.startswith(b"BZh"):
            self._stream = bz2.BZ2File(stored)
        elif head == b"\xfd7zXZ\0":
            self._stream = lzma.LZMAFile(stored)  # noqa: SIM115 - it ends with `stored`
        self._left = _UNPACKED

    def read(self, size: int) -> bytes:
        piece: bytes = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {_UNPACKED:,} bytes")
        return piece


def locate(sources: list[Source], source_of: Mapping[str, Source]) -> dict[str, Source]:
    """Sources by name, with where they are now. Raises SetupError where an index has other files."""
    placed = {}
    for source in sources:
        offered = source_of.get(source.name)
        # Without a SHA-256 it is compared when it is downloaded.
        if offered is None or offered.sha256 not in {source.sha256, ""}:
            has = "no sources of it"
            if offered:
                has = f"{offered.file} with sha256 {offered.sha256}"
            raise SetupError(
                f"{source.file}: the index now has {has}, the lock {source.sha256}",
                f"if you trust the index: `slimbake lock --upgrade {source.name}`",
            )
        placed[source.name] = replace(source, found=offered.found)
    return placed
