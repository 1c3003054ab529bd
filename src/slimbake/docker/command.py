"""The way to Docker: its command line."""

from __future__ import annotations

from collections.abc import Mapping

from slimbake.errors import SetupError
from slimbake.host import process


def call(
    *arguments: str,
    stdin: str = "",
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a docker command and return its stdout. `timeout` is in seconds; `env` comes on top.

    Raises SetupError with Docker's own words.
    """
    done = process.execute(["docker", *arguments], stdin=stdin, timeout=timeout, env=env)
    if not done.ok:
        raise SetupError(f"docker {arguments[0]} failed", done.stderr.strip())
    return done.stdout


def succeeds(*arguments: str) -> bool:
    """Run a docker command that may fail for a good reason, as a removal of what is in use."""
    return process.execute(["docker", *arguments]).ok
