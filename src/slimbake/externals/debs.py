"""Debian packages of `system:`, pinned and fetched by the apt of the external Python image, in
builds of no image.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from slimbake import docker, inside
from slimbake.console import Console
from slimbake.docker.engine import setup
from slimbake.externals.resolve import resolve_externals
from slimbake.fleet.model import Fleet
from slimbake.host.machine import Machine
from slimbake.inside.debs import Deb, text

T = TypeVar("T")

_STEP = """
FROM python AS step
RUN --mount=type=bind,from=inside,source=debs.py,target=/inside/debs.py \\
    --mount=type=bind,from=lock,target=/inside/lock \\
    {command}
FROM scratch
COPY --from=step /out /
"""


@dataclass(frozen=True, slots=True)
class Apt:
    """Where Debian's mirror is asked, whatever this machine itself runs."""

    fleet: Fleet
    machine: Machine
    console: Console

    def lock(self, packages: Sequence[str], platforms: Sequence[str]) -> str:
        """The lines of a lock: these packages and all that they depend on. Raises SetupError."""
        words = [word for platform in platforms for word in ("--arch", platform.rpartition("/")[2])]
        return self._run(
            ["lock", "/out/debs.txt", *words, *packages],
            {},
            lambda out: (out / "debs.txt").read_text(),
        )

    def download(self, debs: Sequence[Deb], arch: str, take: Callable[[Path], None]) -> None:
        """Give `take` the folder with the files of these packages, verified by hash. Raises
        SetupError.
        """
        lock = {"debs.txt": text(list(debs))}
        self._run(
            ["download", "/out", "--arch", arch, "--lock", "/inside/lock/debs.txt"], lock, take
        )

    def _run(self, words: Sequence[str], files: Mapping[str, str], take: Callable[[Path], T]) -> T:
        python = self.fleet.python
        found = resolve_externals(
            (self.fleet.external("python"),),
            python,
            setup(False, self.console),
            self.machine,
            self.console,
        )
        command = json.dumps([f"python{python}", "/inside/debs.py", *words])
        with tempfile.TemporaryDirectory(prefix="slimbake-debs-") as scratch:
            given, out = Path(scratch) / "given", Path(scratch) / "out"
            for folder in (given, out):
                folder.mkdir()
            for name, content in files.items():
                (given / name).write_text(content)
            contexts = {
                "python": found["python"].context,
                "inside": str(inside.FOLDER),
                "lock": str(given),
            }
            docker.build_files(
                _STEP.format(command=command), contexts, dict(self.machine.proxies), out
            )
            return take(out)
