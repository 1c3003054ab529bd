"""Models as graphs for ONNX Runtime: what each is exported from and on, and what the step is told."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from slimbake.config.model import Manifest, Precision, Weights
from slimbake.fleet.sources import WeightsSource, origin
from slimbake.plan.model import Export, Recipe, Target
from slimbake.plan.targets import FROM_INSIDE, GENERATED, INSIDE, RUNTIME, labels, literal

SETTINGS = "exports"  # a folder in INSIDE: what each step is told
PROGRAMS = (
    "export.py",
    *(
        "export_decoder.py",
        "export_encoder.py",
        "export_quantise.py",
        "export_torch.py",
        "export_weights.py",
    ),
)
"""All of them, for every model: what its task is, only its files say."""

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
                programs=PROGRAMS,
                precision=made.precision,
                calibration=calibration.name,
                told=f"{SETTINGS}/{name}.json",
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


def told(export: Export) -> dict[str, Any]:
    """What the program is told; of a precision, what concerns its type."""
    calibration = f"{_CONTEXT}/{export.calibration}" if export.calibration else ""
    return {"precision": settings(export.precision, calibration)}


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
