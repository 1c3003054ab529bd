"""The surroundings in which images run: `up`, `run`, start check and verify have the same.

A smoke runs in a step of a build, which has no such options: `inside.check.surroundings` makes them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from slimbake.config.naming import WEIGHTS_FOLDER
from slimbake.plan.model import Running

HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


def emulated(platform: str) -> int:
    """By how many times a platform that is emulated is slower; "" is this machine's."""
    return 10 if platform else 1


def crowded() -> int:
    """By how many times limits are longer on a machine that has more to do than its cores can: at
    most three times, so that a person sees the end of a check that hangs.
    """
    return min(3, max(1, math.ceil(os.getloadavg()[0] / (os.cpu_count() or 1))))


def foreign(platform: str) -> tuple[str, ...]:
    """Options of `docker run` for an image of a platform that is not this machine's; "" is."""
    return (f"--platform={platform}",) if platform else ()


def surroundings(service: Running, volumes: Mapping[str, str] = {}) -> tuple[str, ...]:
    """Options of `docker run`: the user, variables that the image lacks, what is writable, and the
    manifest's volumes.

    `volumes`: the engine's volume for each of the manifest's; one that is not there is new, and
    goes with its container. Either is made from what the image has at its path.
    """
    return (
        *HARDENED,
        *(f"--cap-add={capability}" for capability in service.cap_add),
        *((f"--user={service.user}",) if service.user else ()),
        *(f"--env={name}={value}" for name, value in service.env),
        *(f"--tmpfs={path}" for path in service.in_memory),
        *(
            f"--volume={volumes[name]}:{path}" if name in volumes else f"--volume={path}"
            for name, path in service.volumes
        ),
        *mounting(service),
    )


def mounting(service: Running) -> tuple[str, ...]:
    """The option of `docker run` that mounts a service's weights, where they are mounted."""
    volume = service.weights_volume
    return (f"--volume={volume}:{WEIGHTS_FOLDER}:ro",) if volume else ()
