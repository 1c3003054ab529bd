"""The layers of packages of a fleet as people and scripts read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.console.tables import counted, readable
from slimbake.fleet.model import Base, Fleet, Service
from slimbake.images.sizes import Image, MeasuredLayer
from slimbake.inside.lines import some
from slimbake.layers.model import Layer, Layering
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan

_FEW = 4  # packages of a layer that a line names


Measured = Mapping[str, MeasuredLayer]  # by the name of the target


def laid_layers(plan: Plan, image: Image) -> list[tuple[str, MeasuredLayer]]:
    """The layers of an image, each with the target that adds it; [] where that is unknown."""
    names = layers(plan, image.name, len(image.layers))
    if len(names) != len(image.layers):
        return []
    return list(zip(names, image.layers, strict=True))


def layer_lines(fleet: Fleet, layering: Layering, measured: Measured) -> Iterator[str]:
    """Lines: the layers that each base and service adds to what is below it, bottom first; of
    packages with the bytes that were measured, else those of their wheels.
    """
    several = len(fleet.pythons) > 1
    by_name = {layer.name: layer for layer in layering.layers}
    owners: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    for owner in owners:
        chain, version = owner.scope.chain, owner.scope.python.version
        runtime = f"the runtime of Python {version}" if several else "the runtime"
        below = chain[-1].name if chain else runtime
        yield f"{owner.scope.name}, on {below}:"
        for link in layering.chains.get(owner.scope.name, ()):
            text = "weights"
            if not link.weights:
                text = _described(by_name[link.target], measured)
            yield f"  {link.target}  {text}"
    if several:
        yield "A wheel is a layer for each Python: its folder and its bytecode are of that version."


def _described(layer: Layer, measured: Measured) -> str:
    size = f"{readable(layer.bytes)} of wheels"
    if layer.name in measured:
        size = readable(measured[layer.name].uncompressed)
    names = [f"{pin.name} {pin.version}" for pin in layer.pins]
    if len(names) > _FEW:
        return f"{size}: {counted(len(names), 'package')}"
    return f"{size}: {some(names, _FEW) or 'never locked'}"


def layers_json(layering: Layering, measured: Measured) -> dict[str, Any]:
    """The same for scripts: what each layer is made of, and the order of each base and service.
    `bytes` are those of its wheels; `digest`, of its files as a tar, and `uncompressed` are null
    where it was not measured.
    """
    entries = {}
    for layer in layering.layers:
        digest = uncompressed = None
        if layer.name in measured:
            digest = measured[layer.name].diff
            uncompressed = measured[layer.name].uncompressed
        entries[layer.name] = {
            "key": layer.key,
            "python": layer.python.version,
            "digest": digest,
            "packages": {pin.name: pin.version for pin in layer.pins},
            "bytecode": layer.bytecode,
            "rules": [rule.name for rule in layer.rules],
            "bytes": layer.bytes,
            "uncompressed": uncompressed,
        }
    order = {}
    for name, links in layering.chains.items():
        order[name] = [link.target for link in links]
    return {"layers": entries, "order": order}
