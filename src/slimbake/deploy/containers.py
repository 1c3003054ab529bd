"""Runs a fleet's images as they are meant to run: one network, no root, read-only, no capabilities."""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from slimbake import docker
from slimbake.errors import CheckError, SetupError
from slimbake.plan.model import Plan, Running
from slimbake.plan.targets import INSIDE

PROJECT = "slimbake.project"  # on images, and so on every container that anybody runs from them
FLEET = "slimbake.fleet"  # on what `up` and `run` make: only that is for `down` to remove
DEBUG = "slimbake.debug"
# seconds for services to listen; a large model takes longer to load, which is no fault
PATIENCE = 20.0
LAST_WORDS = 20  # lines
HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp:mode=1777",
    "--user=65532:65532",
)
_TO_BECOME_NONROOT = ("--cap-add=SETUID", "--cap-add=SETGID", "--cap-add=DAC_READ_SEARCH")

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
    """Start the services that listen on a port, each anew, and wait some seconds until they do
    listen.

    `images`: service -> image. Ports are published on loopback only. Services without a port are
    commands, for `run`. Raises SetupError for an image that is missing or a port that is taken,
    CheckError for a service that ended.
    """
    chosen = tuple(service for service in _chosen(plan, services) if service.port is not None)
    for service in chosen:
        _must_exist(images[service.service])
    network(plan)
    for service in chosen:
        _start(plan, service, images[service.service])
        say(f"{service.service}: http://127.0.0.1:{service.port}")
    if chosen:
        _wait(
            plan,
            {service.service: service.port for service in chosen if service.port is not None},
            say,
        )
    return chosen


def _start(plan: Plan, service: Running, image: str) -> None:
    client = docker.client()
    name = container(plan, service.service)
    if client.container.exists(name):
        client.container.remove(name, force=True)
    published = f"--publish=127.0.0.1:{service.port}:{service.port}"
    try:
        docker.call("run", "--detach", f"--name={name}", published, *_placed(plan, service), image)
    except SetupError as error:
        with contextlib.suppress(SetupError):
            docker.call("rm", "--force", name)  # Docker leaves it behind, made but never started
        raise SetupError(
            f"{service.service} could not be started on port {service.port}", error.hint
        ) from None


def _wait(plan: Plan, ports: Mapping[str, int], say: Callable[[str], None]) -> None:
    """Return once all services listen, or after PATIENCE; raises CheckError with the last words of
    one that ended.
    """
    names = [container(plan, service) for service in ports]
    silent, deadline = set(ports), time.monotonic() + PATIENCE
    while True:
        states = docker.call(
            "inspect", "--format={{.State.Running}} {{.State.ExitCode}}", *names
        ).splitlines()
        for service, state in zip(ports, states, strict=True):
            if not state.startswith("true"):
                raise _ended(service, container(plan, service), state.split()[1])
        silent = {service for service in silent if not _listens(ports[service])}
        if not silent:
            return
        if time.monotonic() > deadline:
            say(f"still starting: {', '.join(service for service in ports if service in silent)}")
            return
        time.sleep(0.2)


def _ended(service: str, name: str, code: str) -> CheckError:
    lines = docker.client().container.logs(name, tail=LAST_WORDS)
    return CheckError(
        f"{service} ended at once, with exit code {code}\n{lines}".rstrip(),
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
    network(plan)
    chosen = _chosen(plan, (service,))[0]
    return docker.foreground(
        "run", "--rm", "--interactive", *_terminal(), *_placed(plan, chosen), image, *arguments
    )


def down(plan: Plan, volumes: bool) -> tuple[str, ...]:
    """Remove the containers and the network of a fleet, and its volumes if asked to; the names of
    what is gone.
    """
    client = docker.client()
    gone = []
    label = f"{FLEET}={plan.project}"
    for found in client.container.list(all=True, filters=[("label", label)]):
        gone.append(found.name)
        client.container.remove(found, force=True)
    for net in client.network.list(filters=[("label", label)]):
        gone.append(net.name)
        client.network.remove(net)
    if volumes:
        for volume in client.volume.list(filters=[("label", label)]):
            gone.append(volume.name)
            client.volume.remove(volume)
    return tuple(gone)


def debug(plan: Plan, service: str, image: str, python: str, arguments: Sequence[str]) -> int:
    """A shell, or a command, in a derived image with the tools of the external Python image; never
    pushed.

    `python`: the context value of that external. Returns the exit code.
    """
    _must_exist(image)
    derived = f"slimbake-debug/{plan.project}-{service}"
    with tempfile.TemporaryDirectory(prefix="slimbake-debug-") as folder:
        (Path(folder) / "Dockerfile").write_text(DEBUG_DOCKERFILE)
        docker.call(
            "buildx",
            "build",
            "--quiet",
            f"--tag={derived}",
            "--output=type=image,compression=uncompressed",  # it is never pushed: half the time
            f"--label={DEBUG}=true",
            f"--label={PROJECT}={plan.project}",
            f"--build-context=image=docker-image://{image}",
            f"--build-context=python={python}",
            folder,
        )
    return docker.foreground("run", "--rm", "--interactive", *_terminal(), derived, *arguments)


def record(plan: Plan, service: str, image: str, root: Path) -> str:
    """What a service's smoke says of its own image as a reference for parity: JSON."""
    target = plan.target(f"{service}-smoke")
    return docker.call(
        "run",
        "--rm",
        "--network=none",
        *HARDENED,
        "--user=0:0",
        *_TO_BECOME_NONROOT,
        f"--env=SMOKE={dict(target.args)['SMOKE']}",
        f"--volume={root / INSIDE / 'check.pyz'}:/check.pyz:ro",
        f"--volume={root / target.context}:/inside/context:ro",
        "--entrypoint=python",
        image,
        "/check.pyz",
        "smoke",
        "--as-nonroot",
        "--record",
    )


def network(plan: Plan) -> str:
    """The fleet's network, made if it is missing."""
    client = docker.client()
    if not client.network.exists(plan.project):
        client.network.create(plan.project, labels={FLEET: plan.project})
    return plan.project


def container(plan: Plan, service: str) -> str:
    """The name of a service's container."""
    return f"{plan.project}-{service}"


def _placed(plan: Plan, service: Running) -> list[str]:
    words = [
        f"--network={plan.project}",
        f"--network-alias={service.host}",
        f"--label={FLEET}={plan.project}",
    ]
    client = docker.client()
    for name, path in service.volumes:
        volume = f"{plan.project}-{name}"
        if not client.volume.exists(volume):
            client.volume.create(volume, labels={FLEET: plan.project})
        words.append(f"--volume={volume}:{path}")
    return [*words, *HARDENED]


def _chosen(plan: Plan, services: Sequence[str]) -> tuple[Running, ...]:
    return tuple(service for service in plan.services if service.service in services)


def _terminal() -> tuple[str, ...]:
    return ("--tty",) if sys.stdin.isatty() and sys.stdout.isatty() else ()


def _must_exist(image: str) -> None:
    if not docker.client().image.exists(image):
        raise SetupError(f"the engine has no image {image}", "`slimbake bake` builds it")
