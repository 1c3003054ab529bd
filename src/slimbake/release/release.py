"""From a project to released images: the one way, wherever it is built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from textwrap import indent

from slimbake import docker
from slimbake.checks.mounts import mounted
from slimbake.checks.smokes import known_smokes
from slimbake.config.model import Scan
from slimbake.console import Console
from slimbake.errors import (
    BuildError,
    CheckError,
    SetupError,
    SlimbakeError,
    UsageError,
    together,
)
from slimbake.images.measure import measure_images
from slimbake.images.sizes import Measurement
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.registry.address import is_loopback
from slimbake.release.budget import over_budget
from slimbake.release.inputs import registry_fingerprints
from slimbake.release.layers import found_layers
from slimbake.release.on_registry import OnRegistry, on_registry, released_images, retag
from slimbake.release.place import (
    BakeRequest,
    BuildPlace,
    BuiltImage,
    BuiltImages,
    place_of,
    reference,
)
from slimbake.release.publish import Documents, publish, sboms
from slimbake.release.scan import Scans, scanner_here, scans
from slimbake.release.site import Site, hold
from slimbake.release.starts import Checks, Starts, checks_of, pull_beside, start_checks


@dataclass(frozen=True, slots=True)
class Released:
    """What was released, and what was not."""

    measurement: Measurement  # of what was built, or unchanged
    on_registry: tuple[OnRegistry, ...] = ()  # and not built
    built: frozenset[str] = frozenset()  # of what was measured: a step of it ran
    unchanged: frozenset[str] = frozenset()  # likewise: not built at all; the rest is from cache
    # target -> REPOSITORY:TAG, of all that got its name
    names: Mapping[str, str] = field(default_factory=dict)
    # target -> REPOSITORY@DIGEST, of what the registry has now
    pushed: Mapping[str, str] = field(default_factory=dict)
    # target -> why it got no name
    failures: Mapping[str, SlimbakeError] = field(default_factory=dict)
    checks: Mapping[str, Checks] = field(default_factory=dict)  # of each service's image

    @property
    def failure(self) -> BuildError | CheckError | None:
        """All that failed as one error, with what was tagged and what was not; None where all held."""
        if not self.failures:
            return None
        reasons = tuple(dict.fromkeys(self.failures.values()))
        tagged = ", ".join(self.names) or "none"
        failed = ", ".join(self.failures)
        return together(reasons, f"tagged all the same: {tagged}\nnot tagged: {failed}")

    def expect_all(self) -> None:
        """Raise BuildError or CheckError with all that failed."""
        if failure := self.failure:
            raise failure


def release(project: Project, request: BakeRequest, console: Console) -> Released:
    """Bring locks and generated files up to date, build, check, measure, and only then tag and
    push.

    What fails while the rest is released is in the result (`expect_all`): with
    `request.keep_going`. Raises SetupError, StaleFiles, UsageError, BuildError
    and CheckError; whichever it is, no tag of anything that failed has moved, and the same command
    goes on from there.
    """
    request = replace(request, targets=project.plan.with_weights(request.targets))
    with hold(
        project,
        console,
        request.targets,
        frozen=request.frozen,
        pushed=request.pushed,
        platform=request.platform,
    ) as site:
        place = place_of(site, request)
        if request.push:
            _refuse_standins(site, request.registry)
        scan = _scan(site, request)  # a missing scanner is an error before anything is built
        if not request.missing:
            _pull_beside(site, request)
        fingerprints: Mapping[str, str] = {}
        if request.push and not request.sets:  # what --set changes is in no fingerprint
            fingerprints = registry_fingerprints(site, request.platform)
        found = _found(site, request, fingerprints)
        finished = {*request.pushed, *(image.target for image in found)}
        rest = tuple(name for name in request.targets if name not in finished)
        if not request.push:  # nothing here has what other jobs pushed, to give it a name
            request = replace(request, targets=rest)
        site = site.with_pushed(_shared(site.plan, found))
        if request.take_layers:
            site = site.with_pushed(found_layers(site, rest, request))
        site = site.stocked(rest)
        build = place.make(site, rest, request) if rest else BuiltImages()
        return _released(site, place, request, found, build, fingerprints, scan)


def _refuse_standins(site: Site, registry: str) -> None:
    """Raises UsageError where images that were made with stand-ins would leave this machine."""
    if site.around.standins and not is_loopback(registry):
        raise UsageError(
            f"images made with stand-ins ({', '.join(site.around.standins)}) are not pushed to"
            f" {registry}",
            "push from a machine that reaches the externals' registries, or to a registry on"
            " loopback",
        )


def _scan(site: Site, request: BakeRequest) -> Scan | None:
    """The scan to run: none where the manifest asks for none, or no service is released; where
    nothing is pushed, none without a scanner. Raises SetupError for a push without one.
    """
    scan = site.project.manifest.scan
    if not scan or not site.plan.running(request.targets):
        return None
    if scanner_here(scan, required=request.push):
        return scan
    site.console.say(f"not scanned: {scan.scanner} is not on PATH")
    return None


def _pull_beside(site: Site, request: BakeRequest) -> None:
    """Have what start checks need beside services before anything is built. Raises SetupError for
    what cannot be had, unless the rest is released all the same: the start check fails then.
    """
    try:
        pull_beside(site, request.targets)
    except SetupError as error:
        if not request.keep_going:
            raise
        site.console.say(f"{error.message}\n{error.hint}".rstrip())


def _found(
    site: Site, request: BakeRequest, fingerprints: Mapping[str, str]
) -> tuple[OnRegistry, ...]:
    """What the registry has, and is only tagged: with `request.missing` what it has for the same
    inputs, and what other jobs have pushed.
    """
    pushed = {name: request.pushed[name] for name in request.targets if name in request.pushed}
    images: tuple[OnRegistry, ...] = ()
    if request.missing:
        unpushed = [name for name in request.targets if name not in pushed]
        images = offered(site, unpushed, request.registry, fingerprints)
    if pushed and request.push:
        hint = "`slimbake ci shared` pushes them"
        images += released_images(pushed, site.around.ca_bundle, hint=hint)
    return images


def offered(
    site: Site, targets: Iterable[str], registry: str, fingerprints: Mapping[str, str]
) -> tuple[OnRegistry, ...]:
    """The images of these targets that a registry has for these fingerprints. Prints which, and
    doubts.
    """
    ca_bundle = site.around.ca_bundle
    images = on_registry(site.plan, targets, fingerprints, registry, site.console, ca_bundle)
    if images:
        site.console.say(f"on the registry: {', '.join(image.target for image in images)}")
    return images


def _shared(plan: Plan, found: Iterable[OnRegistry]) -> dict[str, str]:
    """Those of these images that services are built on: target -> REPOSITORY@DIGEST."""
    return {image.target: image.reference for image in found if plan.target(image.target).shared}


class _Candidates:
    """The images that may be tagged: those that were built, and those that the registry has.

    `failures` maps each target that is left out to the reason.
    """

    def __init__(self, build: BuiltImages, found: tuple[OnRegistry, ...], keep_going: bool) -> None:
        self.failures: dict[str, SlimbakeError] = dict(build.failures)
        self._built, self._found, self._keep_going = build.images, found, keep_going

    @property
    def built(self) -> tuple[BuiltImage, ...]:
        return tuple(image for image in self._built if image.name not in self.failures)

    @property
    def on_registry(self) -> tuple[OnRegistry, ...]:
        return tuple(image for image in self._found if image.target not in self.failures)

    def refuse(self, reasons: Mapping[str, str], check: str = "") -> None:
        """Leave out the images that failed a check: target -> the reason.

        Raises CheckError, which begins with `check`, unless the rest is released all the same.
        """
        if reasons and not self._keep_going:
            text = "\n".join(reasons.values())
            if check:
                text = f"{check}; no tag has moved\n{indent(text, '  ')}"
            raise CheckError(text)
        for name, reason in reasons.items():
            self.failures[name] = CheckError(reason)


def _released(
    site: Site,
    place: BuildPlace,
    request: BakeRequest,
    found: tuple[OnRegistry, ...],
    build: BuiltImages,
    fingerprints: Mapping[str, str],
    scan: Scan | None,
) -> Released:
    """Start what was built, measure it, hold it to its budgets, then tag and push it."""
    candidates = _Candidates(build, found, request.keep_going)
    starts, measurement = _started(site, request, candidates, build, fingerprints)
    over = over_budget(site.plan, _without(measurement, candidates.failures))
    candidates.refuse(over, "over budget")
    documents, scanned = _scanned(site, request, candidates, scan)
    candidates.refuse(scanned.refused, "the scan stops the release")
    _refuse_together(site.plan, request.targets, candidates.failures)

    names = _names(site.plan, request, candidates)
    _tag(candidates.built, names)
    pushed = {image.target: image.reference for image in candidates.on_registry}
    if request.push:
        unedited = _unedited(site, request, fingerprints)
        pushed |= publish(site, place, candidates.built, names, request, documents, unedited)
        retag(candidates.on_registry, names, site.around.ca_bundle)

    failures = candidates.failures
    return Released(
        measurement=measurement,
        on_registry=candidates.on_registry,
        built=_built(site.plan, build),
        unchanged=build.unchanged,
        names=names,
        pushed=pushed,
        failures={name: failures[name] for name in request.targets if name in failures},
        checks=_checks(site, candidates, starts, scanned.done, build.ran),
    )


def _started(
    site: Site,
    request: BakeRequest,
    candidates: _Candidates,
    build: BuiltImages,
    fingerprints: Mapping[str, str],
) -> tuple[Starts, Measurement]:
    """Start the images of services that were built, and measure all images meanwhile.

    Images that do not start are no candidates any more. Raises CheckError and SetupError.
    """
    plan = site.plan
    images = {}
    available = dict(request.pushed)
    for found in candidates.on_registry:
        available[found.target] = found.reference
    for image in build.images:
        available[image.name] = image.image or image.pushed
        if image.image and plan.target(image.name).released:
            images[image.name] = image.image
    services = {running.service: images[running.service] for running in plan.running(images)}
    mounting = mounted(plan, available, services)
    elsewhere = _beside(site, request, services, available, fingerprints) | available

    with ThreadPoolExecutor(1) as background:  # sizes are measured while services start
        measuring = background.submit(measure_images, images, site.workspace, build.layouts)
        starts = start_checks(site, mounting, services, request.platform, elsewhere)
        reasons = {}
        for name, why in starts.failed.items():
            why = indent(why, "  ")
            reasons[name] = f"the start check of {name} failed; its tag stays where it was\n{why}"
        candidates.refuse(reasons)
        with site.console.tracked("measure") as work, work.step(f"{len(images)} images"):
            return starts, measuring.result()


def _scanned(
    site: Site, request: BakeRequest, candidates: _Candidates, scan: Scan | None
) -> tuple[Documents, Scans]:
    """Make the SBOMs that a push or a scan needs, and scan them."""
    documents: Documents = {}
    if request.push or scan:
        documents = sboms(site, candidates.built, request.platform)
    if scan is None:
        return documents, Scans({})
    images = candidates.built
    return documents, scans(site, scan, images, documents, candidates.on_registry)


def _beside(
    site: Site,
    request: BakeRequest,
    services: Collection[str],
    available: Collection[str],
    fingerprints: Mapping[str, str],
) -> dict[str, str]:
    """What the registry has of the services that start checks of these start beside them, and that
    this bake does not have: where jobs build the changed ones alone, nothing here has the others.
    """
    names: set[str] = set()
    for service in site.plan.running(services):
        names.update(neighbour.service for neighbour in site.plan.company(service))
    names.difference_update(available)
    if not names or not fingerprints:
        return {}
    images = on_registry(
        site.plan,
        sorted(names),
        fingerprints,
        request.registry,
        site.console,
        site.around.ca_bundle,
    )
    return {image.target: image.reference for image in images}


def _without(measurement: Measurement, names: Collection[str]) -> Measurement:
    images = tuple(image for image in measurement.images if image.name not in names)
    return replace(measurement, images=images)


def _refuse_together(
    plan: Plan, targets: Collection[str], failures: dict[str, SlimbakeError]
) -> None:
    """Add to the failures those of these targets that share weights with one that failed.

    Where one service does not hold with the weights that it mounts, the weights and the others that
    mount them wait with it for better ones.
    """
    mounting = []
    for service in plan.running(targets):
        if service.weights in targets:
            mounting.append(service)
    reasons = {}
    for service in mounting:
        for name in (service.weights, service.service):
            if name in failures:
                reasons[service.weights] = failures[name]
    for service in mounting:
        if service.weights in reasons:
            for name in (service.weights, service.service):
                failures.setdefault(name, reasons[service.weights])


def _names(plan: Plan, request: BakeRequest, candidates: _Candidates) -> dict[str, str]:
    """The names that the candidates get: target -> REPOSITORY:TAG, in the plan's order."""
    passed = {image.name for image in candidates.built}
    passed.update(image.target for image in candidates.on_registry)
    return {
        target.name: reference(target, request.registry, request.tag)
        for target in plan.targets
        if target.name in passed
    }


