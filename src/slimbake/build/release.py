"""From a manifest to tagged images: the stages in their order, as `slimbake bake` runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from slimbake import docker
from slimbake.build import bake
from slimbake.build.baked import Baked
from slimbake.build.budget import over_budget
from slimbake.build.command import Options, Surroundings
from slimbake.build.prepare import Prepared, prepared
from slimbake.build.publish import publish
from slimbake.build.record import keep_costs
from slimbake.build.registered import Registered
from slimbake.build.retag import Held, retag
from slimbake.config.model import Manifest
from slimbake.console import Console
from slimbake.errors import BuildError, CheckError, SetupError, UsageError
from slimbake.images.measured import known_layers, measure
from slimbake.images.sizes import Measurement
from slimbake.plan.model import Plan
from slimbake.registry.address import is_loopback

# Beside the manifest, ignored by Git: what images weigh, what they were built from, and how long
# that took.
MEASURED = ".slimbake/measured.json"
BAKED = ".slimbake/baked.json"
COSTS = ".slimbake/costs.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Under which names images are released, and how strict that is."""

    registry: str
    tag: str
    frozen: bool = False  # stale locks and generated files are an error
    install: bool = False  # a missing engine may be installed
    packages: str = ""  # "wheelhouse" or "index"; "" as the manifest has it
    provenance: bool = False  # BuildKit's own, in full, beside what is pushed
    # target -> REPOSITORY@DIGEST: not built, but stood on
    pushed: Mapping[str, str] = field(default_factory=dict)
    # what the registry has for the same inputs is not built, but gets the tag
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """What was released."""

    measurement: Measurement  # of what was built
    held: tuple[Held, ...] = ()  # by the registry, and not built


Tell = Callable[[Released, tuple[str, ...]], None]


def release(
    manifest: Manifest,
    services: tuple[str, ...],
    options: Options,
    names: Release,
    console: Console,
    tell: Tell = lambda *_: None,
) -> Released:
    """Bring locks and generated files up to date, build, check, measure, and only then tag and
    push.

    `tell`: called once all that holds is released, also where something else failed, with the
    services that did. Raises SetupError, StaleFiles, BuildError and CheckError; whichever it is, no
    tag of a service that failed has moved, and the same command goes on from there.
    """
    root = manifest.file.parent
    there = Registered(root, services, names.registry, console, options.platform)

    def choose(plan: Plan, around: Surroundings) -> tuple[str, ...]:
        if options.push:
            refuse_standins(around, names.registry)
        if options.push and not options.sets:  # whose values are in no fingerprint
            there.know(plan, around)
        return there.left(names.provenance) if names.missing else services

    with prepared(
        manifest,
        services,
        console,
        frozen=names.frozen,
        install=names.install,
        packages=names.packages,
        pushed=names.pushed,
        platform=options.platform,
        choose=choose,
    ) as ready:
        if names.provenance and not (
            ready.engine.builder == "docker" and ready.engine.store == "containerd"
        ):
            raise SetupError(
                "provenance needs the engine's own builder, and its containerd image store"
            )
        layouts = (
            known_layers(ready.services, root / MEASURED) if ready.engine.two_outputs else None
        )
        options = replace(
            options, load=ready.engine.builder != "docker", layouts=str(layouts or "")
        )
        result = _changed(ready.plan, ready.services, root, ready.around, options, console)
        keep_costs(root / COSTS, result.seconds)
        measurement = measure(
            {image.name: image.digest for image in result.built}, root / MEASURED, layouts
        )
        released = Released(measurement, there.held)
        _publish(ready, root, result, released, options, names, there, console, tell)
        return released


def _changed(
    plan: Plan,
    services: tuple[str, ...],
    root: Path,
    around: Surroundings,
    options: Options,
    console: Console,
) -> bake.Result:
    """Build the services that differ from what was last built and checked here; the others are
    taken as they are.
    """
    if not services:
        return bake.Result((), ())
    if options.no_cache or options.sets or options.load or options.platform:
        return bake.bake(plan, services, root, around, options)
    baked = Baked(plan, root, around, root / BAKED)
    same = baked.unchanged(services, docker.project_images(plan.project))
    rest = tuple(name for name in services if name not in {image.name for image in same})
    if same:
        console.say(f"unchanged: {', '.join(image.name for image in same)}")
    if not rest:
        return bake.Result(same, ())
    result = bake.bake(plan, rest, root, around, options)
    baked.keep(result)
    images = sorted((*same, *result.built), key=lambda image: services.index(image.name))
    return replace(result, built=tuple(images))


def _publish(
    ready: Prepared,
    root: Path,
    result: bake.Result,
    released: Released,
    options: Options,
    names: Release,
    there: Registered,
    console: Console,
    tell: Tell,
) -> None:
    """Tag and push what was built and keeps its budget, tag what the registry has. Raises
    BuildError and CheckError.
    """
    plan = ready.plan
    over = over_budget(plan, released.measurement, root / MEASURED)
    if over and not options.keep_going:
        lines = "\n".join(over.values()).splitlines()
        raise CheckError(
            "budgets do not hold; no tag has moved\n" + "\n".join(f"  {line}" for line in lines)
        )
    good = tuple(image for image in result.built if image.name not in over)
    tagged = there.names(names.tag)
    references = bake.tag(plan, good, names.registry, names.tag)
    if options.push:
        options = replace(options, provenance=names.provenance)
        publish(plan, good, references, there.unedited(), root, ready.around, options, console)
        retag(there.held, tagged, ready.around.ca_bundle)
    tell(
        released,
        tuple(name for name in ready.services if name not in {image.name for image in good}),
    )
    failures = [*(str(error) for error in result.failures), *over.values()]
    if failures:
        only_checks = all(isinstance(error, CheckError) for error in result.failures)
        kind = CheckError if only_checks else BuildError  # a build that fails weighs more
        raise kind(
            "\n".join(failures),
            f"tagged all the same: {', '.join((*references, *tagged)) or 'none'}",
        )


def refuse_standins(around: Surroundings, registry: str) -> None:
    """Raises UsageError where images that were made with stand-ins would leave this machine."""
    if around.standins and not is_loopback(registry):
        raise UsageError(
            f"images made with stand-ins ({', '.join(around.standins)}) are not pushed to"
            f" {registry}",
            "push from a machine that reaches the externals' registries, or to a registry on"
            " loopback",
        )
