"""The fleet in containers, through Docker Compose: started, awaited, run, read and removed."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.checks.mounts import mounted
from slimbake.checks.start import ALIVE
from slimbake.config.files import own_compose
from slimbake.console import QUIET, Console
from slimbake.docker.beside import OwnServices, own_services
from slimbake.docker.compose import ComposeProject, ContainerState, require_compose
from slimbake.errors import CheckError, SetupError, UsageError
from slimbake.externals.beside import beside_images, lacking, pull
from slimbake.plan.model import Running
from slimbake.project import Project
from slimbake.release.inputs import outdated
from slimbake.render import Generated
from slimbake.render.compose import COMPOSE_FILE, compose, literal, mount
from slimbake.render.documents import Override, document
from slimbake.render.generated import Drift, drift, repair

LAST_WORDS = 20  # lines
EVERY = 0.5  # seconds between two looks
SETTLED = 2.0  # seconds that a restarted service has to be well: who edits waits for it
PATIENCE = 15  # seconds of failing health checks, after which `up` says so


def up(
    project: Project,
    services: Sequence[str],
    images: Mapping[str, str],
    environment: Mapping[str, str],
    console: Console,
    code: Mapping[str, Path] = {},
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Start these services, what they depend on and what their `start: {with: ...}` names, and wait
    until each is well: healthy, alive, or ended without a fault. Gives what was started of the
    fleet, and of the repository's own compose file.

    `code`: service -> a folder that is mounted in place of the code of its image. Left out: programs
    that take arguments, which are for `run`. Raises SetupError for an image that
    is missing or what Compose cannot start, and removes what it started then; CheckError for what
    dies or gets unhealthy.
    """
    chosen = project.plan.starting(services, _there(project))
    names = tuple(service.service for service in chosen)
    with _given(project, chosen, images, environment, console, code) as (together, beside):
        _start(together, names)
        states = _awaited(together, names, beside, console)
    for service in chosen:
        state = states[service.service]
        if state.published:
            more = (
                ""
                if service.publish
                else f" (another has {service.port}; `publish: PORT` sets one)"
            )
            console.say(f"{service.service}: 127.0.0.1:{state.published}{more}")
        elif state.code is not None:
            console.say(f"{service.service}: finished with exit code 0")
        elif not service.port:
            console.say(f"{service.service}: runs without a `port`, so nothing of it is published")
    return names, beside


def _there(project: Project) -> frozenset[str]:
    """The services that run, where it matters: a variant that runs stands for its service."""
    if not any(service.copied for service in project.plan.services):
        return frozenset()
    with started(project) as together:
        return frozenset(name for name, state in together.states().items() if state.code is None)


def _start(together: ComposeProject, services: Sequence[str]) -> None:
    """Have Compose start these services, those that others wait for first. Raises CheckError for one
    of these that dies or gets unhealthy; else SetupError, with the ports that are taken.
    """
    try:
        together.up(services)
    except SetupError as error:
        states = together.states()
        ports = {name: state.taken for name, state in states.items() if state.taken}
        if not ports:
            ran = {n: states[n] for n in services if n in states and not states[n].error}
            _expect_well(together, ran)
        users = {port: docker.publishing(port) for port in ports.values()}
        what = [
            f"{name}: port {port} of this machine is in use by {users[port]}"
            for name, port in ports.items()
        ]
        hints = [
            f"end that, or give {name} another port: "
            + (
                "`publish:` in the manifest"
                if name in services
                else "`ports:` in your own compose file"
            )
            for name in ports
        ]
        rest = "`slimbake down` removes what was started"
        raise SetupError(
            "\n".join(what or [error.message]),
            "\n".join(filter(None, (*(hints or [error.hint]), rest))),
        ) from None


def run(
    project: Project,
    service: str,
    images: Mapping[str, str],
    environment: Mapping[str, str],
    arguments: Sequence[str],
    console: Console,
) -> int:
    """Run one service in the foreground, beside what is up; its exit code."""
    chosen = tuple(running for running in project.plan.services if running.service == service)
    with _given(project, chosen, images, environment, console) as (together, _):
        return together.run(service, arguments)


@contextlib.contextmanager
def started(project: Project) -> Iterator[ComposeProject]:
    """The fleet as it was started, to be looked at or ended: files of variables may have gone, and
    what set those without which Compose reads nothing (`${KEY:?}`).
    """
    with_files = (service.service for service in project.plan.services if service.env_file)
    without = "".join(f"  {name}: {{env_file: !reset []}}\n" for name in with_files)
    values = (value for service in project.plan.services for _, value in service.environment)
    named = {name for value in values for name in re.findall(r"\$\{(\w+)", value)}
    with (
        tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".yaml") as file,
        tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".env") as placeholders,
    ):
        file.write(f"services:\n{without}" if without else "services: {}\n")
        file.flush()
        placeholders.writelines(f"{name}=-\n" for name in sorted(named))
        placeholders.flush()
        together = _prepared(project)
        files = (*together.files, Path(file.name))
        yield replace(
            together, files=files, env_files=(Path(placeholders.name), *together.env_files)
        )