def _tag(images: tuple[BuiltImage, ...], names: Mapping[str, str]) -> None:
    """Move the engine's tags to exactly what was built and checked."""
    for image in images:
        if image.image and names[image.name] not in image.names:
            docker.tag_image(image.image, names[image.name])


def _unedited(site: Site, request: BakeRequest, before: Mapping[str, str]) -> dict[str, str]:
    """The fingerprints that still hold: what was edited meanwhile may or may not be in its image."""
    if not before:
        return {}
    now = registry_fingerprints(site, request.platform)
    return {name: value for name, value in before.items() if now.get(name) == value}


def _built(plan: Plan, build: BuiltImages) -> frozenset[str]:
    """The images of which a step ran, or of a target that they need."""
    names: set[str] = set()
    for image in build.images:
        if image.name in build.unchanged or not plan.target(image.name).released:
            continue
        if any(target.name in build.ran for target in plan.needed((image.name,))):
            names.add(image.name)
    return frozenset(names)


def _checks(
    site: Site,
    candidates: _Candidates,
    starts: Starts,
    scanned: Collection[str],
    ran: Collection[str],
) -> dict[str, Checks]:
    """The checks of each service's image that was built and is tagged."""
    smokes = known_smokes(site.workspace, site.root, site.plan.targets)
    empty = {service for service, is_empty in smokes.items() if is_empty}
    checks = {}
    for service in site.plan.running([image.name for image in candidates.built if image.image]):
        name = service.service
        checks[name] = checks_of(site.plan, name, starts, name in scanned, ran, empty)
    return checks
