"""Start the fleet in containers through Docker Compose, wait for it, run a service, restart it."""

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
from slimbake.host.files import write_atomically
from slimbake.plan.model import Running
from slimbake.project import Project
from slimbake.release.inputs import outdated
from slimbake.render import Generated
from slimbake.render.compose import COMPOSE_FILE, compose, literal, mount
from slimbake.render.documents import Override, document
from slimbake.render.generated import drift

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
    """Start services, what they depend on and what their `start: {with: ...}` names.

    It waits until each is well: healthy, alive, or ended with exit code 0. Programs that take
    arguments are left out; `run` starts them. `images`: service -> its image; `environment`:
    variables for all; `code`: service -> a folder that is mounted over the code of its image.

    Returns the services of the fleet that it started, and those of the repository's own compose
    file. Raises SetupError for an image that is missing or for what Compose cannot start, and
    CheckError for a service that dies or gets unhealthy.
    """
    chosen = project.plan.starting(services, _running(project))
    names = tuple(service.service for service in chosen)
    with _compose_project(project, chosen, images, environment, console, code) as (
        together,
        beside,
    ):
        _start(together, names)
        states = _awaited(together, names, beside, console)
    for service in chosen:
        state = states[service.service]
        if state.published:
            line = f"{service.service}: 127.0.0.1:{state.published}"
            if not service.publish:
                line += f" (another has {service.port}; `publish: PORT` sets one)"
            console.say(line)
        elif state.code is not None:
            console.say(f"{service.service}: finished with exit code 0")
        elif not service.port:
            console.say(f"{service.service}: runs without a `port`, so nothing of it is published")
    return names, beside


def _running(project: Project) -> frozenset[str]:
    """The services that run now. Only a fleet with variants needs them: () for others."""
    if not any(service.copied for service in project.plan.services):
        return frozenset()
    with started(project) as together:
        return frozenset(name for name, state in together.states().items() if state.code is None)


def _start(together: ComposeProject, services: Sequence[str]) -> None:
    """Let Compose start these services, those that others wait for first.

    Raises CheckError for one of these that dies or gets unhealthy, and SetupError for any other
    failure, with the ports that are taken.
    """
    try:
        together.up(services)
    except SetupError as error:
        states = together.states()
        ports = {name: state.taken for name, state in states.items() if state.taken}
        if not ports:
            ran = {}
            for name in services:
                if name in states and not states[name].error:
                    ran[name] = states[name]
            _expect_well(together, ran)
        messages = []
        hints = []
        for name, port in ports.items():
            user = docker.publishing(port)
            messages.append(f"{name}: port {port} of this machine is in use by {user}")
            key = "`ports:` in your own compose file"
            if name in services:
                key = "`publish:` in the manifest"
            hints.append(f"end that, or give {name} another port: {key}")
        if not ports:
            messages.append(error.message)
            if error.hint:
                hints.append(error.hint)
        hints.append("`slimbake down` removes what was started")
        raise SetupError("\n".join(messages), "\n".join(hints)) from None


def run(
    project: Project,
    service: str,
    images: Mapping[str, str],
    environment: Mapping[str, str],
    arguments: Sequence[str],
    console: Console,
) -> int:
    """Run one service in the foreground, beside those that are up, and return its exit code."""
    chosen = tuple(running for running in project.plan.services if running.service == service)
    with _compose_project(project, chosen, images, environment, console) as (together, _):
        return together.run(service, arguments)


@contextlib.contextmanager
def started(project: Project, *, just_now: bool = False) -> Iterator[ComposeProject]:
    """The Compose project of a fleet that was started, to look at it or to end it.

    Compose reads its files even if files of variables, or variables that they demand (`${KEY:?}`),
    are gone by now: the services get no such file, and the variables a placeholder. `just_now`: this
    process started the fleet, so slimbake checks nothing again.
    """
    override = "services:\n"
    demanded: set[str] = set()
    for service in project.plan.services:
        if service.env_file:
            override += f"  {service.service}: {{env_file: !reset []}}\n"
        for _, value in service.environment:
            demanded.update(re.findall(r"\$\{(\w+)", value))
    if override == "services:\n":
        override = "services: {}\n"
    with (
        tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".yaml") as file,
        tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".env") as placeholders,
    ):
        file.write(override)
        file.flush()
        placeholders.writelines(f"{name}=-\n" for name in sorted(demanded))
        placeholders.flush()
        together = _unwritten_project(project) if just_now else _written_project(project)
        yield replace(
            together,
            files=(*together.files, Path(file.name)),
            env_files=(Path(placeholders.name), *together.env_files),
        )


def _expect_env_files(project: Project) -> None:
    """Raise SetupError where a file of variables is missing."""
    missing = []
    for service in project.plan.services:
        for name in service.env_file:
            if not (project.root / name).is_file():
                missing.append(f"services.{service.service}.env_file: there is no {name}")
    if missing:
        raise SetupError("\n".join(missing), "write it, with lines NAME=VALUE, or remove the key")


