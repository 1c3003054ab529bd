"""Debian packages of `system:`, pinned and fetched by the apt of the external Python image, or of the
user's image that they are installed in, in builds of no image.
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
from slimbake.errors import SetupError
from slimbake.externals.resolve import context_of
from slimbake.externals.stages import Stages, linked_stages, stages_of
from slimbake.fleet.model import Fleet, Runtime
from slimbake.host.machine import Machine
from slimbake.inside import zipapp
from slimbake.inside.debs import UNKNOWN, Deb, format_debs

T = TypeVar("T")

_STEP = """
FROM ready AS step
USER 0:0
RUN --mount=type=bind,from=inside,target=/inside {command}
FROM scratch
COPY --from=step /out /
"""


@dataclass(frozen=True, slots=True)
class Apt:
    """Where Debian's mirror is asked, no matter what this machine itself runs."""

    fleet: Fleet
    runtime: Runtime  # of slimbake's own, the image that it is made from; else the user's image
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
        stages, program = self._stages()
        command = json.dumps([program, "/inside/make.pyz", *arguments])
        with tempfile.TemporaryDirectory(prefix="slimbake-debs-") as scratch:
            given, out = Path(scratch) / "given", Path(scratch) / "out"
            for folder in (given, out):
                folder.mkdir()
            (given / "make.pyz").write_bytes(zipapp("make"))
            (given / "lock.txt").write_text(lock)
            docker.build(
                stages.text + _STEP.format(command=command),
                {**stages.contexts, "inside": str(given)},
                f"type=local,dest={out}",
                arguments=dict(self.machine.proxies),
            )
            return take(out)

    def _stages(self) -> tuple[Stages, str]:
        """An image with apt, and its Python. Raises SetupError where no lock says where that is."""
        python, interpreter = self.runtime.python, self.fleet.interpreter(self.runtime)
        own = self.fleet.external(python.image)
        if not self.runtime.image:
            return stages_of(context_of(own)), python.program
        if interpreter is None:
            raise SetupError(f"no lock says where Python is in {self.runtime.image}")
        image = context_of(self.fleet.external(self.runtime.external))
        if interpreter.is_linked:
            return linked_stages(image, context_of(own), python.program), interpreter.path
        return stages_of(image), interpreter.path
