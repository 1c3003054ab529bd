"""All that the generated pages are made of, as it lies in the repository; what is not there is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slimbake.config.naming import PARITY, SIZES
from slimbake.project import load

from .cells import mb

Json = Mapping[str, Any]

WRITEUP = Path(__file__).parents[2] / "bench" / "writeup.json"
MANIFEST = "services.yaml"
RESULTS = "bench/results"
ONNX = "-onnx"  # how the variants of the example end that run without torch
_RECORDS = (
    "techniques",
    "census",
    "bake",
    "starts",
    "bytecode",
    "scan",
    "suites",
    "sharing",
    "precision",
    "generation",
)
OURS, BY_HAND = "slimbake", "one by one"  # sides of bench/bake.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Claims and measurements; an empty mapping is a measurement that was not made."""

    writeup: Json
    services: tuple[str, ...]  # all of the fleet, as the manifest has them
    # service -> its base; without one, not in it
    bases: Mapping[str, str] = field(default_factory=dict)
    techniques: Json = field(default_factory=dict)  # bench/results/techniques.json: a record
    sizes: Json = field(default_factory=dict)  # bake/sizes.json: `slimbake sizes --record`
    parity: Json = field(
        default_factory=dict
    )  # bake/parity.json: `slimbake check --images --record`
    census: Json = field(default_factory=dict)  # bench/results/census.json: bench/census.py
    bake: Json = field(default_factory=dict)  # bench/results/bake.json: bench/bake.py
    starts: Json = field(default_factory=dict)  # bench/results/starts.json: bench/starts.py
    # bench/results/bytecode.json: bench/starts.py --bytecode
    bytecode: Json = field(default_factory=dict)
    scan: Json = field(default_factory=dict)  # bench/results/scan.json: bench/scan.py
    suites: Json = field(default_factory=dict)  # bench/results/suites.json: bench/suites.py
    sharing: Json = field(default_factory=dict)  # bench/results/sharing.json: bench/sharing.py
    # bench/results/precision.json: bench/precision.py
    precision: Json = field(default_factory=dict)
    # bench/results/generation.json: bench/generation.py
    generation: Json = field(default_factory=dict)

    @property
    def images(self) -> Json:
        """Each image as `bake/sizes.json` has it: all sizes of ours come from there."""
        return dict(self.sizes.get("images", {}))

    @property
    def defaults(self) -> tuple[str, ...]:
        """The images that a bake builds: of each service its first variant."""
        return tuple(name for name in self.services if not name.endswith(ONNX))


def read(root: Path) -> Inputs:
    """What lies in a repository. Raises ManifestError for its manifest, ValueError for a file that
    is no JSON.
    """
    project = load(root / MANIFEST)
    services, results = project.fleet.services, root / RESULTS
    return agreeing(
        Inputs(
            writeup=_json(WRITEUP),
            services=tuple(service.name for service in services),
            bases={service.name: service.base.name for service in services if service.base},
            sizes=_json(root / SIZES),
            parity=_json(root / PARITY),
            **{name: _json(results / f"{name}.json") for name in _RECORDS},
        )
    )


def agreeing(inputs: Inputs) -> Inputs:
    """Without measurements of other images than those of `bake/sizes.json`: one figure has one
    value on all pages, and what was lost stands beside the size of the same image.
    """
    side = inputs.bake.get("sides", {}).get(OURS, {}).get("sizes") or {}
    baked = all(
        _same(inputs, name, of["uncompressed"]) for name, of in side.get("images", {}).items()
    )
    return replace(
        inputs,
        census={
            name: of for name, of in inputs.census.items() if _same(inputs, name, of["optimised"])
        },
        bake=inputs.bake if baked else {},
        starts=_of_these_images(inputs),
    )


def _of_these_images(inputs: Inputs) -> Json:
    """Starts of the images that `bake/sizes.json` has."""
    if not inputs.starts:
        return {}
    services = {
        name: sides
        for name, sides in inputs.starts.get("services", {}).items()
        if OURS in sides and _same(inputs, name, sides[OURS]["bytes"])
    }
    return {**inputs.starts, "services": services}


def _same(inputs: Inputs, name: str, size: int) -> bool:
    """Whether an image that was measured elsewhere is as large as shown."""
    return mb(size) == mb(inputs.images.get(name, {}).get("uncompressed"))


def sharing(inputs: Inputs, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Of some images, on a host and on a registry: bytes alone, and shared."""
    known = inputs.images
    if not names or not all(name in known for name in names):
        return {"host": {}, "registry": {}}
    chains: dict[tuple[str, ...], int] = {}
    blobs: dict[str, int] = {}
    for name in names:
        below: tuple[str, ...] = ()
        for layer in known[name]["layers"]:
            below = (*below, layer["diff"])
            chains[below] = layer["uncompressed"]
            blobs[layer["blob"]] = layer["compressed"]
    return {
        place: {"alone": sum(known[name][unit] for name in names), "shared": sum(once)}
        for place, unit, once in (
            ("host", "uncompressed", chains.values()),
            ("registry", "compressed", blobs.values()),
        )
    }


def by_hand(inputs: Inputs) -> Json:
    """Sizes of the hand-written images."""
    return inputs.bake.get("sides", {}).get(BY_HAND, {}).get("sizes") or {}


def weights(inputs: Inputs, image: str) -> int:
    """Bytes of an image's model."""
    layers = inputs.images.get(image, {}).get("layers", ())
    return sum(layer["uncompressed"] for layer in layers if layer.get("holds") == "/weights")


def _json(file: Path) -> Json:
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}