def _written_project(project: Project) -> ComposeProject:
    """The Compose project of the fleet, with its file written.

    Raises SetupError where there is no Compose, and where the containers or volumes of that name
    are another repository's.
    """
    require_compose()
    together = _unwritten_project(project)
    elsewhere = together.elsewhere
    if elsewhere:
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


def _unwritten_project(project: Project) -> ComposeProject:
    dotenv = project.root / ".env"
    env_files: tuple[Path, ...] = ()
    if dotenv.is_file() and any(service.environment for service in project.plan.services):
        env_files = (dotenv,)
    return ComposeProject(project.plan.project, (project.root / COMPOSE_FILE,), env_files)


@contextlib.contextmanager
def _compose_project(
    project: Project,
    services: Sequence[Running],
    images: Mapping[str, str],
    environment: Mapping[str, str],
    console: Console,
    code: Mapping[str, Path] = {},
) -> Iterator[tuple[ComposeProject, tuple[str, ...]]]:
    """The fleet as a Compose project in which these services can start; volumes are made.

    A file that only its owner can read, and that is removed in the end, has what this call adds:
    images, variables, which may be secret, and what the services need of the repository's own
    compose file. The names of the latter are the second value. Raises SetupError for an image or a
    file of variables that is missing.
    """
    _expect_env_files(project)
    together = _written_project(project)
    names = tuple(service.service for service in services)
    used_images = {name: images[name] for name in project.plan.with_weights(names)}
    _warn_outdated(project, docker.image_ids(used_images), console)

    needs = {service.service: service.start.beside for service in services if service.start.beside}
    own = _own_services(project, needs, console)
    fleet = {*project.plan.service_names, *project.plan.variants}
    beside = own.needed(itertools.chain(*needs.values()), fleet)
    added = own.joined(beside)
    created_volumes = _created_volumes(project, together.name, added["volumes"])

    _expect_shared(project.root, code, images)
    # A volume replaces `type: image`, which old engines lack.
    for service in mounted(project.plan, images, names).running(names):
        # Of the fleet, a service waits only for services that this call starts.
        depends_on: dict[str, Any] = {}
        for name, condition in project.plan.awaited(service, names).items():
            depends_on[name] = {"condition": condition}
        variables = {name: literal(text) for name, text in environment.items()}
        if service.start.beside:
            variables = {**own.variables(service.host), **variables}
            depends_on |= own.awaits(service.host, own.needed(service.start.beside, fleet))
        entry = _entry(service, images[service.service], variables, code.get(service.service))
        if depends_on or service.depends_on:
            entry["depends_on"] = Override(depends_on)
        added["services"][service.service] = entry
        if service.weights_volume:
            volume = {"name": service.weights_volume, "external": True}
            added["volumes"][service.weights_volume] = volume

    with tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".yaml") as file:
        file.write(document(added))
        file.flush()
        together.make_volumes(created_volumes)
        yield replace(together, files=(*together.files, Path(file.name))), beside


def _entry(
    service: Running, image: str, variables: Mapping[str, str], code: Path | None
) -> dict[str, Any]:
    """What the entry of a service in the committed compose file lacks to be started now."""
    return {
        "image": literal(image),
        "pull_policy": "never",
        "environment": dict(variables),
        "volumes": _mounts(service, code),
    }


def _created_volumes(
    project: Project, compose_project: str, others: Mapping[str, Any]
) -> list[str]:
    """The volumes that a Compose project has for itself: of `others`, which its own compose file
    defines, and of all services, since Compose wants those of services that do not start, too.
    """
    created = []
    for name, volume in others.items():
        if volume == {"name": f"{compose_project}_{name}"}:
            created.append(name)
    for running in project.plan.services:
        created += [name for name, _ in running.volumes]
    return created


def _mounts(service: Running, code: Path | None) -> list[dict[str, Any]]:
    """What a service mounts for this call: a folder with its code, and its weights."""
    mounts: list[dict[str, Any]] = []
    if code is not None:
        source = literal(str(code))
        mounts.append({"type": "bind", "source": source, "target": "/app", "read_only": True})
    if service.weights_volume:
        mounts.append(mount("volume", service.weights_volume))
    return mounts


def _expect_shared(root: Path, code: Mapping[str, Path], images: Mapping[str, str]) -> None:
    """Raise SetupError where the engine does not see the code of services, in the workspace."""
    for name, folder in code.items():
        file = next((path for path in folder.rglob("*") if path.is_file()), None)
        if file is None:
            continue
        if docker.sees(file, images[name]):
            return
        raise SetupError(
            f"the engine does not see {folder}, which `up --watch` mounts",
            f"share {root} with the engine's machine: in Docker Desktop under Settings, Resources,"
            f' File sharing; with Colima, `colima start --mount "{root}:w"`. Or use `slimbake up`'
            " without `--watch`",
        )


def _warn_outdated(project: Project, images: Mapping[str, str], console: Console) -> None:
    """Say which of these images were baked here before an edit of what goes into them."""
    # What would stop a build stops no start of an image that is there.
    with contextlib.suppress(SetupError):
        names = outdated(project, images, console)
        if names:
            console.say(
                f"{', '.join(names)}: edited since the last bake, whose image starts:"
                f" `slimbake bake {' '.join(names)}` makes a new one"
            )