def _to_start(project: Project) -> ComposeProject:
    """The fleet for Compose. Raises SetupError where a file of variables is missing."""
    missing = [
        f"services.{service.service}.env_file: there is no {name}"
        for service in project.plan.services
        for name in service.env_file
        if not (project.root / name).is_file()
    ]
    if missing:
        raise SetupError("\n".join(missing), "write it, with lines NAME=VALUE, or remove the key")
    return _prepared(project)


def _prepared(project: Project) -> ComposeProject:
    """The fleet for Compose, its file written. Raises SetupError where there is no Compose, and
    where the containers of that name are another repository's.
    """
    require_compose()
    filled = any(service.environment for service in project.plan.services)
    env_files = (project.root / ".env",) if filled and (project.root / ".env").is_file() else ()
    together = ComposeProject(project.plan.project, (project.root / COMPOSE_FILE,), env_files)
    if elsewhere := together.elsewhere:
        raise SetupError(
            f"there are containers of another project '{together.name}', of {elsewhere}",
            "run `slimbake down` there, or `docker compose --project-name"
            f" {together.name} down`; or give one of the two another `project:`",
        )
    volume, folder = together.data_elsewhere
    if volume:
        raise SetupError(
            f"the volume {volume} has the data of another project '{together.name}', of {folder}",
            "give one of the two another `project:`; or, where that data is not needed,"
            f" `docker volume rm {volume}`",
        )
    written(project)
    return together


@contextlib.contextmanager
def _given(
    project: Project,
    services: Sequence[Running],
    images: Mapping[str, str],
    environment: Mapping[str, str],
    console: Console,
    code: Mapping[str, Path] = {},
) -> Iterator[tuple[ComposeProject, tuple[str, ...]]]:
    """The fleet with the images and variables of this call, which may be secret: nobody else can
    read them, and they are gone afterwards. With it, what these services need of the repository's
    own compose file; of the fleet they wait for one another alone.

    Volumes are made. Raises SetupError for an image that is missing.
    """
    together = _to_start(project)
    needed = project.plan.with_weights(tuple(service.service for service in services))
    _tell_outdated(project, docker.image_ids({name: images[name] for name in needed}), console)
    needs = {service.service: service.start.beside for service in services if service.start.beside}
    compose_services = _own(project, needs, console)
    fleet = {name for service in project.plan.services for name in (service.service, service.host)}
    beside = compose_services.needed(itertools.chain(*needs.values()), fleet)
    added = compose_services.joined(beside)
    names = tuple(service.service for service in services)
    plan = mounted(project.plan, images, names)
    volumes = {service.service: service.weights_volume for service in plan.services}
    variables = {name: literal(text) for name, text in environment.items()}
    for service in services:
        on_top: dict[str, Any] = {"image": literal(images[service.service]), "pull_policy": "never"}
        on_top["environment"] = variables
        awaited = plan.awaited(service, names).items()
        first: dict[str, Any] = {name: {"condition": how} for name, how in awaited}
        if service.start.beside:
            on_top["environment"] = {**compose_services.variables(service.host), **variables}
            first |= compose_services.awaits(
                service.host, compose_services.needed(service.start.beside, fleet)
            )
        if first or service.depends_on:
            on_top["depends_on"] = Override(first)
        on_top["volumes"] = []
        if service.service in code:
            folder = {
                "type": "bind",
                "source": literal(str(code[service.service])),
                "target": "/app",
            }
            on_top["volumes"].append({**folder, "read_only": True})
        if volume := volumes[service.service]:  # in place of `type: image`, which old engines lack
            on_top["volumes"].append(mount("volume", volume))
            added["volumes"][volume] = {"name": volume, "external": True}
        added["services"][service.service] = on_top
    with tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".yaml") as file:
        file.write(document(added))
        file.flush()
        theirs = (k for k, v in added["volumes"].items() if v == {"name": f"{together.name}_{k}"})
        # of all services: Compose makes those of the ones that do not start, too
        every = (volume for service in project.plan.services for volume, _ in service.volumes)
        together.make_volumes((*every, *theirs))
        yield replace(together, files=(*together.files, Path(file.name))), beside


