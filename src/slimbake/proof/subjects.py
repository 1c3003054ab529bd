"""Images without passes: what is tried, and what parity is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake import docker
from slimbake.build.bake import bake
from slimbake.build.command import BakeOptions, staged
from slimbake.build.place import Built, built_in_engine
from slimbake.build.site import Preparation, Site, hold
from slimbake.checks.mounts import mounted
from slimbake.checks.surroundings import emulated, mounting
from slimbake.checks.verify import Limit, given
from slimbake.console import Console
from slimbake.errors import SetupError, UsageError
from slimbake.host.machine import require_emulation
from slimbake.host.workspace import FOLDER
from slimbake.images import this_platform
from slimbake.plan.model import Plan, Running
from slimbake.project import Project
from slimbake.proof.trial import Subject
from slimbake.render import unpruned

UNPRUNED = "unpruned"  # in the workspace: what steps that install get


@dataclass(frozen=True, slots=True)
class Workbench:
    """A project that is held while passes are tried on it."""

    site: Site
    subjects: tuple[Subject, ...]


@contextlib.contextmanager
def workbench(
    project: Project,
    services: Sequence[str],
    console: Console,
    *,
    install: bool = False,
    platform: str = "",
    bare: Sequence[str] | None = None,
) -> Iterator[Workbench]:
    """Hold the project for these services, and build the images of those that are `bare`, None for
    all, without any pass, with smokes that hold.

    `platform`: the only one that they are built for, if not as planned. Raises UsageError for a
    service without a smoke, CheckError where one does not hold, SetupError where this machine does
    not run programs of the platform, and as `hold` does.
    """
    root = project.root
    if platform:
        require_emulation(platform)
    other = platform if platform != this_platform() else ""
    if other:
        console.say(f"{platform} is emulated: trials are slow, and time and memory say nothing")
    wanted = Preparation(targets=tuple(services), install=install, platform=platform)
    with hold(project, wanted, console) as site:
        smokes = {target.service: target for target in site.plan.targets if target.kind == "smoke"}
        if missing := [name for name in services if name not in smokes]:
            raise UsageError(
                f"no smoke: {', '.join(missing)}",
                "what is not checked cannot be proven: give it a `smoke:`",
            )
        site = site.stocked(services)
        chosen = tuple(services if bare is None else bare)
        built = without_passes(site, chosen, platform=platform) if chosen else ()
        plan = weights_mounted(site, tuple(services), platform)
        site = replace(site, project=replace(site.project, plan=plan))
        running = {service.service: service for service in site.plan.services}
        subjects = (
            Subject(
                i.name,
                i.image,
                smokes[i.name],
                root,
                _verify(running[i.name], i.image, root, other),
                other,
                mounting(running[i.name]),
            )
            for i in built
        )
        yield Workbench(site, tuple(subjects))


def _verify(service: Running, image: str, root: Path, other: str) -> str:
    limit = Limit(seconds=Limit().seconds * emulated(other))
    return given(service, image, root, limit) if service.verify else ""


@contextlib.contextmanager
def subjects(
    project: Project,
    services: Sequence[str],
    console: Console,
    install: bool = False,
    platform: str = "",
) -> Iterator[tuple[Subject, ...]]:
    """The images of these services without passes, each with its smoke, while the project is held.
    `platform`, and what it raises: as above.
    """
    with workbench(project, services, console, install=install, platform=platform) as bench:
        yield bench.subjects


def without_passes(
    site: Site, services: tuple[str, ...], *, checks: bool = True, platform: str = ""
) -> tuple[Built, ...]:
    """Build these services without any pass, and run their checks. Nobody pushes these images, so
    nothing is compressed. Raises BuildError and CheckError.
    """
    names = {name: staged(site.plan, name, site.around.checkout, "unpruned") for name in services}
    sets = passes_sets(site, UNPRUNED, unpruned(site.plan))
    options = BakeOptions(names=names, sets=sets, platform=platform, compression="uncompressed")
    result = bake(site, services, options, checks=checks)
    return built_in_engine(result.left, result)


def weights_mounted(site: Site, services: tuple[str, ...], platform: str = "") -> Plan:
    """The plan with the volumes that these services mount, for which their images are built."""
    names = site.plan.with_weights(services)[len(services) :]
    if not names:
        return site.plan
    result = bake(site, names, BakeOptions(platform=platform), checks=False)
    images = {each.name: each.image for each in built_in_engine(result.left, result)}
    return mounted(site.plan, images, services)


def passes_sets(site: Site, folder: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """The overrides by which a bake tells steps that install these texts instead of what is
    generated. `folder`: of the workspace, where they go.
    """
    for name, text in texts.items():
        site.workspace.write_text(f"{folder}/{name}", text)
    # none where no service has packages
    return (f"inside.contexts.passes={FOLDER}/{folder}",) if texts else ()


def unpruned_layer(plan: Plan, subject: Subject, layer: str) -> str:
    """The digest of one layer of packages in an image without passes; "" where the engine's history
    does not tell.
    """
    installing = [
        t.name for t in plan.held((subject.service,)) if t.kind in ("base", "service") and t.lock
    ]
    try:
        history = docker.image_history(subject.image)
    except SetupError:  # of another platform: Docker 26 weighs each layer, and has unpacked none
        return ""
    steps = [
        step for step in reversed(history) if step.startswith(("RUN ", "COPY ", "ADD ", "WORKDIR "))
    ]
    layers = docker.engine_image(subject.image).layers
    of_steps = zip(steps, layers, strict=False)
    installs = [diff for step, diff in of_steps if "/build.pyz install" in step]
    return (
        installs[installing.index(layer)]
        if len(steps) == len(layers) and len(installs) == len(installing)
        else ""
    )
