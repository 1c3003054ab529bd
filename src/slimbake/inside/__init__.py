"""The programs that run in containers: the standard library alone, and nothing of ours."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where their sources lie on this machine."""

EXPORT_PROGRAMS = (
    "export.py",
    *("export_decoder.py", "export_encoder.py", "export_quantise.py"),
    *("export_torch.py", "export_weights.py"),
)
"""What exports a model: all of it, for every model, since only its files say what its task is."""
