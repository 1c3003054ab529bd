"""From a project to released images: the one way, wherever it is built."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
from slimbake.release.publish import publish, sboms
from slimbake.release.scan import Scans, scanner_here, scans
from slimbake.release.site import Site, hold
from slimbake.release.starts import Checks, checks_of, pull_beside, start_checks


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
        tagged, failed = ", ".join(self.names) or "none", ", ".join(self.failures)
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
        # what --set changes is in no fingerprint
        marked = request.push and not request.sets
        fingerprints = registry_fingerprints(site, request.platform) if marked else {}
        on_registries = _held(site, request, fingerprints)
        there = {*request.pushed, *(image.target for image in on_registries)}
        if not request.push:  # nothing here has what other jobs pushed, to give it a name
            remaining = tuple(name for name in request.targets if name not in there)
            request = replace(request, targets=remaining)
        rest = tuple(name for name in request.targets if name not in there)
        shared = {i.target: i.reference for i in on_registries if site.plan.target(i.target).shared}
        site = site.standing_on(shared)
        if request.take_layers:
            site = site.standing_on(found_layers(site, rest, request))
        site = site.stocked(rest)
        build = place.make(site, rest, request) if rest else BuiltImages()
        return _released(site, place, request, on_registries, build, fingerprints, scan)


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


def _held(
    site: Site, request: BakeRequest, fingerprints: Mapping[str, str]
) -> tuple[OnRegistry, ...]:
    """What the registry has, and is only tagged: with `request.missing` what it has for the same
    inputs, and what other jobs have pushed.
    """
    ca_bundle = site.around.ca_bundle
    pushed = {name: request.pushed[name] for name in request.targets if name in request.pushed}
    others: tuple[OnRegistry, ...] = ()
    if pushed and request.push:
        others = released_images(pushed, ca_bundle, hint="`slimbake ci shared` pushes them")
    if not request.missing:
        return others
    unpushed = [name for name in request.targets if name not in pushed]
    return (*offered(site, unpushed, request.registry, fingerprints), *others)


def offered(
    site: Site,
    targets: Collection[str],
    registry: str,
    fingerprints: Mapping[str, str] | None = None,
) -> tuple[OnRegistry, ...]:
    """The images of these targets that a registry has for these fingerprints, those of now if none
    are given. Doubts are said.
    """
    inputs = registry_fingerprints(site) if fingerprints is None else fingerprints
    on_registries = on_registry(
        site.plan, targets, inputs, registry, site.console, ca_bundle=site.around.ca_bundle
    )
    if on_registries:
        site.console.say(f"on the registry: {', '.join(image.target for image in on_registries)}")
    return on_registries


def _released(
    site: Site,
    place: BuildPlace,
    request: BakeRequest,
    on_registry_images: tuple[OnRegistry, ...],
    build: BuiltImages,
    fingerprints: Mapping[str, str],
    scan: Scan | None,
) -> Released:
    """Start what was built, measure it, hold it to its budgets, then tag and push it."""
    plan = site.plan
    images = {i.name: i.image for i in build.images if plan.target(i.name).released and i.image}
    ids = {name: image for name, image in images.items() if plan.target(name).kind == "service"}
    weights = {
        **request.pushed,
        **{i.target: i.reference for i in on_registry_images},
        **{i.name: i.image or i.pushed for i in build.images},
    }
    plan = mounted(plan, weights, ids)
    beside = {**_beside(site, request, ids, weights, fingerprints), **weights}
    with ThreadPoolExecutor(1) as background:  # sizes are measured while services start
        measured = background.submit(measure_images, images, site.workspace, build.layouts)
        starts = start_checks(site, plan, ids, request.platform, beside)
        failed = {
            name: f"the start check of {name} failed; its tag stays where it was\n{indent(why, '  ')}"
            for name, why in starts.failed.items()
        }
        if failed and not request.keep_going:
            raise CheckError("\n".join(failed.values()))
        with site.console.tracked("measure") as work, work.step(f"{len(images)} images"):
            measurement = measured.result()
    alive = tuple(image for image in measurement.images if image.name not in failed)
    over = over_budget(plan, replace(measurement, images=alive))
    _expect_none(over, "over budget", request)
    failed |= over
    good = tuple(image for image in build.images if image.name not in failed)
    documents = sboms(site, good, request.platform) if request.push or scan else {}
    scanned = scans(site, scan, good, documents, on_registry_images) if scan else Scans({})
    _expect_none(scanned.refused, "the scan stops the release", request)
    failed |= scanned.refused
    checked = {*(image.name for image in good), *(image.target for image in on_registry_images)} - {
        *failed
    }
    failures = {**build.failures, **{name: CheckError(why) for name, why in failed.items()}}
    failures |= _harmed(plan, request.targets, failures)
    passed = checked - failures.keys()
    good = tuple(image for image in good if image.name in passed)
    on_registry_images = tuple(image for image in on_registry_images if image.target in passed)
    names = {
        target.name: reference(target, request.registry, request.tag)
        for target in plan.targets
        if target.name in passed
    }
    pushed = {image.target: image.reference for image in on_registry_images}
    _tag(good, names)
    if request.push:
        pushed |= publish(
            site,
            place,
            good,
            names,
            request,
            documents,
            fingerprints=_unedited(site, request, fingerprints),
        )
        retag(on_registry_images, names, site.around.ca_bundle)
    smokes = known_smokes(site.workspace, site.root, plan.targets)
    return Released(
        measurement=measurement,
        on_registry=on_registry_images,
        built=_built(plan, build),
        unchanged=build.unchanged,
        names=names,
        pushed=pushed,
        failures={name: failures[name] for name in request.targets if name in failures},
        checks={
            name: checks_of(
                plan,
                name,
                starts,
                name in scanned.done,
                build.ran,
                {smoke for smoke in smokes if smokes[smoke]},
            )
            for name in ids
            if name in names
        },
    )


def _built(plan: Plan, build: BuiltImages) -> frozenset[str]:
    """The images of which a step ran, be it in what they stand on."""
    return frozenset(
        image.name
        for image in build.images
        if plan.target(image.name).released and image.name not in build.unchanged
        if build.ran & {target.name for target in plan.needed((image.name,))}
    )


def _unedited(site: Site, request: BakeRequest, before: Mapping[str, str]) -> dict[str, str]:
    """The fingerprints that still hold: what was edited meanwhile may or may not be in its image."""
    after = registry_fingerprints(site, request.platform) if before else {}
    return {name: value for name, value in before.items() if after.get(name) == value}


def _beside(
    site: Site,
    request: BakeRequest,
    images: Mapping[str, str],
    available: Collection[str],
    fingerprints: Mapping[str, str],
) -> dict[str, str]:
    """What the registry has of the services that start checks of these start beside them, and that
    this bake does not have: where jobs build the changed ones alone, nothing here has the others.
    """
    baked = (service for service in site.plan.services if service.service in images)
    names = {neighbour.service for one in baked for neighbour in site.plan.company(one)} - {
        *available
    }
    if not names or not fingerprints:
        return {}
    on_registries = on_registry(
        site.plan,
        sorted(names),
        fingerprints,
        request.registry,
        site.console,
        ca_bundle=site.around.ca_bundle,
    )
    return {image.target: image.reference for image in on_registries}


def _harmed(
    plan: Plan, targets: tuple[str, ...], failures: Mapping[str, SlimbakeError]
) -> dict[str, SlimbakeError]:
    """Of these targets, those that have a part in what failed: where one service does not hold with
    the weights that it mounts, others wait with it for better ones. Each with the reason.
    """
    mounts = {s.service: s.weights for s in plan.services if {s.service, s.weights} <= {*targets}}
    reasons = {}
    for service, weights in mounts.items():
        for name in (weights, service):
            if name in failures:
                reasons[weights] = failures[name]
    for service, weights in mounts.items():
        if weights in reasons:
            reasons[service] = reasons[weights]
    return {name: error for name, error in reasons.items() if name not in failures}


def _scan(site: Site, request: BakeRequest) -> Scan | None:
    """The scan to run: none where the manifest asks for none, or no service is released; where
    nothing is pushed, none without a scanner. Raises SetupError for a push without one.
    """
    scan = site.project.manifest.scan
    if not scan or not any(site.plan.target(n).kind == "service" for n in request.targets):
        return None
    if scanner_here(scan, required=request.push):
        return scan
    site.console.say(f"not scanned: {scan.scanner} is not on PATH")
    return None


def _expect_none(failed: Mapping[str, str], why: str, request: BakeRequest) -> None:
    """Raise CheckError for what failed, unless the rest is released all the same."""
    if failed and not request.keep_going:
        lines = "\n".join(failed.values())
        raise CheckError(f"{why}; no tag has moved\n{indent(lines, '  ')}")


def _tag(images: tuple[BuiltImage, ...], names: Mapping[str, str]) -> None:
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
