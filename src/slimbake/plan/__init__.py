"""Decide the bake targets of a fleet and their edges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.config.model import Container, Pairs, values_of
from slimbake.fleet.model import Fleet, Service
from slimbake.layers.model import Layering
from slimbake.plan import targets as make
from slimbake.plan.graph import ordered
from slimbake.plan.model import CHECKS, Group, Plan, Running, Target, needed
from slimbake.plan.origin import with_origin
from slimbake.plan.parity import parities
from slimbake.plan.pipeline import pipeline

NO_LAYERS = Layering()


def plan(
    fleet: Fleet,
    locks: Mapping[str, str] = {},
    layering: Layering = NO_LAYERS,
) -> Plan:
    """Decide the targets of the whole fleet, each after the targets that it needs.

    `locks` maps a lock file to its text; `layering` has the layers of packages.
    """
    built = _with_platforms(ordered(_targets(fleet, layering)), fleet.platforms)
    labelled = tuple(with_origin(built, fleet.externals, locks))
    targets = (*labelled, *make.inventories(labelled, layering))
    return Plan(
        manifest=fleet.manifest.file.name,
        project=fleet.project,
        registry=fleet.registry,
        platforms=fleet.platforms,
        compression=fleet.compression,
        externals=fleet.externals,
        targets=targets,
        groups=_groups(fleet, targets),
        services=tuple(_running(service) for service in fleet.services),
        pipeline=pipeline(fleet),
    )


def _targets(fleet: Fleet, layering: Layering) -> Iterator[Target]:
    """All targets but the inventories, which are made from these."""
    checks = make.checks(fleet.services)
    yield make.inside(fleet, layering)
    for runtime in fleet.runtimes:
        yield make.runtime(fleet, runtime)
    for package in fleet.packages:
        yield make.wheel(package, fleet)
    for layer in layering.layers:
        yield make.layer(layer, fleet)
    for base in fleet.bases:
        yield make.base(base, fleet, layering)
    for weights in fleet.weights:
        yield make.weights(weights, fleet)
    for stage in fleet.stages:
        yield make.stage(stage, fleet)
    for service in fleet.services:
        yield make.service(service, fleet, layering, checks)
    for service in fleet.services:
        if service.smoke:
            yield make.smoke(service)
    yield from parities(fleet)


def _groups(fleet: Fleet, targets: Sequence[Target]) -> tuple[Group, ...]:
    """The groups of the bake file.

    `default` builds the first variant of each service. Every variant has a group of its own name.
    Both have one more group for each kind of check: `smoke`, `cuda-smoke`.
    """
    services_of = {"default": [service for service in fleet.services if not service.copied]}
    for service in fleet.services:
        if service.variant:
            services_of.setdefault(service.variant, []).append(service)

    groups: dict[str, list[str]] = {
        "default": [],
        "bases": _default_bases(targets, services_of["default"]),
    }
    check_of = {(target.kind, target.service): target.name for target in targets}
    for name, services in services_of.items():
        prefix = "" if name == "default" else f"{name}-"
        names = [service.name for service in services]
        mounted = filter(None, map(_mounted_weights, services))
        groups[name] = list(dict.fromkeys((*names, *mounted)))
        for kind in CHECKS:
            if kind == "inventory":  # built with what it checks
                continue
            checks = [check_of.get((kind, service), "") for service in names]
            groups[f"{prefix}{kind}"] = list(filter(None, checks))
    found = []
    for name, members in groups.items():
        if members:
            found.append(Group(name=name, targets=tuple(members)))
    return tuple(found)


def _default_bases(targets: Sequence[Target], services: Iterable[Service]) -> list[str]:
    """The runtimes and bases of these services, and all others that are no copy for a variant."""
    names = [service.name for service in services]
    needed_names = {target.name for target in needed(targets, names)}
    bases = []
    for target in targets:
        is_base = target.kind in ("runtime", "base")
        if is_base and (target.name in needed_names or not target.suffix):
            bases.append(target.name)
    return bases


def _running(service: Service) -> Running:
    image = service.scope.image
    env: Pairs = ()
    if service.dockerfile:
        image = ""
        env = service.env
    return Running(
        service=service.name,
        host=service.entry,
        variant=service.variant,
        copied=service.copied,
        **values_of(service, Container),
        budget=service.budget,
        start=service.start,
        depends_on=service.depends_on,
        verify=service.below(service.verify) if service.verify else "",
        own_dockerfile=bool(service.dockerfile),
        image=image,
        env=env,
        weights=_mounted_weights(service),
    )


def _mounted_weights(service: Service) -> str:
    """The target of the image of weights that a service mounts; "" for none."""
    if service.weights and service.mounts:
        return service.weights.scope.name
    return ""


def _with_platforms(targets: Sequence[Target], fleet: tuple[str, ...]) -> tuple[Target, ...]:
    """Set the platforms of the targets that others need: all that anything above is built for.

    A target that is built for all platforms of the fleet has none of its own.
    """
    no_target_needs = ("service", *CHECKS)
    platforms_above: dict[str, set[str]] = {target.name: set() for target in targets}
    for target in reversed(targets):  # a target comes after those that it needs
        above = platforms_above[target.name]
        if target.kind in no_target_needs:
            above = above.union(target.platforms or fleet)
        for name in target.needs:
            platforms_above[name].update(above)

    completed = []
    for target in targets:
        above = platforms_above[target.name]
        if target.kind not in no_target_needs and above and above != set(fleet):
            target = replace(target, platforms=tuple(sorted(above)))
        completed.append(target)
    return tuple(completed)
