"""What parity is measured against, and the step that measures it in a service's final image."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from slimbake.config.naming import DOCKERFILES
from slimbake.config.parity import LIMITS as KEYS
from slimbake.fleet.model import Fleet, Python, Service
from slimbake.fleet.resolve import short
from slimbake.host.dockerignore import literal
from slimbake.plan.model import LINK, Recipe, Target
from slimbake.plan.targets import (
    FROM_INSIDE,
    NEVER_BUILT_IN,
    check_file,
    labels,
    mounted_context,
    surroundings,
)

LIMITS: dict[str, dict[str, float]] = {
    "fp32": dict(zip(KEYS, (0.99999, 0.999999, 0.995, 1.0, 0.0001, 0.001), strict=True)),
    "fp16": dict(zip(KEYS, (0.999, 0.9999, 0.99, 0.9, 0.005, 0.01), strict=True)),
    "int8": dict(zip(KEYS, (0.99, 0.995, 0.97, 0.0, 0.02, 0.06), strict=True)),
}
"""What a precision is held to where the manifest says nothing; docs/how-to/onnx.md has the figures."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """What makes one reference another: the model, the texts, and what torch runs on."""

    weights: str  # the name of what is exported
    layer: str  # its layer
    texts: str
    base: str  # the layer that it is exported on
    python: Python


def parities(fleet: Fleet) -> tuple[Target, ...]:
    """Return the targets that measure parity.

    These are the references, one for all services that compare with the same, then the parity check
    of each service that has one.
    """
    reference_of: dict[str, _Reference] = {}
    for service in fleet.services:
        reference = _reference_of(service)
        if reference:
            reference_of[service.name] = reference
    base_of_scope = {base.scope.name: base.name for base in fleet.bases}
    names = _names(dict.fromkeys(reference_of.values()), base_of_scope)

    targets = [_reference(reference, name, fleet) for reference, name in names.items()]
    for service in fleet.services:
        if service.name in reference_of:
            targets.append(_parity(service, names[reference_of[service.name]]))
    return tuple(targets)


def _reference_of(service: Service) -> _Reference | None:
    parity, weights = service.parity, service.weights
    if not (parity and parity.texts and weights and weights.export and weights.origin):
        return None
    origin = weights.origin
    base = weights.export.base
    return _Reference(origin.name, origin.scope.name, parity.texts, base.name, base.python)


def _names(references: Iterable[_Reference], bases: Mapping[str, str]) -> dict[_Reference, str]:
    """The name of each reference; no two are equal. `bases`: name of a scope -> name of its base."""
    slugs = {}
    for reference in references:
        texts = _slug(reference.texts) or short(reference.texts)
        slugs[reference] = f"reference-{reference.weights}-{texts}"
    references_of_slug = Counter(slugs.values())
    names = {}
    for reference, slug in slugs.items():
        names[reference] = slug
        if references_of_slug[slug] > 1:
            identity = f"{reference.texts}:{bases[reference.base]}"
            names[reference] = f"{slug}-{short(identity)}"
    return names


def _slug(texts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", PurePosixPath(texts).stem.lower()).strip("-")


def _reference(reference: _Reference, name: str, fleet: Fleet) -> Target:
    texts = PurePosixPath(reference.texts)
    return Target(
        name=name,
        kind="reference",
        python=reference.python,
        context=str(texts.parent),
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(template="reference.Dockerfile.j2"),
        contexts=(
            FROM_INSIDE,
            ("base", f"{LINK}{reference.base}"),
            ("source", f"{LINK}{reference.layer}"),
        ),
        args=(("TEXTS", texts.name),),
        labels=labels(fleet, name),
        repository=name,
        ignore=("*", f"!{literal(texts.name)}"),
    )


def _parity(service: Service, reference: str) -> Target:
    parity, weights = service.parity, service.weights
    assert parity and weights and weights.export  # noqa: S101 - for the type checker
    limits = LIMITS[weights.export.precision] | dict(parity.limits)
    dockerfile, recipe = check_file("parity", service.mounts)
    return Target(
        name=f"{service.name}-parity",
        kind="parity",
        service=service.name,
        python=service.scope.python,
        context=service.context,
        dockerfile=dockerfile,
        recipe=recipe,
        contexts=(
            FROM_INSIDE,
            ("image", f"{LINK}{service.scope.name}"),
            ("reference", f"{LINK}{reference}"),
            *mounted_context(service),
        ),
        args=(
            ("SLIMBAKE_PARITY", parity.check),
            ("SLIMBAKE_LIMITS", json.dumps(limits)),
            *surroundings(service),
        ),
        platforms=service.platforms,
        ignore=NEVER_BUILT_IN,
    )
