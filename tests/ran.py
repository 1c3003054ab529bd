"""Programs that have ended."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def ran(words: Sequence[str | Path], **how: Any) -> subprocess.CompletedProcess[str]:
    """A program that has ended, with what it wrote as text; `how`: as `subprocess.run` takes it."""
    said: dict[str, Any] = {"capture_output": True, "text": True, "check": False, **how}
    return subprocess.run(words, **said)
