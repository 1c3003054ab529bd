"""Debian packages of `system:`, pinned and fetched by the apt of the external Python image, in
builds of no image.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from slimbake import docker
from slimbake.console import Console
from slimbake.docker.engine import expect_engine
from slimbake.externals.resolve import resolve_externals
from slimbake.fleet.model import Fleet, Python
from slimbake.host.machine import Machine
from slimbake.inside import zipapp
from slimbake.inside.debs import UNKNOWN, Deb, format_debs

T = TypeVar("T")

_STEP = """
FROM python AS step
RUN --mount=type=bind,from=inside,target=/inside {command}
FROM scratch
COPY --from=step /out /
"""


@dataclass(frozen=True, slots=True)
class Apt:
    """Where Debian's mirror is asked, no matter what this machine itself runs."""

    fleet: Fleet
    python: Python  # of whose image
    machine: Machine
    console: Console

    def lock(
        self, packages: Sequence[str], platforms: Sequence[str]
    ) -> tuple[str, dict[str, list[str]]]:
        """The lines of a lock: these packages and all that they depend on. And those that Debian
        does not have, with what may be meant: then there is no lock. Raises SetupError.
        """
        architectures = ",".join(platform.rpartition("/")[2] for platform in platforms)
        return self._run(
            ["lock-debs", "/out/debs.txt", architectures, *packages],
            "",
            lambda out: ((out / "debs.txt").read_text(), json.loads((out / UNKNOWN).read_text())),
        )

    def download(self, debs: Sequence[Deb], arch: str, take: Callable[[Path], None]) -> None:
        """Give `take` the folder with the files of these packages, verified by hash. Raises
        SetupError.
        """
        self._run(["fetch-debs", "/out", arch], format_debs(debs), take)

    def _run(self, arguments: Sequence[str], lock: str, take: Callable[[Path], T]) -> T:
        external = self.fleet.external(self.python.image)
        (image,) = resolve_externals((external,), expect_engine()).resolved
        command = json.dumps([self.python.program, "/inside/make.pyz", *arguments])
        with tempfile.TemporaryDirectory(prefix="slimbake-debs-") as scratch:
            given, out = Path(scratch) / "given", Path(scratch) / "out"
            for folder in (given, out):
                folder.mkdir()
            (given / "make.pyz").write_bytes(zipapp("make"))
            (given / "lock.txt").write_text(lock)
            contexts = {"python": image.context, "inside": str(given)}
            docker.build(
                _STEP.format(command=command),
                contexts,
                f"type=local,dest={out}",
                arguments=dict(self.machine.proxies),
            )
            return take(out)