def _tell_outdated(project: Project, images: Mapping[str, str], console: Console) -> None:
    """Say which images were baked here before something that goes into them was edited."""
    with contextlib.suppress(SetupError):  # no build would work here, and images start
        if names := outdated(project, images, console):
            console.say(
                f"{', '.join(names)}: edited since the last bake, whose image starts:"
                f" `slimbake bake {' '.join(names)}` makes a new one"
            )


def _own(project: Project, needs: Mapping[str, Sequence[str]], console: Console) -> OwnServices:
    """The repository's own compose file, where services need something of it."""
    if not needs:
        return OwnServices({"services": {}})
    file = project.root / own_compose(project.root).name
    file_services = own_services(file, project.plan.project)
    pull(lacking(beside_images(file, file_services, needs)), console)
    return file_services


def restart(project: Project, services: Collection[str]) -> None:
    """Restart the containers of these services, in the order of what they depend on, and wait until
    each is well. Raises as `up` does.
    """
    names = [s.service for s in project.plan.services if s.service in services and not s.by_hand]
    with started(project) as together:
        together.restart(names)
        _awaited(together, names, settle=SETTLED)


def written(project: Project) -> None:
    """Write the compose file, where it is missing or stale."""
    file = Generated(COMPOSE_FILE, b"".join(compose(project.plan)))
    repair(Drift(drift((file,), project.root).write, ()), project.root)


def variables(given: Iterable[str]) -> dict[str, str]:
    """What `--env` names: NAME=VALUE, or NAME alone for this process's own."""
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals and name not in os.environ:
            raise UsageError(f"--env {name}: there is no such variable here", "--env NAME=VALUE")
        values[name] = value if equals else os.environ[name]
    return values


def _awaited(
    together: ComposeProject,
    services: Sequence[str],
    beside: Sequence[str] = (),
    console: Console = QUIET,
    settle: float = ALIVE,
) -> dict[str, ContainerState]:
    """Wait until all are well, and have been for so many seconds: some listen before they can work.
    Say of which the health check fails meanwhile. Raises CheckError, with the last words of one that
    dies or gets unhealthy.
    """
    began, reported = time.monotonic(), set[str]()
    well_since: float | None = None
    while True:
        containers = together.states()
        states = {service: containers[service] for service in (*services, *beside)}
        _expect_well(together, states, beside)
        now = time.monotonic()
        for name, state in states.items() if now > began + PATIENCE else ():
            if state.health == "starting" and state.check and name not in reported:
                console.say(
                    f"{name} is not healthy yet: its health check says:"
                    f" {state.check.splitlines()[-1]}"
                )
                reported.add(name)
        if any(state.health == "starting" and state.code is None for state in states.values()):
            well_since = None
        else:
            well_since = now if well_since is None else well_since
            if now >= well_since + settle or all(s.code == 0 for s in states.values()):
                return states
        time.sleep(EVERY)


def _why_ill(service: str, state: ContainerState, together: ComposeProject) -> str:
    """How a service ended, or what its health check said, and its last words."""
    how = f"{service} {f'ended with exit code {state.code}' if state.code else 'is unhealthy'}"
    if state.check and not state.code:
        how += f": its health check says\n{state.check}\nand the service"
    return f"{how}\n{together.last_words(service, LAST_WORDS)}".rstrip()


def _expect_well(
    together: ComposeProject, states: Mapping[str, ContainerState], beside: Sequence[str] = ()
) -> None:
    """Raise CheckError for those that died or are unhealthy, with their last words."""
    ill = {n: state for n, state in states.items() if state.code or state.health == "unhealthy"}
    if ill:
        logs = (
            f"`docker logs {state.name}`" if name in beside else f"`slimbake logs {name}`"
            for name, state in ill.items()
        )
        raise CheckError(
            "\n".join(_why_ill(name, state, together) for name, state in ill.items()),
            f"{', '.join(logs)}: all that they wrote; `slimbake down` removes the others",
        )


def joining(project: Project) -> tuple[str, ...]:
    """What to write into a compose file of one's own for the fleet to be part of it."""
    compose_file = own_compose(project.root)
    lines = (f"in {compose_file.name or 'compose.yaml'}:", "", f"include: [{COMPOSE_FILE}]")
    both = [
        service.service
        for service in project.plan.services
        if service.service in compose_file.services
    ]
    if not both:
        return lines
    return (
        *lines,
        "",
        f"and without your own {', '.join(both)}; or keep them, and in place of `include`, below each",
        f"service: extends: {{file: {COMPOSE_FILE}, service: {both[0]}}}",
        "without those of its keys that slimbake's file has: build, image, command, entrypoint,",
        "healthcheck, ports, user, working_dir, security_opt.",
    )
