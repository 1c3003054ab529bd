"""What images of `from` cost beside slimbake's own runtime, by what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.console.tables import megabytes
from slimbake.fleet.model import Runtime
from slimbake.images.sizes import Measurement
from slimbake.plan.model import Plan
from slimbake.report.layers import laid_layers


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
    services = set(plan.service_names)
    sizes: dict[Runtime, int] = {}
    for image in measurement.images:
        if image.name not in services:
            continue
        runtime = plan.target(image.name).runtime
        if runtime is None or runtime in sizes:
            continue
        for name, layer in laid_layers(plan, image):
            sizes.setdefault(runtime, 0)
            if name == runtime.name:
                sizes[runtime] += layer.uncompressed
    return sizes
