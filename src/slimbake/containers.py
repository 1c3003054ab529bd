"""Runs a fleet's images as they are meant to run: one network, no root, read-only, no capabilities."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from slimbake import docker
from slimbake.errors import SetupError
from slimbake.plan.model import Plan, Running
from slimbake.plan.targets import INSIDE

PROJECT = "slimbake.project"
DEBUG = "slimbake.debug"
HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp:mode=1777",
    "--user=65532:65532",
)

DEBUG_DOCKERFILE = """\
FROM python AS tools
FROM image
USER 0:0
COPY --from=tools / /
COPY --from=image /etc/passwd /etc/group /etc/
USER 65532:65532
ENTRYPOINT []
CMD ["/bin/bash"]
"""


def up(
    plan: Plan, services: Sequence[str], images: Mapping[str, str], say: Callable[[str], None]
) -> tuple[Running, ...]:
    """Start the services that listen on a port, each anew; those without one are commands, for `run`.

    `images`: service -> image. Ports are published on loopback only. Raises SetupError for an image that is missing.
    """
    client = docker.client()
    network(plan)
    started = []
    for service in _chosen(plan, services):
        if service.port is None:
            continue
        _must_exist(images[service.service])
        name = container(plan, service.service)
        client.container.remove(name, force=True) if client.container.exists(name) else None
        docker.call(
            "run", "--detach", f"--name={name}", f"--publish=127.0.0.1:{service.port}:{service.port}",
            *_placed(plan, service), images[service.service],
        )  # fmt: skip
        say(f"{service.service}: http://127.0.0.1:{service.port}")
        started.append(service)
    return tuple(started)


def run(plan: Plan, service: str, image: str, arguments: Sequence[str]) -> int:
    """Run one service's command in the foreground on the fleet's network; its exit code."""
    _must_exist(image)
    network(plan)
    chosen = _chosen(plan, (service,))[0]
    return docker.foreground("run", "--rm", "--interactive", *_terminal(), *_placed(plan, chosen), image, *arguments)


def down(plan: Plan, volumes: bool) -> tuple[str, ...]:
    """Remove the containers and the network of a fleet, and its volumes if asked to; the names of what is gone."""
    client = docker.client()
    gone = []
    label = {"label": f"{PROJECT}={plan.project}"}
    for found in client.container.list(all=True, filters=label):
        gone.append(found.name)
        client.container.remove(found, force=True)
    for net in client.network.list(filters=label):
        gone.append(net.name)
        client.network.remove(net)
    if volumes:
        for volume in client.volume.list(filters=label):
            gone.append(volume.name)
            client.volume.remove(volume)
    return tuple(gone)


def debug(plan: Plan, service: str, image: str, python: str, arguments: Sequence[str]) -> int:
    """A shell, or a command, in a derived image with the tools of the external Python image; never pushed.

    `python`: the context value of that external. Returns the exit code.
    """
    _must_exist(image)
    derived = f"slimbake-debug/{plan.project}-{service}"
    with tempfile.TemporaryDirectory(prefix="slimbake-debug-") as folder:
        (Path(folder) / "Dockerfile").write_text(DEBUG_DOCKERFILE)
        docker.call(
            "buildx", "build", "--quiet", "--load", f"--tag={derived}", f"--label={DEBUG}=true",
            f"--label={PROJECT}={plan.project}", f"--build-context=image=docker-image://{image}",
            f"--build-context=python={python}", folder,
        )  # fmt: skip
    return docker.foreground("run", "--rm", "--interactive", *_terminal(), derived, *arguments)


def record(plan: Plan, service: str, image: str, root: Path) -> str:
    """What a service's smoke says of its own image as a reference for parity: JSON."""
    target = plan.target(f"{service}-smoke")
    return docker.call(
        "run", "--rm", "--network=none", *HARDENED, f"--env=SMOKE={dict(target.args)['SMOKE']}",
        f"--volume={root / INSIDE / 'smoke.py'}:/inside/smoke.py:ro",
        f"--volume={root / target.context}:/inside/context:ro",
        "--entrypoint=python", image, "/inside/smoke.py", "--record",
    )  # fmt: skip


def network(plan: Plan) -> str:
    """The fleet's network, made if it is missing."""
    client = docker.client()
    if not client.network.exists(plan.project):
        client.network.create(plan.project, labels={PROJECT: plan.project})
    return plan.project


def container(plan: Plan, service: str) -> str:
    """The name of a service's container."""
    return f"{plan.project}-{service}"


def _placed(plan: Plan, service: Running) -> list[str]:
    words = [
        f"--network={plan.project}",
        f"--network-alias={service.service}",
        f"--label={PROJECT}={plan.project}",
    ]
    client = docker.client()
    for name, path in service.volumes:
        volume = f"{plan.project}-{name}"
        if not client.volume.exists(volume):
            client.volume.create(volume, labels={PROJECT: plan.project})
        words.append(f"--volume={volume}:{path}")
    return [*words, *HARDENED]


def _chosen(plan: Plan, services: Sequence[str]) -> tuple[Running, ...]:
    return tuple(service for service in plan.services if service.service in services)


def _terminal() -> tuple[str, ...]:
    return ("--tty",) if sys.stdin.isatty() and sys.stdout.isatty() else ()


def _must_exist(image: str) -> None:
    if not docker.client().image.exists(image):
        raise SetupError(f"the engine has no image {image}", "`slimbake bake` builds it")