def _own_services(
    project: Project, needs: Mapping[str, Sequence[str]], console: Console
) -> OwnServices:
    """The services of the repository's own compose file, with the images of `needs` pulled.

    `needs`: service -> the services of that file that start beside it; {} reads no file.
    """
    if not needs:
        return OwnServices({"services": {}})
    file = project.root / own_compose(project.root).name
    own = own_services(file, project.plan.project)
    pull(lacking(beside_images(file, own, needs)), console)
    return own


def restart(project: Project, services: Collection[str], console: Console) -> None:
    """Restart the containers of these services, say so, and wait until each is well.

    This process started them. They restart in the order of what they depend on. Raises as `up` does.
    """
    names = []
    for service in project.plan.services:
        if service.service in services and not service.by_hand:
            names.append(service.service)
    with started(project, just_now=True) as together:
        together.restart(names)
        console.say(f"synced and restarted: {', '.join(names)}")
        _awaited(together, names, settle=SETTLED)


def written(project: Project) -> None:
    """Write the compose file, where it is missing or stale."""
    file = Generated(COMPOSE_FILE, b"".join(compose(project.plan)))
    for stale in drift((file,), project.root).write:
        write_atomically(project.root / stale.path, stale.content)


def variables(given: Iterable[str]) -> dict[str, str]:
    """The variables that `--env` names: NAME=VALUE, or NAME with the value of this process."""
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if equals:
            values[name] = value
        elif name in os.environ:
            values[name] = os.environ[name]
        else:
            raise UsageError(f"--env {name}: there is no such variable here", "--env NAME=VALUE")
    return values


def _awaited(
    together: ComposeProject,
    services: Sequence[str],
    beside: Sequence[str] = (),
    console: Console = QUIET,
    settle: float = ALIVE,
) -> dict[str, ContainerState]:
    """Wait until all services have been well for `settle` seconds: some listen before they work.

    Meanwhile it reports health checks that fail. Raises CheckError, with the last lines of the log,
    for a service that dies or gets unhealthy.
    """
    began = time.monotonic()
    reported: set[str] = set()
    well_since: float | None = None
    while True:
        containers = together.states()
        removed = [name for name in (*services, *beside) if name not in containers]
        if removed:
            raise CheckError(
                f"the container of {', '.join(removed)} was removed while slimbake waited for it",
                "`slimbake up` starts it again",
            )
        states = {service: containers[service] for service in (*services, *beside)}
        _expect_well(together, states, beside)
        starting = {name: state for name, state in states.items() if state.health == "starting"}
        now = time.monotonic()
        if now > began + PATIENCE:
            for name, state in starting.items():
                if state.check and name not in reported:
                    says = state.check.splitlines()[-1]
                    console.say(f"{name} is not healthy yet: its health check says: {says}")
                    reported.add(name)
        if any(state.code is None for state in starting.values()):
            well_since = None
        elif well_since is None:
            well_since = now
        if well_since is not None:
            all_ended = all(state.code == 0 for state in states.values())
            if all_ended or now >= well_since + settle:
                return states
        time.sleep(EVERY)


def _why_ill(service: str, state: ContainerState, together: ComposeProject) -> str:
    """How a service ended, or what its health check said, and the last lines of its log."""
    if state.code:
        message = f"{service} ended with exit code {state.code}"
    else:
        message = f"{service} is unhealthy"
        if state.check:
            message += f": its health check says\n{state.check}\nand the service"
    return f"{message}\n{together.last_words(service, LAST_WORDS)}".rstrip()


def _expect_well(
    together: ComposeProject, states: Mapping[str, ContainerState], beside: Sequence[str] = ()
) -> None:
    """Raise CheckError for services that died or are unhealthy, with the last lines of their logs."""
    messages = []
    logs = []
    for name, state in states.items():
        if state.code or state.health == "unhealthy":
            messages.append(_why_ill(name, state, together))
            program = f"docker logs {state.name}" if name in beside else f"slimbake logs {name}"
            logs.append(f"`{program}`")
    if messages:
        raise CheckError(
            "\n".join(messages),
            f"{', '.join(logs)}: all that they wrote; `slimbake down` removes the others",
        )


def joining(project: Project) -> tuple[str, ...]:
    """The lines to write into a compose file of one's own for the fleet to be part of it."""
    compose_file = own_compose(project.root)
    lines = [f"in {compose_file.name or 'compose.yaml'}:", "", f"include: [{COMPOSE_FILE}]"]
    both = []
    for service in project.plan.services:
        if service.service in compose_file.services:
            both.append(service.service)
    if both:
        lines += [
            "",
            f"and without your own {', '.join(both)}; or keep them, and in place of `include`, below"
            " each",
            f"service: extends: {{file: {COMPOSE_FILE}, service: {both[0]}}}",
            "without those of its keys that slimbake's file has: build, image, command, entrypoint,",
            "healthcheck, ports, user, working_dir, security_opt.",
        ]
    return tuple(lines)
