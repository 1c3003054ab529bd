"""What is left to save, in lines: what `sizes` knows already. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from slimbake.config.naming import ONNX, base_target
from slimbake.console.tables import readable
from slimbake.fleet.drafts import RUNS
from slimbake.fleet.model import Base, Fleet, Service
from slimbake.images.sizes import Measurement
from slimbake.lock.model import Pin
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan

WORTH = 0.02  # of an image: less is no hint
_TORCH = "torch"
_CUDA = ("nvidia-", "cuda-")  # packages beside a build of torch that is not for CPUs
_INT8 = 0.75  # of weights in fp32, what int8 saves

Pins = Mapping[str, tuple[Pin, ...]]
"""Lock -> its packages."""


def size_hints(fleet: Fleet, plan: Plan, pins: Pins, measured: Measurement) -> tuple[str, ...]:
    """What would make these images smaller: another runtime of a model, another precision, another
    compression. Estimates are called so.
    """
    services = {service.name: service for service in fleet.services}
    lines: list[str] = []
    for image in measured.images:
        names = layers(plan, image.name) if image.name in services else ()
        if len(names) == len(image.layers):
            sizes: Counter[str] = Counter()
            for name, layer in zip(names, image.layers, strict=True):
                sizes[name] += layer.uncompressed
            lines += _of_model(fleet, plan, services[image.name], pins, sizes)
    if fleet.compression.type == "gzip":
        lines.append("`compression: {type: zstd, level: 9}` compresses better than gzip")
    return tuple(lines)


def requested(fleet: Fleet, services: Collection[str]) -> tuple[str, ...]:
    """Which of these images the manifest removes files from, and by which key."""
    by_key: dict[str, list[str]] = {}
    for service in fleet.services:
        layers_of_service: tuple[Base | Service, ...] = (*service.bases, service)
        for layer in layers_of_service if service.name in services else ():
            if layer.removal.remove:
                by_key.setdefault(f"{layer.place}.remove", []).append(service.name)
    return tuple(
        f"removed on request: files of {', '.join(names)}, by {key}; `slimbake why` lists them"
        for key, names in by_key.items()
    )


def _of_model(
    fleet: Fleet, plan: Plan, service: Service, pins: Pins, sizes: Mapping[str, int]
) -> Iterator[str]:
    weights = service.weights.scope.name if service.weights else ""
    least = WORTH * sum(sizes.values())
    if not weights:
        return
    if service.inference == ONNX:
        less = int(_INT8 * sizes.get(weights, 0))
        if service.precision == "fp32" and less > least:
            yield f"{service.name}: `precision: int8` saves about {readable(less)} (an estimate)"
        return
    variants = [other for other in fleet.services if other.entry == service.entry]
    base = next((base for base in reversed(service.bases) if _cpu_torch(pins, base)), None)
    if base is None or any(variant.inference == ONNX for variant in variants):
        return
    going = {pin.name for pin in _going(pins[base_target(base.name)])}
    less = 0
    for name, size in sizes.items():
        recipe = plan.target(name).recipe
        if recipe and recipe.layer and all(pin.name in going for pin in recipe.layer.pins):
            less += size
    if less > least:
        yield (
            f"{service.name}: `inference: onnx` runs the model without torch and saves about"
            f" {readable(less)} (an estimate)"
        )


def _cpu_torch(pins: Pins, base: Base) -> bool:
    names = [pin.name for pin in pins.get(base_target(base.name), ())]
    return _TORCH in names and not any(name.startswith(_CUDA) for name in names)


def _going(pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """The packages that neither onnxruntime's base asks for nor anything in it needs."""
    kept, grown = set(RUNS), True
    while grown:
        more = {pin.name for pin in pins if kept.intersection(pin.via)} - kept
        kept, grown = kept | more, bool(more)
    return tuple(pin for pin in pins if pin.name not in kept)
