"""Runs a fleet's images as they are meant to run: one network, no root, read-only, no capabilities."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimbake import docker
from slimbake.checks.surroundings import surroundings
from slimbake.config.naming import PROGRAMS
from slimbake.console import Console
from slimbake.docker.containers import FLEET
from slimbake.docker.images import PROJECT
from slimbake.errors import CheckError, SetupError
from slimbake.plan.model import Plan, Running

DEBUG = "slimbake.debug"
# seconds for services to listen; a large model takes longer to load, which is no fault
PATIENCE = 20.0
LAST_WORDS = 20  # lines
_TO_BECOME_NONROOT = (
    "--cap-add=SETUID",
    "--cap-add=SETGID",
    "--cap-add=DAC_READ_SEARCH",
    "--cap-add=KILL",
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
    plan: Plan, services: Sequence[str], images: Mapping[str, str], console: Console
) -> tuple[Running, ...]:
    """Start the services that listen on a port, each anew, and wait some seconds until they do
    listen.

    `images`: service -> image. Ports are published on loopback only. Services without a port are
    commands, for `run`. Raises SetupError for an image that is missing or a port that is taken,
    CheckError for a service that ended.
    """
    chosen = tuple(service for service in _chosen(plan, services) if service.port is not None)
    for service in chosen:
        _must_exist(images[service.service])
    docker.fleet_network(plan.project)
    for service in chosen:
        _start(plan, service, images[service.service])
        console.say(f"{service.service}: http://127.0.0.1:{service.port}")
    if chosen:
        _wait(
            plan,
            {service.service: service.port for service in chosen if service.port is not None},
            console,
        )
    return chosen


def _start(plan: Plan, service: Running, image: str) -> None:
    name = container(plan, service.service)
    published = f"--publish=127.0.0.1:{service.port}:{service.port}"
    docker.remove_container(name)
    try:
        docker.start_container(name, published, *_placed(plan, service), image)
    except SetupError as error:
        raise SetupError(
            f"{service.service} could not be started on port {service.port}", error.hint
        ) from None


def _wait(plan: Plan, ports: Mapping[str, int], console: Console) -> None:
    """Return once all services listen, or after PATIENCE; raises CheckError with the last words of
    one that ended.
    """
    silent, deadline = set(ports), time.monotonic() + PATIENCE
    while True:
        for service in ports:
            name = container(plan, service)
            if (code := docker.exit_code(name)) is not None:
                raise _ended(service, name, code)
        silent = {service for service in silent if not _listens(ports[service])}
        if not silent:
            return
        if time.monotonic() > deadline:
            console.say(
                f"still starting: {', '.join(service for service in ports if service in silent)}"
            )
            return
        time.sleep(0.2)


def _ended(service: str, name: str, code: int) -> CheckError:
    return CheckError(
        f"{service} ended at once, with exit code"
        f" {code}\n{docker.last_words(name, LAST_WORDS)}".rstrip(),
        f"`docker logs {name}` tells all; `slimbake down` ends the others",
    )


def _listens(port: int) -> bool:
    """Whether the port's service is there. Docker's proxy takes every connection, and ends those it
    has no use for.
    """
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
    ):
        connection.settimeout(0.05)
        try:
            return connection.recv(1) != b""
        except TimeoutError:  # it waits for us to speak
            return True
    return False


def run(plan: Plan, service: str, image: str, arguments: Sequence[str]) -> int:
    """Run one service's command in the foreground on the fleet's network; its exit code."""
    _must_exist(image)
    docker.fleet_network(plan.project)
    chosen = _chosen(plan, (service,))[0]
    return docker.run_foreground(*_placed(plan, chosen), image, *arguments)


def down(plan: Plan, volumes: bool) -> tuple[str, ...]:
    """Remove the containers and the network of a fleet, and its volumes if asked to; the names of
    what is gone.
    """
    return docker.remove_fleet(plan.project, volumes)


def debug(plan: Plan, service: str, image: str, python: str, arguments: Sequence[str]) -> int:
    """A shell, or a command, in a derived image with the tools of the external Python image; never
    pushed.

    `python`: the context value of that external. Returns the exit code.
    """
    _must_exist(image)
    derived = f"slimbake-debug/{plan.project}-{service}"
    docker.build_image(
        DEBUG_DOCKERFILE,
        derived,
        {"image": f"docker-image://{image}", "python": python},
        labels={DEBUG: "true", PROJECT: plan.project},
    )
    return docker.run_foreground(derived, *arguments)


def record_reference(plan: Plan, service: str, image: str, root: Path) -> str:
    """What a service's smoke says of its own image as a reference for parity: JSON."""
    target = plan.target(f"{service}-smoke")
    running = _chosen(plan, (service,))[0]
    return docker.container_output(
        "--network=none",
        *surroundings(running),
        "--user=0:0",
        *_TO_BECOME_NONROOT,
        *(f"--env={key}={value}" for key, value in target.checked_with),
        f"--volume={root / PROGRAMS / 'check.pyz'}:/check.pyz:ro",
        f"--volume={root / target.context}:/inside/context:ro",
        "--entrypoint=python",
        image,
        "-ISB",
        "/check.pyz",
        "smoke",
        "--as-nonroot",
        "--reference",
    )


def container(plan: Plan, service: str) -> str:
    """The name of a service's container."""
    return f"{plan.project}-{service}"


def _placed(plan: Plan, service: Running) -> list[str]:
    volumes = {name: docker.fleet_volume(plan.project, name) for name, _ in service.volumes}
    return [
        f"--network={plan.project}",
        f"--network-alias={service.host}",
        f"--label={FLEET}={plan.project}",
        *surroundings(service, volumes),
    ]


def _chosen(plan: Plan, services: Sequence[str]) -> tuple[Running, ...]:
    return tuple(service for service in plan.services if service.service in services)


def _must_exist(image: str) -> None:
    if not docker.find_image(image):
        raise SetupError(f"the engine has no image {image}", "`slimbake bake` builds it")


# Removes from the engine what slimbake made for one project, told by its labels.

OURS = ("slimbake/", "slimbake-debug/")  # names that slimbake gives, besides those of releases


def prune(project: str, everything: bool) -> tuple[str, ...]:
    """Remove of a project what no release names, or all of it; the names of those that are gone.

    An image that a container still runs stays.
    """
    gone = docker.remove_dangling(project)
    for names in docker.project_images(project).values():
        ours = (name for name in names if everything or name.startswith(OURS))
        gone += [name for name in ours if "<none>" not in name and docker.remove_image(name)]
    return tuple(gone)
