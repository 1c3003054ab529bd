"""What a step that exports a model is told. Pure."""

from __future__ import annotations

from typing import Any

from slimbake.plan.model import ExportStep

_CONTEXT = "/inside/context"  # where a step has its context


def told(export: ExportStep) -> dict[str, Any]:
    """What the program is told; of a precision, what concerns its type."""
    calibration = f"{_CONTEXT}/{export.calibration}" if export.calibration else ""
    return {"precision": export.precision.settings(calibration)}
