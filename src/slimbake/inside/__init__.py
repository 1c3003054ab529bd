"""The programs that run in containers: the standard library alone, and nothing of ours."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where their sources lie on this machine."""
