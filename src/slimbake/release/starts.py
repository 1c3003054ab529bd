"""Start checks: each image that was built is started, before anything of it has a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slimbake import docker
from slimbake.checks.mounts import mounted
from slimbake.checks.start import StartFound, company, starts
from slimbake.config.files import own_compose
from slimbake.docker.beside import own_services
from slimbake.docker.engine import DockerEngine
from slimbake.externals.beside import beside_images, lacking, pull
from slimbake.host import kernel
from slimbake.host.workspace import Workspace
from slimbake.inside import zipapp
from slimbake.inside.check.turn import NEEDS
from slimbake.plan.model import CHECKS, Plan, Running
from slimbake.release.command import staged
from slimbake.release.site import Site, built_for

HELD = "starts"  # in the workspace: the start checks that held
START = "start"
BY_ENGINE = "engine-start"  # of an image without Python
NAMED = 5  # services that a line names
_KEPT = 1000
_SPARE = 1  # start checks beside one for each core: some wait for files


@dataclass(frozen=True, slots=True)
class Starts:
    """What came of the start checks of a bake."""

    failed: Mapping[str, str]  # service -> why it does not start
    # the services that do, now or before, and the name of the check that says so
    started: Mapping[str, str]
    ran: frozenset[str] = frozenset()  # the services that were started now


@dataclass(frozen=True, slots=True)
class Checks:
    """Of an image: the checks that it has passed, those of them that ran in this bake, and those
    that it lacks.
    """

    passed: tuple[str, ...]
    ran: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def start_checks(
    site: Site,
    plan: Plan,
    images: Mapping[str, str],
    platform: str,
    elsewhere: Mapping[str, str] = {},
) -> Starts:
    """Start the images of these services, each for the platforms that it was built for.

    `plan`: with the volumes that they mount; `images`: service -> the engine's id; `platform`: the
    only one that was built for, if any; `elsewhere`: target -> id or REPOSITORY@DIGEST of others,
    which may have to start beside them. An image that has started here is not started again. Raises
    SetupError.
    """
    workspace = site.workspace
    others = _others(site, plan, images, platform, elsewhere)
    plan, image_of = mounted(plan, others, others), {**others, **images}
    ways, keys = _ways(workspace), _keys(site, plan, images, platform, image_of)
    jobs = list(keys)
    new = [job for job in jobs if keys[job] not in ways]
    results = _all_started(site, plan, new, image_of) if new else ()
    passed = {
        keys[job]: BY_ENGINE if one.by_engine else START
        for job, one in zip(new, results, strict=True)
        if one.why == ""
    }
    ways |= passed
    for warning in dict.fromkeys(one.warning for one in results if one.warning):
        site.console.say(warning)
    if passed:
        workspace.write(HELD, [f"{key} {way}" for key, way in ways.items()][-_KEPT:])
    outcomes = [(job[0].service, one.why) for job, one in zip(new, results, strict=True)]
    without = {name for name, why in outcomes if why or why is None}
    started = {job[0].service: ways[keys[job]] for job in jobs if job[0].service not in without}
    ran = frozenset(name for name, why in outcomes if why is not None)
    return Starts({name: why for name, why in outcomes if why}, started, ran)


def _others(
    site: Site,
    plan: Plan,
    images: Mapping[str, str],
    platform: str,
    elsewhere: Mapping[str, str],
) -> dict[str, str]:
    """The engine's image of each service that start checks of these need beside them and that was
    not built with them, and of the weights that it mounts: where that is known, the one that a
    registry has, else the last one that was built here.
    """
    services = (service for service in plan.services if service.service in images)
    others = {
        neighbour
        for one in services
        for neighbour in plan.company(one)
        if neighbour.service not in images
    }
    names = {name for other in others for name in (other.service, other.weights) if name}
    there = {
        name: docker.pull_image(at, platform) if "@" in (at := elsewhere[name]) else at
        for name in names & elsewhere.keys()
    }
    last = {name: staged(plan, name, site.around.checkout) for name in names - there.keys()}
    last_images = {name: docker.find_image(called) for name, called in last.items()}
    return there | {name: image.id for name, image in last_images.items() if image}


def _all_started(
    site: Site, plan: Plan, jobs: list[tuple[Running, str, str]], image_of: Mapping[str, str]
) -> tuple[StartFound, ...]:
    """What came of starting each of these images. `image_of`: service -> the engine's id."""
    steps = [" ".join(filter(None, (job[0].service, job[2]))) for job in jobs]
    named = ", ".join(steps) if len(steps) <= NAMED else f"{len(steps)} images"

    def run(one: tuple[Running, str, str]) -> StartFound:
        service, image, platform = one
        return starts(
            image,
            service,
            site.root,
            platform,
            company(plan, service, site.root, image_of, platform),
            site.console.say,
        )

    with site.console.tracked("start checks", line=f"starting {named}") as work:
        try:
            return work.each(run, zip(steps, jobs, strict=True), _at_once(site.engine))
        except BaseException:  # what still starts is nobody's any more
            docker.remove_owned(docker.of_this_process)
            raise


