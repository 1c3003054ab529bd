"""Start checks: each image that was built is started, before anything of it has a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class _StartCheck:
    """The start check of an image for one platform."""

    service: Running
    image: str
    platform: str  # "" = the engine's own
    key: str  # of all that its outcome depends on

    @property
    def name(self) -> str:
        return self.service.service

    @property
    def title(self) -> str:
        return f"{self.name} {self.platform}".rstrip()


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
    others = _others(site, plan, images, platform, elsewhere)
    plan = mounted(plan, others, others)
    image_of = {**others, **images}
    checks = _start_checks(site, plan, images, platform, image_of)
    ways = _ways(site.workspace)
    new = [check for check in checks if check.key not in ways]
    outcomes = _all_started(site, plan, new, image_of) if new else ()

    failed: dict[str, str] = {}
    ran = set()
    for check, outcome in zip(new, outcomes, strict=True):
        if outcome.why is None:  # it has no command
            continue
        ran.add(check.name)
        if outcome.why:
            failed[check.name] = outcome.why
        else:
            ways[check.key] = BY_ENGINE if outcome.by_engine else START
    # What several starts warn of is said once.
    for warning in dict.fromkeys(outcome.warning for outcome in outcomes):
        if warning:
            site.console.say(warning)
    if ran:
        lines = [f"{key} {way}" for key, way in ways.items()]
        site.workspace.write(HELD, lines[-_KEPT:])

    # An image is proven once it starts for each of its platforms.
    started = {check.name: ways.get(check.key, "") for check in checks}
    for check in checks:
        if check.key not in ways:
            started.pop(check.name, None)
    return Starts(failed, started, frozenset(ran))


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
    names: dict[str, None] = {}
    for service in plan.running(images):
        for neighbour in plan.company(service):
            if neighbour.service in images:
                continue
            names[neighbour.service] = None
            if neighbour.weights:
                names[neighbour.weights] = None
    image_of = {}
    for name in names:
        image = elsewhere.get(name, "")
        if "@" in image:
            image = docker.pull_image(image, platform)
        if not image:
            last = docker.find_image(staged(plan, name, site.around.checkout))
            image = last.id if last else ""
        if image:
            image_of[name] = image
    return image_of


def _all_started(
    site: Site, plan: Plan, checks: Sequence[_StartCheck], image_of: Mapping[str, str]
) -> tuple[StartFound, ...]:
    """What came of starting each of these images. `image_of`: service -> the engine's id."""

    def start(check: _StartCheck) -> StartFound:
        neighbours = company(plan, check.service, site.root, image_of, check.platform)
        return starts(
            check.image, check.service, site.root, check.platform, neighbours, site.console.say
        )

    names = ", ".join(check.title for check in checks)
    if len(checks) > NAMED:
        names = f"{len(checks)} images"
    jobs = [(check.title, check) for check in checks]
    with site.console.tracked("start checks", line=f"starting {names}") as work:
        try:
            return work.each(start, jobs, _at_once(site.engine))
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
    target_of = {target.kind: target.name for target in plan.targets if target.service == service}
    passed = []
    new = []
    start = starts.started.get(service, "")
    if start:
        passed.append(start)
        if service in starts.ran:
            new.append(start)
    for kind in CHECKS:
        if kind in target_of:
            title = f"{kind}: empty" if kind == "smoke" and service in empty else kind
            passed.append(title)
            if target_of[kind] in ran:
                new.append(kind)
    if scanned:
        passed.append("scan")
        new.append("scan")
    missing = []
    if not start:
        missing.append(START)
    if "smoke" not in target_of:
        missing.append("smoke")
    return Checks(tuple(passed), tuple(new), tuple(missing))


def pull_beside(site: Site, services: Collection[str]) -> None:
    """Before anything is built, have the engine pull what start checks of these services need of
    the repository's own compose file.

    Raises SetupError.
    """
    needs = {}
    for running in site.plan.running(services):
        names = site.plan.needs_beside(running)
        if names:
            needs[running.service] = names
    if needs:
        file = site.root / own_compose(site.root).name
        pull(lacking(beside_images(file, own_services(file), needs)), site.console)


def _ways(workspace: Workspace) -> dict[str, str]:
    """The start checks that held, and how each was made."""
    return workspace.read(HELD, lambda kept: dict(line.split() for line in kept)) or {}


def _start_checks(
    site: Site, plan: Plan, images: Mapping[str, str], platform: str, image_of: Mapping[str, str]
) -> list[_StartCheck]:
    """The start checks of these images. `image_of`: those of what may start beside them, too."""
    compose = own_compose(site.root).text
    program = hashlib.sha256(zipapp("check")).hexdigest()
    checks = []
    for service in plan.running(images):
        if service.start.how == "none":
            continue
        image = images[service.service]
        neighbours = plan.company(service)
        beside: tuple[Any, ...] = ()
        if service.start.beside or neighbours:
            beside = (compose, [(asdict(one), image_of.get(one.service)) for one in neighbours])
        for foreign in _platforms(site, service.service, platform):
            inputs = (asdict(service), image, foreign, beside, program)
            key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
            checks.append(_StartCheck(service, image, foreign, key))
    return checks


def _platforms(site: Site, name: str, platform: str) -> Sequence[str]:
    """Those that an image is started for; "" for the engine's own.

    Where the engine has no containerd store, each platform is another image, of which the release
    knows one: its own, if there is one.
    """
    built = built_for(site.plan, (site.plan.target(name),), platform)
    if site.engine.platform in built:
        built = built - {site.engine.platform} | {""}
    platforms = sorted(built)
    if site.engine.store == "containerd":
        return platforms
    return platforms[:1]
