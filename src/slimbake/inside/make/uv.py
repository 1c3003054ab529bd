"""Runs uv in a step: without a network, and without the machine's settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..step import INSIDE, StepError

TMP = Path("/tmp")  # noqa: S108 - a tmpfs of this step alone
OFFLINE = ("--no-index", "--find-links", str(INSIDE / "wheels"))


def run_uv(*arguments: str, **environment: str) -> None:
    """Run uv with these arguments. `environment`: variables besides. Raises StepError."""
    settings = {
        "UV_CACHE_DIR": str(TMP / "uv"),
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(TMP),
    }
    command = [str(INSIDE / "uv"), *arguments]
    done = subprocess.run(command, check=False, env={**os.environ, **settings, **environment})
    if done.returncode:
        raise StepError(f"uv {arguments[0]} failed with exit code {done.returncode}")
