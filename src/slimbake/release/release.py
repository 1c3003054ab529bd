"""From a project to released images: the one way, wherever it is built."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from slimbake import docker
from slimbake.checks.mounts import mounted
from slimbake.config.model import Scan
from slimbake.console import Console
from slimbake.errors import CheckError, SlimbakeError, UsageError, together
from slimbake.images.measure import measure_images
from slimbake.images.sizes import Measurement
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.registry.address import is_loopback
from slimbake.release.budget import over_budget
from slimbake.release.known import RegistryOffer, offered, unedited
from slimbake.release.on_registry import OnRegistry, on_registry, pushed_images, retag
from slimbake.release.place import BakeRequest, Built, Made, Place, place_of, reference
from slimbake.release.publish import publish, sboms
from slimbake.release.scan import Scans, scanner_here, scans
from slimbake.release.site import Preparation, Site, hold
from slimbake.release.starts import checks_of, pull_beside, start_checks
from slimbake.release.warm import first_lists, say_cold


@dataclass(frozen=True, slots=True)
class Released:
    """What was released, and what was not."""

    measurement: Measurement  # of the services that were built
    on_registry: tuple[OnRegistry, ...] = ()  # and not built
    # target -> REPOSITORY:TAG, of all that got its name
    names: Mapping[str, str] = field(default_factory=dict)
    # target -> REPOSITORY@DIGEST, of what the registry has now
    pushed: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[str, ...] = ()  # the targets that got no name
    failures: tuple[SlimbakeError, ...] = ()
    # service -> the checks that its image has passed, and those that it has not
    checks: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    def expect_all(self) -> None:
        """Raise BuildError or CheckError with all that failed."""
        if self.failures:
            names = ", ".join(self.names)
            raise together(self.failures, f"tagged all the same: {names}" if names else "")


def release(project: Project, request: BakeRequest, console: Console) -> Released:
    """Bring locks and generated files up to date, build, check, measure, and only then tag and
    push.

    What fails while the rest is released is in the result (`expect_all`): with
    `request.keep_going`. Raises SetupError, StaleFiles, UsageError, BuildError
    and CheckError; whichever it is, no tag of anything that failed has moved, and the same command
    goes on from there.
    """
    request = replace(request, targets=project.plan.with_weights(request.targets))
    wanted = Preparation(
        targets=request.targets,
        frozen=request.frozen,
        platform=request.platform,
        pushed=request.pushed,
    )
    with hold(project, wanted, console) as site:
        place = place_of(site, request)
        if request.push:
            _refuse_standins(site, request.registry)
        scan = _scan(site, request)  # a missing scanner is an error before anything is built
        if not request.keep_going and not request.missing:
            pull_beside(site, request.targets, request.platform)
        before = site.project.optimisation.warm.keys()
        site = first_lists(site, request)
        # what --set changes is in no fingerprint
        offer = _offer(site, request) if request.push and not request.sets else RegistryOffer()
        there = {name: request.pushed[name] for name in request.targets if name in request.pushed}
        if there and request.push:  # another job has pushed them, and they get the tag
            held = pushed_images(there, site.around.ca_bundle)
            offer = replace(offer, held=(*(i for i in offer.held if i.target not in there), *held))
        elif there:  # nothing here has them to give them a name
            others = tuple(name for name in request.targets if name not in there)
            request = replace(request, targets=others)
        rest = tuple(name for name in request.targets if name not in offer.targets)
        shared = {i.target: i.reference for i in offer.held if site.plan.target(i.target).shared}
        site = site.standing_on(shared).stocked(rest)
        made = place.make(site, rest, request) if rest else Made()
        if new := site.project.optimisation.warm.keys() - before:
            say_cold(site, made.images, new)
        return _released(site, place, request, offer, made, scan)


def _offer(site: Site, request: BakeRequest) -> RegistryOffer:
    return offered(
        site,
        request.targets,
        request.registry,
        platform=request.platform,
        ask=request.missing,
        provenance=site.provenance,
    )


def _released(
    site: Site,
    place: Place,
    request: BakeRequest,
    offer: RegistryOffer,
    made: Made,
    scan: Scan | None,
) -> Released:
    """Start what was built, measure it, hold it to its budgets, then tag and push it."""
    plan = site.plan
    images = {i.name: i.image for i in made.images if plan.target(i.name).released and i.image}
    ids = {name: image for name, image in images.items() if plan.target(name).kind == "service"}
    weights = {**request.pushed, **{i.target: i.reference for i in offer.held}}
    weights |= {i.name: i.image or i.pushed for i in made.images}
    plan = mounted(plan, weights, ids)
    there = {**_beside(site, request, offer, ids, weights), **weights}
    starts = start_checks(site, plan, ids, request.platform, there)
    dead = starts.failed
    if dead and not request.keep_going:
        raise CheckError("\n".join(map(_dead, dead.items())))
    with site.console.tracked("measure") as work, work.step(f"{len(images)} images"):
        measurement = measure_images(images, site.workspace, made.layouts)
    alive = tuple(each for each in measurement.images if each.name not in dead)
    over = over_budget(plan, replace(measurement, images=alive), site.workspace)
    if over and not request.keep_going:
        raise CheckError(_stopped("over budget", over))
    bad = {*dead, *over}
    good = tuple(image for image in made.images if image.name not in bad)
    documents = sboms(site, good, request.platform) if request.push or scan else {}
    scanned = scans(site, scan, good, documents, offer.held) if scan else Scans({})
    risky = scanned.refused
    if risky and not request.keep_going:
        raise CheckError(_stopped("the scan stops the release", risky))
    good = tuple(image for image in good if image.name not in risky)
    held = tuple(image for image in offer.held if image.target not in risky)
    apart = _apart(plan, request.targets, {*(i.name for i in good), *(i.target for i in held)})
    good = tuple(image for image in good if image.name in apart)
    held = tuple(image for image in held if image.target in apart)
    released = {image.name for image in good} | {image.target for image in held}
    names = {
        target.name: reference(target, request.registry, request.tag)
        for target in plan.targets
        if target.name in released
    }
    pushed = {image.target: image.reference for image in held}
    _tag(good, names)
    if request.push:
        marks = unedited(site, offer, request.platform)
        pushed |= publish(site, place, good, names, request, documents, marks)
        retag(held, names, site.around.ca_bundle)
    return Released(
        measurement=measurement,
        on_registry=held,
        names=names,
        pushed=pushed,
        failed=tuple(name for name in request.targets if name not in names),
        failures=(
            *made.failures,
            *(CheckError(_dead(each)) for each in dead.items()),
            *(CheckError(each) for each in over.values()),
            *(CheckError(each) for each in risky.values()),
        ),
        checks={
            name: checks_of(plan, name, starts.started.get(name, ""), name in scanned.done)
            for name in ids
            if name in names
        },
    )


def _beside(
    site: Site,
    request: BakeRequest,
    offer: RegistryOffer,
    images: Mapping[str, str],
    known: Collection[str],
) -> dict[str, str]:
    """What the registry has of the services that start checks of these start beside them, and that
    this bake does not have: where jobs build the changed ones alone, nothing here has the others.
    """
    asked = (each for each in site.plan.services if each.service in images)
    names = {each.service for one in asked for each in site.plan.company(one)} - {*known}
    if not names or not offer.fingerprints:
        return {}
    held = on_registry(
        site.plan,
        sorted(names),
        offer.fingerprints,
        request.registry,
        site.console,
        ca_bundle=site.around.ca_bundle,
    )
    return {image.target: image.reference for image in held}


def _apart(plan: Plan, asked: tuple[str, ...], held: Collection[str]) -> set[str]:
    """Of these targets, those that have no part in what failed: where one service does not hold with
    the weights that it mounts, others wait with it for better ones.
    """
    mounts = {s.service: s.weights for s in plan.services if {s.service, s.weights} <= {*asked}}
    harmed = {weights for service, weights in mounts.items() if not {service, weights} <= {*held}}
    return {name for name in held if name not in harmed and mounts.get(name) not in harmed}


def _scan(site: Site, request: BakeRequest) -> Scan | None:
    """The scan to run: none where the manifest asks for none, or no service is released; where
    nothing is pushed, none without a scanner. Raises SetupError for a push without one.
    """
    scan = site.project.manifest.scan
    services = any(site.plan.target(name).kind == "service" for name in request.targets)
    if not scan or not services:
        return None
    if scanner_here(scan, required=request.push):
        return scan
    site.console.say(f"not scanned: {scan.scanner} is not on PATH")
    return None


def _stopped(why: str, found: Mapping[str, str]) -> str:
    lines = "\n".join(found.values())
    return f"{why}; no tag has moved\n{_indented(lines)}"


def _dead(found: tuple[str, str]) -> str:
    name, why = found
    return f"the start check of {name} failed; its tag stays where it was\n{_indented(why)}"


def _indented(words: str) -> str:
    return "\n".join(f"  {line}" for line in words.splitlines())


def _tag(images: tuple[Built, ...], names: Mapping[str, str]) -> None:
    """Move the engine's tags to exactly what was built and checked."""
    for image in images:
        if image.image and names[image.name] not in image.names:
            docker.tag_image(image.image, names[image.name])


def _refuse_standins(site: Site, registry: str) -> None:
    """Raises UsageError where images that were made with stand-ins would leave this machine."""
    if site.around.standins and not is_loopback(registry):
        raise UsageError(
            f"images made with stand-ins ({', '.join(site.around.standins)}) are not pushed to"
            f" {registry}",
            "push from a machine that reaches the externals' registries, or to a registry on"
            " loopback",
        )
