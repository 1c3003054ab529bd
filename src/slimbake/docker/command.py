"""How Docker is asked: by its command line, and by python-on-whales where that can do the job.

python-on-whales takes 0.3 s to import. So the questions of a bake that builds nothing go to the
command line: which images there are, what one of them is, what the engine is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from slimbake.errors import SetupError
from slimbake.host import process

if TYPE_CHECKING:
    from python_on_whales import DockerClient


def call(*arguments: str, stdin: str = "", timeout: float | None = None) -> str:
    """A docker command to its end, or for so many seconds: what it wrote on stdout. Raises SetupError
    with Docker's own words.
    """
    done = process.execute(["docker", *arguments], stdin=stdin, timeout=timeout)
    if not done.ok:
        raise SetupError(f"docker {arguments[0]} failed", done.stderr.strip())
    return done.stdout


@contextlib.contextmanager
def client() -> Iterator[DockerClient]:
    """python-on-whales' client of the engine that Docker's own settings choose.

    What fails in the block becomes a SetupError with Docker's own words, as of `call`.
    """
    from python_on_whales import ClientNotFoundError, DockerClient, DockerException

    try:
        yield DockerClient()
    except DockerException as error:
        command = error.docker_command[1]
        raise SetupError(f"docker {command} failed", (error.stderr or "").strip()) from None
    except ClientNotFoundError:
        raise SetupError("docker is not installed", "see what slimbake doctor says") from None
