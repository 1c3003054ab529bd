"""From a manifest to tagged images: the stages in their order, as `slimbake bake` runs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from slimbake import bake, docker
from slimbake.bake.command import Options, Surroundings
from slimbake.bake.record import keep_costs
from slimbake.baked import Baked
from slimbake.budget import over_budget
from slimbake.errors import BuildError, CheckError, SetupError, UsageError
from slimbake.loopback import is_loopback
from slimbake.manifest.model import Manifest
from slimbake.measure import known_layers, measure
from slimbake.measure.model import Measurement
from slimbake.plan.model import Plan
from slimbake.prepare import Prepared, Say, prepared
from slimbake.publish import publish

# Beside the manifest, ignored by Git: what images weigh, what they were built from, and how long that took.
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


def release(manifest: Manifest, services: tuple[str, ...], options: Options, names: Release, say: Say) -> Measurement:
    """Bring locks and generated files up to date, build, check, measure, and only then tag and push.

    Raises SetupError, StaleFiles, BuildError and CheckError; whichever it is, no tag of a service that failed has
    moved, and the same command goes on from there.
    """
    root = manifest.file.parent
    with prepared(
        manifest, services, say, frozen=names.frozen, install=names.install, packages=names.packages
    ) as ready:
        if options.push:
            refuse_standins(ready.around, names.registry)
        if names.provenance and not (ready.engine.builder == "docker" and ready.engine.store == "containerd"):
            raise SetupError("provenance needs the engine's own builder, and its containerd image store")
        layouts = known_layers(services, root / MEASURED) if ready.engine.two_outputs else None
        options = replace(options, load=ready.engine.builder != "docker", layouts=str(layouts or ""))
        result = _changed(ready.plan, services, root, ready.around, options, say)
        keep_costs(root / COSTS, result.seconds)
        measurement = measure({image.name: image.digest for image in result.built}, root / MEASURED, layouts)
        _publish(ready, root, result, measurement, options, names, say)
        return measurement


def _changed(
    plan: Plan, services: tuple[str, ...], root: Path, around: Surroundings, options: Options, say: Say
) -> bake.Result:
    """Build the services that differ from what was last built and checked here; the others are taken as they are."""
    if options.no_cache or options.sets or options.load:
        return bake.bake(plan, services, root, around, options)
    baked = Baked(plan, root, around, root / BAKED)
    same = baked.unchanged(services, docker.held(plan.project))
    rest = tuple(name for name in services if name not in {image.name for image in same})
    if same:
        say(f"unchanged: {', '.join(image.name for image in same)}")
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
    measurement: Measurement,
    options: Options,
    names: Release,
    say: Say,
) -> None:
    """Tag and push what was built and keeps its budget. Raises BuildError and CheckError for the rest."""
    plan = ready.plan
    over = over_budget(plan, measurement, root / MEASURED)
    if over and not options.keep_going:
        lines = "\n".join(over.values()).splitlines()
        raise CheckError("budgets do not hold; no tag has moved\n" + "\n".join(f"  {line}" for line in lines))
    good = tuple(image for image in result.built if image.name not in over)
    references = bake.tag(plan, good, names.registry, names.tag)
    if options.push:
        publish(plan, good, references, root, ready.around, replace(options, provenance=names.provenance), say)
    failures = [*(str(error) for error in result.failures), *over.values()]
    if failures:
        only_checks = all(isinstance(error, CheckError) for error in result.failures)
        kind = CheckError if only_checks else BuildError  # a build that fails weighs more
        raise kind("\n".join(failures), f"tagged all the same: {', '.join(references) or 'none'}")


def refuse_standins(around: Surroundings, registry: str) -> None:
    """Raise UsageError where images that were made with stand-ins would be pushed beyond loopback."""
    if around.standins and not is_loopback(registry):
        raise UsageError(
            f"images made with stand-ins ({', '.join(around.standins)}) are not pushed to {registry}",
            "push from a machine that reaches the externals' registries, or to a registry on loopback",
        )
