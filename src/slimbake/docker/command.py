"""The two ways to Docker: python-on-whales where it can do the job, else the command line.

Importing python-on-whales takes 0.3 s. A bake of an edit must not pay for it, so what such a bake
asks goes to the command line: which images there are, what is in one, which engine it is, tags.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from slimbake.errors import DockerError, SetupError
from slimbake.host import process

if TYPE_CHECKING:
    from python_on_whales import DockerClient


def call(
    *arguments: str,
    stdin: str = "",
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a docker command and return its stdout. `timeout` is in seconds; `env` comes on top.

    Raises DockerError with Docker's own words.
    """
    try:
        done = process.execute(["docker", *arguments], stdin=stdin, timeout=timeout, env=env)
    except SetupError as error:
        raise DockerError(error.message, error.hint) from None
    if not done.ok:
        raise DockerError(f"docker {arguments[0]} failed", done.stderr.strip())
    return done.stdout


def succeeds(*arguments: str) -> bool:
    """Run a docker command that may fail for a good reason, as a removal of what is in use."""
    return process.execute(["docker", *arguments]).ok


@contextlib.contextmanager
def client(**settings: Any) -> Iterator[DockerClient]:
    """python-on-whales' client for the engine that Docker's own settings choose.

    Turns its exceptions into a DockerError with Docker's own words, as `call` raises it.
    """
    from python_on_whales import ClientNotFoundError, DockerClient, DockerException

    try:
        yield DockerClient(**settings)
    except DockerException as error:
        command = error.docker_command[1]
        raise DockerError(f"docker {command} failed", (error.stderr or "").strip()) from None
    except ClientNotFoundError:
        raise DockerError("docker is not installed", "see what slimbake doctor says") from None
