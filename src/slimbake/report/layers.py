"""The layers of packages of a fleet as people and scripts read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.console.tables import counted, readable, some
from slimbake.fleet.model import Base, Fleet, Service
from slimbake.layers.model import Layer, Layering, Link

_FEW = 4  # packages of a layer that a line names


def layer_tree(fleet: Fleet, layering: Layering) -> Iterator[str]:
    """Lines: the layers in their order, bottom first, each once for every stack below it, as a host
    stores it; of packages with the bytes of their wheels.
    """
    yield "runtime"
    layers = {layer.name: layer for layer in layering.layers}
    yield from _above("", fleet, layering, layers, depth=1)


def _above(
    below: str, fleet: Fleet, layering: Layering, layers: Mapping[str, Layer], depth: int
) -> Iterator[str]:
    """What stands on a base, or on the runtime."""
    owners: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    here = []
    for owner in owners:
        chain = owner.scope.chain
        if (chain[-1].name if chain else "") == below:
            here.append((owner.scope.name, layering.chains.get(owner.scope.name, ())))
    yield from _branches(here, fleet, layering, layers, depth)


def _branches(
    stacks: Sequence[tuple[str, tuple[Link, ...]]],
    fleet: Fleet,
    layering: Layering,
    layers: Mapping[str, Layer],
    depth: int,
) -> Iterator[str]:
    """Stacks of one beginning: those with nothing more are images; the others go on by their next
    layer.
    """
    by_next: dict[str, list[tuple[str, tuple[Link, ...]]]] = {}
    indent = "  " * depth
    for name, links in stacks:
        if not links:
            yield f"{indent}= {name}"
            yield from _above(name, fleet, layering, layers, depth + 1)
        else:
            by_next.setdefault(links[0].target, []).append((name, links[1:]))
    deeper = depth + (len(by_next) > 1 or any(not links for _, links in stacks))
    for target, rest in by_next.items():
        layer = layers.get(target)
        yield f"{indent}{target}  {_described(layer) if layer else 'weights'}"
        yield from _branches(rest, fleet, layering, layers, deeper)


def _described(layer: Layer) -> str:
    names = [f"{pin.name} {pin.version}" for pin in layer.pins]
    if len(names) > _FEW:
        return f"{readable(layer.bytes)}: {counted(len(names), 'package')}"
    return f"{readable(layer.bytes)}: {some(names, _FEW) or 'never locked'}"


def layers_json(layering: Layering, digests: Mapping[str, str]) -> dict[str, Any]:
    """The same for scripts: what each layer is made of, and the order of each base and service.
    `digests`: layer -> digest of its files as a tar, where an image here has it.
    """
    return {
        "layers": {
            layer.name: {
                "key": layer.key,
                "digest": digests.get(layer.name),
                "packages": {pin.name: pin.version for pin in layer.pins},
                "bytecode": layer.bytecode,
                "rules": [rule.name for rule in layer.rules],
                "bytes": layer.bytes,
            }
            for layer in layering.layers
        },
        "order": {name: [link.target for link in links] for name, links in layering.chains.items()},
    }
