"""Everything that advice is made of, read from the repository and from what this machine knows of
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slimbake.advise import measured
from slimbake.advise.imports import imports
from slimbake.advise.laid import doubled, relaid
from slimbake.advise.model import Doubled, Facts, Layer, Subject, Tried
from slimbake.catalogue.read import catalogue
from slimbake.config.document import KeyPath, read_yaml
from slimbake.config.model import Base, Manifest, Optimize, Service
from slimbake.config.source import yaml_text
from slimbake.errors import SetupError
from slimbake.evidence import committed, questions
from slimbake.evidence.model import Question, stale
from slimbake.fleet.sources import local_packages, weights_sources
from slimbake.lock import lock_texts, locked, settled
from slimbake.lock.closures import sizes, written
from slimbake.lock.model import Pin
from slimbake.plan.model import Plan
from slimbake.plan.parity import LIMITS

TORCH = "torch"
_CUDA = ("nvidia-", "cuda-")  # packages beside a build of torch that is not for CPUs


def facts(manifest: Manifest, plan: Plan, whole_fleet: bool = True) -> Facts:
    """What is known of a fleet whose locks are fresh; `whole_fleet`: also of its layers, which
    takes a planner's time.

    Raises UsageError for a measurement that cannot be read, ManifestError for faults of
    `passes.yaml`.
    """
    root = manifest.file.parent
    said = read_yaml(yaml_text(manifest.file))
    whole, pins = settled(manifest), locked(manifest)
    known = sizes(root / measured.SIZES) if (root / measured.SIZES).is_file() else {}
    chains = {base.name: base.extends or "" for base in whole.bases}
    twice: tuple[Doubled, ...] = ()
    other, unlaid = None, ""
    try:
        if whole_fleet:
            hand = written(whole, pins, known)
            twice = doubled(hand, {s.name: _chain(s.base, chains) for s in whole.services})
            other = relaid(hand, manifest)
    except SetupError as error:  # a lock without bytes, and no measurement: all else can be said
        unlaid = f"{error.message}: {error.hint}"
    return Facts(
        file=manifest.file.name,
        places=said.places,
        keys=frozenset(_keys(said.value)),
        subjects=tuple(_subjects(whole, plan, pins)),
        compression=plan.compression,
        layers=tuple(_layers(whole, lock_texts(manifest), root)),
        parents=chains,
        asked={base.name: _asked(base) for base in whole.bases},
        pins=pins,
        packages=known,
        doubled=twice,
        relaid=other,
        unlaid=unlaid,
    )


def _subjects(
    whole: Manifest, plan: Plan, pins: Mapping[str, tuple[Pin, ...]]
) -> Iterator[Subject]:
    root = whole.file.parent
    weighed, limits, started = (
        measured.weighed(plan, root),
        measured.limits(root),
        measured.started(root),
    )
    chains = {base.name: base.extends or "" for base in whole.bases}
    sources = weights_sources(whole)
    local = tuple((package.path, ("**/tests", "**/build")) for package in local_packages(whole))
    for service in whole.services:
        name, bases = service.name, _chain(service.base, chains)
        startup, rss = started.get(name, (None, None))
        ignored = plan.target(name).ignore
        runtime = next((base for base in bases if _torch(pins.get(f"base-{base}", ()))), "")
        yield Subject(
            service=name,
            entry=service.copy_of or name,
            variant=service.variant,
            bases=bases,
            inference=service.inference or "torch",
            precision=service.precision.type if service.precision else "fp32",
            parity=_parity(service),
            weights=f"weights-{sources[service.weights].name}" if service.weights else "",
            runtime=runtime,
            image=weighed.get(name),
            limits=limits.get(name),
            startup=startup,
            rss=rss,
            imports=imports(
                root,
                ((service.context, ignored), *(each for each in local if _uses(service, each[0]))),
            ),
        )


def _uses(service: Service, path: str) -> bool:
    return any(package.path == path for package in service.requirements.packages)


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


def _chain(base: str | None, parents: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    while base:
        found.append(base)
        base = parents[base]
    return tuple(found)


def _asked(base: Base) -> tuple[str, ...]:
    from packaging.requirements import Requirement

    own = (Requirement(spec).name for spec in base.requirements.specs)
    return (*own, *(package.name for package in base.requirements.packages))


def _layers(whole: Manifest, locks: Mapping[str, str], root: Path) -> Iterator[Layer]:
    known = catalogue(root)
    entries: dict[str, Base | Service] = {f"base-{base.name}": base for base in whole.bases}
    entries |= {service.name: service for service in whole.services}
    for question, wanted in questions(whole, locks):
        entry = entries[question.layer]
        kind = "bases" if isinstance(entry, Base) else "services"
        own: KeyPath = (kind, entry.copy_of or entry.name, "optimize")
        evidence = committed(root, question.layer)
        passes = []
        for each in known:
            if each.applied(question.pins):
                finding = evidence.passes.get(each.name) if evidence else None
                why = stale(question, evidence, each) if finding else ""
                passes.append(
                    Tried(each, finding, why, _left_out(each.name, entry.optimize, whole, own))
                )
        yield Layer(
            name=question.layer,
            services=_standing(question),
            unchecked=question.unchecked,
            off=(own if entry.optimize.none else ("optimize",)) if wanted.none else (),
            passes=tuple(passes),
        )


def _standing(question: Question) -> tuple[str, ...]:
    return (*question.checks, *question.unchecked)


def _left_out(name: str, own: Optimize, whole: Manifest, path: KeyPath) -> KeyPath:
    """Where the manifest leaves a pass out, () where it does not."""
    if name in own.without:
        return (*path, "without", own.without.index(name))
    if name in whole.optimize.without:
        return ("optimize", "without", whole.optimize.without.index(name))
    return ()


def _keys(raw: Any, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of a manifest; a repeated one of an alias under each of its places."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield (*above, key)
            yield from _keys(value, (*above, key))
