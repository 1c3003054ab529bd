"""What a manifest draws on beside its services: externals, packages inside the repository, weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace

from slimbake.config.model import External, LocalPackage, Manifest, Weights

DEBIAN = "trixie"  # the official image's suite: torch's wheels want its glibc, 2.38 or newer
# the smallest official image of Debian that has binutils
DEFAULT_TOOLS = f"buildpack-deps:{DEBIAN}"
DEFAULT_UV = "ghcr.io/astral-sh/uv:0.13.9"


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Distinct weights: how they are called, and how many services have them in their images."""

    weights: Weights
    name: str
    users: int


def externals(manifest: Manifest) -> tuple[External, ...]:
    """The images from outside: the manifest's, or the defaults."""
    given = {external.name: external for external in manifest.externals}
    defaults = {
        "python": f"python:{manifest.python}-slim-{DEBIAN}",
        "uv": DEFAULT_UV,
        "tools": DEFAULT_TOOLS,
    }
    return tuple(
        given.get(name, External(name=name, image=image)) for name, image in defaults.items()
    )


def local_packages(manifest: Manifest) -> tuple[LocalPackage, ...]:
    """Every package inside the repository that somebody requires, once, by name."""
    asked = (
        *(b.requirements for b in manifest.bases),
        *(s.requirements for s in manifest.services),
    )
    return tuple(sorted({p for r in asked for p in r.packages}, key=lambda package: package.name))


def origin(weights: Weights) -> Weights:
    """What weights are exported from; weights that are no export themselves."""
    return replace(weights, export=None)


def weights_sources(manifest: Manifest) -> dict[Weights, WeightsSource]:
    """Distinct weights in the manifest's order, each export after what it is made from, with names
    that differ.
    """
    users = Counter(s.weights for s in manifest.services if s.weights)
    every = dict.fromkeys(each for weights in users for each in (origin(weights), weights))
    slugs = {weights: _slug(weights) for weights in every}
    taken = Counter(slugs.values())
    return {
        weights: WeightsSource(
            weights, slug if taken[slug] == 1 else f"{slug}-{_short(weights)}", users[weights]
        )
        for weights, slug in slugs.items()
    }


def _slug(weights: Weights) -> str:
    bare = re.sub(r"[^a-z0-9]+", "-", weights.value.lower()).strip("-")
    return f"{bare}-onnx-{weights.export.precision.type}" if weights.export else bare


def _short(weights: Weights) -> str:
    export = json.dumps(asdict(weights.export), sort_keys=True) if weights.export else ""
    return short(f"{weights.source}:{weights.value}{export}")


def short(text: str) -> str:
    """What tells two things apart whose names would be the same."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]
