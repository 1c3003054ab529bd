"""Models as graphs for ONNX Runtime: what each is exported from and on, and with which options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from slimbake.config.model import Manifest, Precision, Weights
from slimbake.fleet.sources import WeightsSource, origin
from slimbake.plan.model import Export, Recipe, Target
from slimbake.plan.targets import FROM_INSIDE, GENERATED, INSIDE, RUNTIME, labels, literal

_CONTEXT = "/inside/context"  # where a step has its context


def exported(
    source: WeightsSource, sources: dict[Weights, WeightsSource], manifest: Manifest
) -> Target:
    """The target of weights that are an export."""
    name, made = f"weights-{source.name}", source.weights.export
    assert made is not None  # noqa: S101 - for the type checker
    below = f"weights-{sources[origin(source.weights)].name}"
    calibration = PurePosixPath(made.precision.calibration or "")
    return Target(
        name=name,
        kind="weights",
        service="",
        context=str(calibration.parent) if made.precision.calibration else INSIDE,
        dockerfile=f"{GENERATED}/{name}.Dockerfile",
        recipe=Recipe(
            template="export.Dockerfile.j2",
            export=Export(
                precision=made.precision,
                calibration=calibration.name,
                options=tuple(_options(made.precision, calibration.name)),
            ),
            lock=f"{below}.txt",  # it is those weights, in another form
        ),
        contexts=(
            FROM_INSIDE,
            RUNTIME,
            ("base", f"target:base-{made.base}"),
            ("source", f"target:{below}"),
        ),
        labels=labels(manifest, name),
        repository=name,
        ignore=("*", f"!{literal(calibration.name)}") if calibration.name else (),
    )


def _options(precision: Precision, calibration: str) -> Iterator[str]:
    """A precision as the options of the program that exports; see `slimbake.inside.export`."""
    file = f"{_CONTEXT}/{calibration}" if calibration else ""
    for key, value in settings(precision, file).items():
        option = "precision" if key == "type" else key
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        else:
            values = value if isinstance(value, list) else [value]
            yield from (f"--{option}={each}" for each in values)


def settings(precision: Precision, calibration: str = "") -> dict[str, Any]:
    """A precision as JSON has it, under the manifest's keys. `calibration`: where its file is."""
    said = {
        "type": precision.type,
        "per-channel": precision.per_channel,
        "reduce-range": precision.reduce_range,
        "exclude": list(precision.exclude) or None,
        "mode": precision.mode,
        "calibration": calibration or None,
    }
    return {key: value for key, value in said.items() if value is not None}
