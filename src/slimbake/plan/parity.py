"""What parity is measured against, and the step that measures it in a service's final image."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from slimbake.manifest.model import Manifest, Service, Weights
from slimbake.plan.model import Recipe, Target
from slimbake.plan.sources import WeightsSource, origin, short
from slimbake.plan.targets import FROM_INSIDE, GENERATED, NEVER_BUILT_IN, labels, literal

PROGRAMS = ("agreement.py", "parity.py", "parity_reference.py", "parity_texts.py")
"""What these steps run, beside the program of smokes."""

LIMITS: dict[str, dict[str, float]] = {
    "fp32": {"min-cosine": 0.99999, "mean-cosine": 0.999999, "top10": 0.995, "tokens": 1.0, "perplexity": 0.0001},
    "fp16": {"min-cosine": 0.999, "mean-cosine": 0.9999, "top10": 0.99, "tokens": 0.9, "perplexity": 0.005},
    "int8": {"min-cosine": 0.99, "mean-cosine": 0.995, "top10": 0.97, "tokens": 0.0, "perplexity": 0.05},
}
"""What a precision is held to where the manifest says nothing; docs/parity.md gives reasons."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """What makes one reference another: the model, the texts, and what torch runs on."""

    weights: Weights
    texts: str
    base: str


def parities(manifest: Manifest, sources: dict[Weights, WeightsSource]) -> tuple[Target, ...]:
    """The references, each once for all that are measured against it, and the parity of each service that has one."""
    measured = {service: made for service in manifest.services if (made := _of(service))}
    names = _names(dict.fromkeys(measured.values()), sources)
    references = (_reference(each, name, sources, manifest) for each, name in names.items())
    return (*references, *(_parity(service, names[made]) for service, made in measured.items()))


def _of(service: Service) -> _Reference | None:
    parity, weights = service.parity, service.weights
    if not (parity and parity.texts and weights and weights.export):
        return None
    return _Reference(origin(weights), parity.texts, weights.export.base)


def _names(found: dict[_Reference, None], sources: dict[Weights, WeightsSource]) -> dict[_Reference, str]:
    slugs = {each: f"reference-{sources[each.weights].name}-{_slug(each.texts)}" for each in found}
    taken = Counter(slugs.values())
    return {
        each: slug if taken[slug] == 1 else f"{slug}-{short(f'{each.texts}:{each.base}')}"
        for each, slug in slugs.items()
    }


def _slug(texts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", PurePosixPath(texts).stem.lower()).strip("-")


def _reference(made: _Reference, name: str, sources: dict[Weights, WeightsSource], manifest: Manifest) -> Target:
    texts = PurePosixPath(made.texts)
    return Target(
        name=name,
        kind="reference",
        service="",
        context=str(texts.parent),
        dockerfile=f"{GENERATED}/{name}.Dockerfile",
        recipe=Recipe(template="reference.Dockerfile.j2"),
        contexts=(
            FROM_INSIDE,
            ("base", f"target:base-{made.base}"),
            ("source", f"target:weights-{sources[made.weights].name}"),
        ),
        args=(("TEXTS", texts.name),),
        labels=labels(manifest, name),
        ignore=("*", f"!{literal(texts.name)}"),
    )


def _parity(service: Service, reference: str) -> Target:
    parity, weights = service.parity, service.weights
    assert parity and weights and weights.export  # noqa: S101, PT018 - for the type checker
    limits = LIMITS[weights.export.precision.type] | dict(parity.limits)
    return Target(
        name=f"{service.name}-parity",
        kind="parity",
        service=service.name,
        context=service.context,
        dockerfile=f"{GENERATED}/parity.Dockerfile",
        recipe=Recipe(template="parity.Dockerfile.j2"),
        contexts=(FROM_INSIDE, ("image", f"target:{service.name}"), ("reference", f"target:{reference}")),
        args=(("PARITY", parity.check), ("LIMITS", json.dumps(limits))),
        platforms=service.platforms,
        ignore=NEVER_BUILT_IN,
    )