def _at_once(engine: DockerEngine) -> int:
    """How many start checks the engine's machine bears at once: as the builder bears smokes."""
    memory = min(engine.memory, kernel.memory() or engine.memory)
    return max(1, min(engine.cores + _SPARE, memory // NEEDS))


def checks_of(
    plan: Plan,
    service: str,
    starts: Starts,
    scanned: bool,
    ran: Collection[str],
    empty: Collection[str] = (),
) -> Checks:
    """The checks of an image of a service that is tagged. `ran`: the targets of which a step ran;
    `empty`: the services with an empty smoke.
    """
    targets = [target for target in plan.targets if target.service == service]
    start, kinds = starts.started.get(service, ""), {target.kind for target in targets}
    checks = (start, *(kind for kind in CHECKS if kind in kinds), "scan" if scanned else "")
    passed = tuple(filter(None, checks))
    new = {"scan", *(start for name in starts.ran if name == service)}
    new |= {target.kind for target in targets if target.name in ran}
    missing = (*(() if start else (START,)), *(() if "smoke" in passed else ("smoke",)))
    return Checks(
        tuple(f"{k}: empty" if k == "smoke" and service in empty else k for k in passed),
        tuple(kind for kind in passed if kind in new),
        missing,
    )


def pull_beside(site: Site, services: Collection[str]) -> None:
    """Before anything is built, have the engine pull what start checks of these services need of
    the repository's own compose file.

    Raises SetupError.
    """
    selected = (service for service in site.plan.services if service.service in services)
    needs = {
        running.service: names for running in selected if (names := site.plan.needs_beside(running))
    }
    if needs:
        file = site.root / own_compose(site.root).name
        pull(lacking(beside_images(file, own_services(file), needs)), site.console)


def _ways(workspace: Workspace) -> dict[str, str]:
    """The start checks that held, and how each was made."""
    return workspace.read(HELD, lambda kept: dict(line.split() for line in kept)) or {}


def _keys(
    site: Site, plan: Plan, images: Mapping[str, str], platform: str, image_of: Mapping[str, str]
) -> dict[tuple[Running, str, str], str]:
    """The start checks of these images, and under what each is kept. `image_of`: those of what may
    start beside them, too.
    """
    running = {service.service: service for service in plan.services}
    text = own_compose(site.root).text

    def beside(service: Running) -> tuple[Any, ...]:
        """What decides what is started beside it."""
        others = [
            (asdict(neighbour), image_of.get(neighbour.service))
            for neighbour in plan.company(service)
        ]
        return (text, others) if service.start.beside or others else ()

    return {
        (service, image, foreign): _key(service, image, foreign, beside(service))
        for name, image in images.items()
        if (service := running[name]).start.how != "none"
        for foreign in _platforms(site, name, platform)
    }


def _platforms(site: Site, name: str, platform: str) -> Iterable[str]:
    """Those that an image is started for; "" for the engine's own.

    Where the engine has no containerd store, each platform is another image, of which the release
    knows one: its own, if there is one.
    """
    every = {platform} if platform else built_for(site.plan, (site.plan.target(name),))
    platforms = sorted(
        "" if candidate == site.engine.platform else candidate for candidate in every
    )
    return platforms if site.engine.store == "containerd" else platforms[:1]


def _key(service: Running, image: str, platform: str, beside: tuple[Any, ...]) -> str:
    inputs = (asdict(service), image, platform, beside, hashlib.sha256(zipapp("check")).hexdigest())
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
