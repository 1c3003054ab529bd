"""Everything that advice is made of, read from the repository and from what this machine knows of
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.advise import measured
from slimbake.advise.imports import imports
from slimbake.advise.laid import doubled, relaid
from slimbake.advise.model import Doubled, Facts, LayerFacts, ServiceFacts, TriedPass
from slimbake.config.document import KeyPath, read_yaml
from slimbake.config.model import Optimize
from slimbake.config.source import yaml_text
from slimbake.errors import SetupError
from slimbake.fleet.model import Base, Service
from slimbake.lock import Pin, locked_pins
from slimbake.lock.closures import sizes, written
from slimbake.plan.parity import LIMITS
from slimbake.project import Project

TORCH = "torch"
_CUDA = ("nvidia-", "cuda-")  # packages beside a build of torch that is not for CPUs


def facts(project: Project, whole_fleet: bool = True) -> Facts:
    """What is known of a fleet whose locks are fresh; `whole_fleet`: also of its layers, which
    takes a planner's time.

    Raises UsageError for a measurement that cannot be read, ManifestError for faults of
    `passes.yaml`.
    """
    fleet, root = project.fleet, project.root
    said = read_yaml(yaml_text(project.manifest.file))
    pins = locked_pins(fleet, project.locks)
    known = sizes(root / measured.SIZES) if (root / measured.SIZES).is_file() else {}
    twice: tuple[Doubled, ...] = ()
    other, unlaid = None, ""
    try:
        if whole_fleet:
            hand = written(fleet, pins, known)
            twice = doubled(hand, {service.name: _bases(service) for service in fleet.services})
            other = relaid(hand, project.manifest.layer_limit)
    except SetupError as error:  # a lock without bytes, and no measurement: all else can be said
        unlaid = f"{error.message}: {error.hint}"
    by_layer = {base.layer.name: base for base in fleet.bases}
    return Facts(
        file=project.manifest.file.name,
        places=said.places,
        keys=frozenset(_keys(said.value)),
        subjects=tuple(_subjects(project, pins)),
        compression=fleet.compression,
        layers=tuple(_layers(project)),
        parents={
            base.name: by_layer[base.layer.chain[-1].name].name if base.layer.chain else ""
            for base in fleet.bases
        },
        asked={base.name: _asked(base) for base in fleet.bases},
        pins=pins,
        packages=known,
        doubled=twice,
        relaid=other,
        unlaid=unlaid,
    )


def _bases(service: Service) -> tuple[str, ...]:
    """The bases that it stands on, the nearest first."""
    return tuple(base.name for base in reversed(service.bases))


def _subjects(project: Project, pins: Mapping[str, tuple[Pin, ...]]) -> Iterator[ServiceFacts]:
    fleet, plan, root = project.fleet, project.plan, project.root
    weighed, limits = (
        measured.weighed_images(plan, root, project.workspace),
        measured.committed_limits(root),
    )
    started = measured.committed_starts(root)
    local = tuple((package.path, ("**/tests", "**/build")) for package in fleet.packages)
    for service in fleet.services:
        name = service.name
        startup, rss = started.get(name, (None, None))
        ignored = plan.target(name).ignore
        cpu = (base for base in reversed(service.bases) if _torch(pins.get(base.layer.name, ())))
        runtime = next(cpu, None)
        used = {package.path for package in service.layer.asks.packages}
        folders = ((service.context, ignored), *(each for each in local if each[0] in used))
        yield ServiceFacts(
            service=name,
            entry=service.entry,
            variant=service.variant,
            bases=_bases(service),
            inference=service.inference,
            precision=service.precision.type if service.precision else "fp32",
            parity=_parity(service),
            weights=service.weights.layer.name if service.weights else "",
            runtime=runtime.name if runtime else "",
            image=weighed.get(name),
            limits=limits.get(name),
            startup=startup,
            rss=rss,
            imports=imports(root, folders),
        )


def _parity(service: Service) -> tuple[tuple[str, float], ...]:
    """The thresholds that its answers are held to, as the plan decides them; () where nothing is
    measured.
    """
    weights, parity = service.weights, service.parity
    if not (parity and parity.texts and weights and weights.export):
        return ()
    return tuple((LIMITS[weights.export.precision.type] | dict(parity.limits)).items())


def _torch(pins: tuple[Pin, ...]) -> bool:
    """Whether a base holds a build of torch for CPUs."""
    return any(pin.name == TORCH for pin in pins) and not any(
        pin.name.startswith(_CUDA) for pin in pins
    )


def _asked(base: Base) -> tuple[str, ...]:
    from packaging.requirements import Requirement

    own = (Requirement(spec).name for spec in base.layer.asks.specs)
    return (*own, *(package.name for package in base.layer.asks.packages))


def _layers(project: Project) -> Iterator[LayerFacts]:
    fleet = project.fleet
    entries: dict[str, Base | Service] = {base.layer.name: base for base in fleet.bases}
    entries |= {service.layer.name: service for service in fleet.services}
    for answer in project.evidence.answers:
        question, entry = answer.question, entries[answer.question.layer]
        kind = "bases" if isinstance(entry, Base) else "services"
        own: KeyPath = (kind, entry.entry, "optimize")
        passes = []
        for each in project.evidence.catalogue:
            if each.applied(question.pins):
                finding = answer.evidence.passes.get(each.name) if answer.evidence else None
                why = answer.stale(each) if finding else ""
                left_out = _left_out(each.name, entry.optimize, fleet.optimize, own)
                passes.append(TriedPass(each, finding, why, left_out))
        yield LayerFacts(
            name=question.layer,
            services=(*question.checks, *question.unchecked),
            unchecked=question.unchecked,
            off=(own if entry.optimize.none else ("optimize",)) if answer.wanted.none else (),
            passes=tuple(passes),
        )


def _left_out(name: str, own: Optimize, whole: Optimize, path: KeyPath) -> KeyPath:
    """Where the manifest leaves a pass out, () where it does not."""
    if name in own.without:
        return (*path, "without", own.without.index(name))
    if name in whole.without:
        return ("optimize", "without", whole.without.index(name))
    return ()


def _keys(raw: Any, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of a manifest; a repeated one of an alias under each of its places."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield (*above, key)
            yield from _keys(value, (*above, key))
