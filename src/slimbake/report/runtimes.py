"""What images of `from` cost beside slimbake's own runtime, by what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.console.tables import megabytes
from slimbake.fleet.model import Runtime
from slimbake.images.sizes import Measurement
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan


def runtime_lines(plan: Plan, measurement: Measurement) -> Iterator[str]:
    """A line for each image of `from` on which a measured service stands."""
    sizes = _runtime_sizes(plan, measurement)
    for runtime, size in sizes.items():
        if not runtime.image:
            continue
        line = f"from {runtime.image}: {megabytes(size)}"
        own = sizes.get(Runtime(runtime.python))
        if own is not None:
            version = runtime.python.version
            line += f", {megabytes(size - own)} more than slimbake's runtime of Python {version}"
        yield line


def _runtime_sizes(plan: Plan, measurement: Measurement) -> dict[Runtime, int]:
    """The uncompressed bytes of each runtime, as the first image on it has it."""
    services = {service.service for service in plan.services}
    sizes: dict[Runtime, int] = {}
    for image in measurement.images:
        runtime = plan.target(image.name).runtime if image.name in services else None
        names = layers(plan, image.name, len(image.layers)) if runtime else ()
        if runtime and len(names) == len(image.layers):
            laid = zip(names, image.layers, strict=True)
            size = sum(layer.uncompressed for name, layer in laid if name == runtime.name)
            sizes.setdefault(runtime, size)
    return sizes
