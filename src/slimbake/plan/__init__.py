"""The plan stage: a Manifest in, every target, edge and layer decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal

from slimbake.catalogue.model import Applied
from slimbake.config.model import Manifest, Service, Weights
from slimbake.fleet.bases import layered, torch_builds
from slimbake.fleet.platforms import of_fleet
from slimbake.fleet.sources import WeightsSource, externals, local_packages, weights_sources
from slimbake.plan import targets as make
from slimbake.plan.carried import carrying, used
from slimbake.plan.exports import exported
from slimbake.plan.graph import ordered, standing
from slimbake.plan.model import CHECKS, Compression, Group, Plan, Running, Target, needed
from slimbake.plan.origin import with_origin
from slimbake.plan.parity import parities
from slimbake.plan.pipeline import pipeline

DEFAULT_COMPRESSION: Literal["zstd", "gzip"] = "zstd"
DEFAULT_LEVELS = {"zstd": 7, "gzip": 6}


def plan(
    manifest: Manifest,
    locks: Mapping[str, str] = {},
    passes: Mapping[str, tuple[Applied, ...]] = {},
) -> Plan:
    """Decide everything that the manifest leaves open, for the whole fleet.

    Targets: one for what steps mount, one runtime, one per base, per local package, per distinct
    weights, per service, per smoke and per parity, each after all that it stands on. `locks`: lock
    file -> its text, for the images' labels; `passes`: layer, called as its lock is -> what it
    carries.
    """
    manifest = layered(manifest)
    sources, torch = weights_sources(manifest), torch_builds(manifest)
    below = {base.weights for base in manifest.bases}
    targets = (
        make.inside(manifest),
        make.runtime(manifest),
        *(make.wheel(package, manifest) for package in local_packages(manifest)),
        *(
            make.weights(source, manifest)
            for weights, source in sources.items()
            if weights in below
        ),
        *(
            make.base(base, manifest, sources, torch[f"base-{base.name}"])
            for base in manifest.bases
        ),
        *(
            _weights(source, sources, manifest)
            for weights, source in sources.items()
            if weights not in below
        ),
        *(
            make.service(service, manifest, sources, torch[service.name])
            for service in manifest.services
        ),
        *(make.smoke(service) for service in manifest.services if service.smoke),
        *parities(manifest, sources),
    )
    targets = ordered(carrying(target, manifest, passes) for target in targets)
    targets = _with_platforms(targets, of_fleet(manifest))
    decided = Plan(
        manifest=manifest.file.name,
        project=manifest.project,
        registry=manifest.registry or manifest.project,
        python=manifest.python,
        platforms=of_fleet(manifest),
        compression=_compression(manifest),
        externals=used(externals(manifest), targets),
        targets=targets,
        groups=_groups(manifest, targets),
        services=tuple(map(_running, manifest.services)),
        pipeline=pipeline(manifest),
    )
    return with_origin(decided, locks)


def _weights(
    source: WeightsSource, sources: dict[Weights, WeightsSource], manifest: Manifest
) -> Target:
    return (
        exported(source, sources, manifest)
        if source.weights.export
        else make.weights(source, manifest)
    )


def _compression(manifest: Manifest) -> Compression:
    type_ = manifest.compression.type or DEFAULT_COMPRESSION
    return Compression(type=type_, level=manifest.compression.level or DEFAULT_LEVELS[type_])


def _groups(manifest: Manifest, targets: Sequence[Target]) -> tuple[Group, ...]:
    """Where nothing is named, one image of each service is built; every variant is a group of its
    own.
    """
    variants = dict.fromkeys(service.variant for service in manifest.services if service.variant)
    chosen = {"default": [s.name for s in manifest.services if not s.copy_of]}
    chosen |= {
        variant: [s.name for s in manifest.services if s.variant == variant] for variant in variants
    }
    checks = {kind: {t.service: t.name for t in targets if t.kind == kind} for kind in CHECKS}
    below = needed(targets, chosen["default"])
    bases = [
        t.name for t in targets if t.kind in ("runtime", "base") and (t in below or not t.suffix)
    ]
    groups = {"default": chosen["default"], "bases": bases}
    for name, services in chosen.items():
        if name != "default":
            groups[name] = services
        for kind, named in checks.items():
            group = kind if name == "default" else f"{name}-{kind}"
            groups[group] = [named[service] for service in services if service in named]
    return tuple(
        Group(name=name, targets=tuple(members)) for name, members in groups.items() if members
    )


def _running(service: Service) -> Running:
    return Running(
        service=service.name,
        host=service.copy_of or service.name,
        variant=service.variant,
        port=service.port,
        volumes=service.volumes,
        budget=service.budget,
        verify=str(PurePosixPath(service.context, service.verify)) if service.verify else "",
    )


def _with_platforms(targets: Sequence[Target], fleet: tuple[str, ...]) -> tuple[Target, ...]:
    """The targets, each of those that are shared for all that anything on it is built for."""
    own = ("service", *CHECKS)
    on: dict[str, set[str]] = {}
    below = standing(targets)
    for top in targets:
        for target in below[top.name] if top.kind in own else ():
            on.setdefault(target.name, set()).update(top.platforms or fleet)
    return tuple(
        target
        if target.kind in own or on.get(target.name, set(fleet)) == set(fleet)
        else replace(target, platforms=tuple(sorted(on[target.name])))
        for target in targets
    )
