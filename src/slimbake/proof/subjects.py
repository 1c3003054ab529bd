"""Images without passes: what is tried, and what parity is compared with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimbake import docker
from slimbake.build import bake
from slimbake.build.bake import Built
from slimbake.build.command import Options
from slimbake.build.prepare import Prepared, prepared
from slimbake.checks.verify import given
from slimbake.config.model import Manifest
from slimbake.errors import UsageError
from slimbake.externals.resolve import resolve
from slimbake.fleet.sources import externals
from slimbake.host.files import write_atomically
from slimbake.host.machine import machine
from slimbake.plan.carried import TOOLS
from slimbake.plan.model import Plan, Running
from slimbake.proof.trial import Subject
from slimbake.render import unpruned

Say = Callable[[str], None]
UNPRUNED = ".slimbake/unpruned"  # beside the manifest: what steps that install are told


@dataclass(frozen=True, slots=True)
class Workbench:
    """A project that is held while passes are tried on it."""

    ready: Prepared
    subjects: tuple[Subject, ...]
    tools: str  # the folder with binutils


@contextlib.contextmanager
def workbench(
    manifest: Manifest, services: Sequence[str], say: Say, *, install: bool = False
) -> Iterator[Workbench]:
    """Build the images of these services without any pass, see that their smokes hold, and hold the
    project.

    Raises UsageError for a service without a smoke, CheckError where one does not hold, and as
    `prepared` does.
    """
    root = manifest.file.parent
    with prepared(manifest, tuple(services), say, install=install) as ready:
        smokes = {target.service: target for target in ready.plan.targets if target.kind == "smoke"}
        if missing := [name for name in services if name not in smokes]:
            raise UsageError(
                f"no smoke: {', '.join(missing)}",
                "what is not checked cannot be proven: give it a `smoke:`",
            )
        built = without_passes(ready, tuple(services), root)
        tools = tools_folder(manifest, ready, say, install)
        running = {service.service: service for service in ready.plan.services}
        subjects = (
            Subject(
                i.name,
                i.digest,
                smokes[i.name],
                root,
                tools,
                _verify(running[i.name], i.digest, root),
            )
            for i in built
        )
        yield Workbench(ready, tuple(subjects), tools)


def _verify(service: Running, image: str, root: Path) -> str:
    return given(service, image, root) if service.verify else ""


@contextlib.contextmanager
def subjects(
    manifest: Manifest, services: Sequence[str], say: Say, install: bool = False
) -> Iterator[tuple[Subject, ...]]:
    """The images of these services without passes, each with its smoke, while the project is held.
    Raises as above.
    """
    with workbench(manifest, services, say, install=install) as bench:
        yield bench.subjects


def without_passes(
    ready: Prepared, services: tuple[str, ...], root: Path, *, smokes: bool = True
) -> tuple[Built, ...]:
    """Build these services without any pass, and run their smokes. Raises BuildError and
    CheckError.
    """
    texts = unpruned(ready.plan)  # none where no service has packages
    for name, text in texts.items():
        write_atomically(root / UNPRUNED / name, text.encode())
    names = {name: f"slimbake/{ready.plan.project}/{name}:unpruned" for name in services}
    options = Options(names=names, sets=(f"inside.contexts.passes={UNPRUNED}",) if texts else ())
    return bake.bake(ready.plan, services, root, ready.around, options, smokes=smokes).built


def unpruned_layer(plan: Plan, subject: Subject, layer: str) -> str:
    """The digest of one layer of packages in an image without passes; "" where the engine's history
    does not tell.
    """
    installing = [
        t.name for t in plan.held((subject.service,)) if t.kind in ("base", "service") and t.lock
    ]
    history = docker.call(
        "history", "--no-trunc", "--format={{.CreatedBy}}", subject.image
    ).splitlines()
    steps = [
        step for step in reversed(history) if step.startswith(("RUN ", "COPY ", "ADD ", "WORKDIR "))
    ]
    layers = json.loads(
        docker.call("image", "inspect", "--format={{json .RootFS.Layers}}", subject.image)
    )
    of_steps = zip(steps, layers, strict=False)
    installs = [diff for step, diff in of_steps if "/build.pyz install" in step]
    return (
        installs[installing.index(layer)]
        if len(steps) == len(layers) and len(installs) == len(installing)
        else ""
    )


def tools_folder(manifest: Manifest, ready: Prepared, say: Say, install: bool) -> str:
    """A folder of this machine with the external `tools`: a container mounts it."""
    from slimbake.externals.tools import unpacked

    wanted = tuple(external for external in externals(manifest) if external.name == TOOLS)
    found = resolve(wanted, ready.plan.python, ready.engine, machine(), say, install)
    return str(unpacked(found[TOOLS].context, found[TOOLS].digest))
