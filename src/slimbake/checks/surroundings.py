"""The surroundings in which images run: `up`, `run`, start check and verify have the same.

A smoke runs in a step of a build, which has no such options: `inside.check.surroundings` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimbake.config.naming import WEIGHTS_FOLDER
from slimbake.inside.check.pace import MOST
from slimbake.plan.model import Running

_ENGINE = 120.0  # seconds

HARDENED = ("--cap-drop=ALL", "--security-opt=no-new-privileges")


def emulated(platform: str) -> int:
    """By how many times a platform that is emulated is slower; "" is this machine's."""
    return 10 if platform else 1


def patience(limit: float) -> float:
    """Seconds of wall time that a container has for a check whose own clock gives it `limit`: that
    one stands while the check waits for a core, and the engine has to make and remove the container.
    """
    return MOST * limit + _ENGINE


def foreign(platform: str) -> tuple[str, ...]:
    """Options of `docker run` for an image of a platform that is not this machine's; "" is."""
    return (f"--platform={platform}",) if platform else ()


def surroundings(service: Running, volumes: Mapping[str, str] = {}) -> tuple[str, ...]:
    """Options of `docker run`: the user, variables that the image lacks, what is writable, and the
    manifest's volumes.

    `volumes`: the engine's volume for each of the manifest's; one that is not there is new, and
    goes with its container. Either is made from what the image has at its path.
    """
    options = [] if service.keeps_home else ["--read-only"]
    options += HARDENED
    options += [f"--cap-add={capability}" for capability in service.cap_add]
    if service.user:
        options.append(f"--user={service.user}")
    options += [f"--env={name}={value}" for name, value in service.env]
    options += [f"--tmpfs={path}" for path in service.in_memory]
    for name, path in service.volumes:
        volume = f"{volumes[name]}:{path}" if name in volumes else path
        options.append(f"--volume={volume}")
    return (*options, *mounting(service))


def mounting(service: Running) -> tuple[str, ...]:
    """The option of `docker run` that mounts a service's weights, where they are mounted."""
    volume = service.weights_volume
    if volume:
        return (f"--volume={volume}:{WEIGHTS_FOLDER}:ro",)
    return ()
