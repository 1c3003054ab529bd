"""The plan stage: a Fleet in, every target and edge decided. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.config.model import container
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
    """Decide the targets of the whole fleet.

    One for what steps mount, one runtime, one per layer of packages, per base, per local package,
    per distinct weights, per service, per smoke and per parity, each after the targets that it needs.
    `locks`: lock file -> its text; `layering`: the layers of packages.
    """
    targets = _with_platforms(ordered(_targets(fleet, layering)), fleet.platforms)
    targets = tuple(with_origin(targets, fleet.externals, locks))
    targets = (*targets, *make.inventories(targets, layering))
    return Plan(
        manifest=fleet.manifest.file.name,
        project=fleet.project,
        registry=fleet.registry,
        platforms=fleet.platforms,
        compression=fleet.compression,
        externals=fleet.externals,
        targets=targets,
        groups=_groups(fleet, targets),
        services=tuple(map(_running, fleet.services)),
        pipeline=pipeline(fleet),
    )


def _targets(fleet: Fleet, layering: Layering) -> Iterator[Target]:
    """All but the inventories, which are made from these."""
    models = {weight.scope.name: make.weights(weight, fleet) for weight in fleet.weights}
    checks = make.checks(fleet.services)
    yield make.inside(fleet, layering)
    yield from (make.runtime(fleet, runtime) for runtime in fleet.runtimes)
    yield from (make.wheel(package, fleet) for package in fleet.packages)
    yield from (make.layer(layer, fleet) for layer in layering.layers)
    yield from (make.base(base, fleet, layering) for base in fleet.bases)
    yield from models.values()
    yield from (make.stage(stage, fleet) for stage in fleet.stages)
    yield from (make.service(service, fleet, layering, checks) for service in fleet.services)
    yield from (make.smoke(service) for service in fleet.services if service.smoke)
    yield from parities(fleet)


def _groups(fleet: Fleet, targets: Sequence[Target]) -> tuple[Group, ...]:
    """Where nothing is named, one image of each service is built; every variant is a group of its
    own.
    """
    variants = dict.fromkeys(service.variant for service in fleet.services if service.variant)
    chosen = {"default": [s.name for s in fleet.services if not s.copied]}
    chosen |= {
        variant: [s.name for s in fleet.services if s.variant == variant] for variant in variants
    }
    # No group for inventories: every one is built with what it checks.
    kinds = (kind for kind in CHECKS if kind != "inventory")
    checks = {kind: {t.service: t.name for t in targets if t.kind == kind} for kind in kinds}
    needed_targets = needed(targets, chosen["default"])
    bases = [
        t.name
        for t in targets
        if t.kind in ("runtime", "base") and (t in needed_targets or not t.suffix)
    ]
    groups = {"default": chosen["default"], "bases": bases}
    mounted = {s.name: s.weights.scope.name for s in fleet.services if s.weights and s.mounts}
    for name, services in chosen.items():
        weights = dict.fromkeys(mounted[service] for service in services if service in mounted)
        groups[name] = [*services, *weights]
        for kind, named in checks.items():
            group = kind if name == "default" else f"{name}-{kind}"
            groups[group] = [named[service] for service in services if service in named]
    return tuple(
        Group(name=name, targets=tuple(members)) for name, members in groups.items() if members
    )


def _running(service: Service) -> Running:
    return Running(
        service=service.name,
        host=service.entry,
        variant=service.variant,
        copied=service.copied,
        **container(service),
        budget=service.budget,
        start=service.start,
        depends_on=service.depends_on,
        verify=service.below(service.verify) if service.verify else "",
        own_dockerfile=bool(service.dockerfile),
        image="" if service.dockerfile else service.scope.image,
        env=service.env if service.dockerfile else (),
        weights=service.weights.scope.name if service.weights and service.mounts else "",
    )


def _with_platforms(targets: Sequence[Target], fleet: tuple[str, ...]) -> tuple[Target, ...]:
    """The targets, each of those that are shared for all that anything on it is built for."""
    leaf_kinds = ("service", *CHECKS)
    whole = frozenset(fleet)
    on: dict[str, frozenset[str]] = {}
    for target in reversed(targets):  # what needs a target comes after it
        every = on.get(target.name, frozenset())
        if target.kind in leaf_kinds:
            every = every.union(target.platforms or fleet)
        for name in target.needs:
            on[name] = every | on.get(name, every)
    return tuple(
        target
        if target.kind in leaf_kinds or (on.get(target.name) or whole) == whole
        else replace(target, platforms=tuple(sorted(on[target.name])))
        for target in targets
    )
