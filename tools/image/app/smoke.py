"""What slimbake starts is in its image, and runs there."""

import subprocess
import tempfile
from pathlib import Path

PROGRAMS = (
    ("docker", "--version"),
    ("docker", "buildx", "version"),
    ("docker", "compose", "version"),
    ("git", "--version"),
    ("uv", "--version"),
)


def imports() -> None:
    """What `up` needs beside the command line, which `load` calls."""
    import python_on_whales  # noqa: F401


def load() -> None:
    """Each program says its version, and `init` reads a Dockerfile."""
    for command in PROGRAMS:
        subprocess.run(command, check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text('FROM python:3.12\nCMD ["python", "-m", "this"]\n')
        command = ("slimbake", "init", "--dry-run")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "python, -m, this" in done.stdout, done.stdout
