"""The SHA-256 of files that an index offers without one."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host.machine import Machine
from slimbake.host.uv import Found
from slimbake.host.wheels import file_path, is_file
from slimbake.inside.fetch import FetchError, download, hashed, opener


class Digests:
    """Hashes files where they are: in a folder of this machine, or downloaded, each once."""

    def __init__(self, machine: Machine, console: Console) -> None:
        self._machine, self._console = machine, console
        self._known: dict[str, tuple[str, int]] = {}

    def complete(self, found: Found, names: Collection[str]) -> Found:
        """What uv found of these packages, with the SHA-256 of the best wheel and of the sources of
        each. Says which files are downloaded for it. Raises SetupError.
        """
        wheels, sources = dict(found.wheels), dict(found.sources)
        for name in sorted(names):
            if name in sources:
                source = sources[name]
                if not source.sha256 and not source.git:
                    sha256, size = self._measure(source.found, source.file, source.bytes)
                    sources[name] = replace(source, sha256=sha256, bytes=size)
                continue
            best, *others = wheels[name]
            wheel = best.wheel
            if not wheel.sha256:
                sha256, size = self._measure(best.url, wheel.file, wheel.bytes)
                best = replace(best, wheel=replace(wheel, sha256=sha256, bytes=size))
            wheels[name] = (best, *others)
        return Found(wheels, sources)

    def _measure(self, url: str, file: str, size: int | None) -> tuple[str, int]:
        """The SHA-256 of a file and its bytes."""
        if url not in self._known:
            self._known[url] = self._read(url, file, size)
        return self._known[url]

    def _read(self, url: str, file: str, size: int | None) -> tuple[str, int]:
        try:
            if is_file(url):  # uv says no hash of a file in a folder
                path = Path(file_path(url))
                return hashed(path), path.stat().st_size
            self._console.say(f"{file}: the index gives no SHA-256, so slimbake downloads it")
            packages = self._machine.packages
            open_ = opener(
                (*packages.extra_index_urls, packages.index_url), self._machine.ca_bundle
            )
            with tempfile.TemporaryDirectory(prefix="slimbake-hash-") as scratch:
                path = Path(scratch, "file", file)
                download(url, path, set(), open_, size=size)
                return hashed(path), path.stat().st_size
        except (FetchError, OSError) as error:
            raise SetupError(
                f"{file} cannot be hashed: {error}",
                "an index that gives the SHA-256 of its files needs no download",
            ) from None
