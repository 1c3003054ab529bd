"""The fleet in containers, through Docker Compose: started, awaited, run, read and removed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slimbake import docker
from slimbake.checks.start import ALIVE
from slimbake.config.compose import OWN, own_compose
from slimbake.console import Console
from slimbake.docker.compose import ComposeProject, ContainerState, require_compose
from slimbake.errors import CheckError, SetupError, UsageError
from slimbake.plan.model import Running
from slimbake.project import Project
from slimbake.render import Generated
from slimbake.render.compose import COMPOSE_FILE, compose, literal
from slimbake.render.documents import document
from slimbake.render.generated import Drift, drift, mend

LAST_WORDS = 20  # lines
EVERY = 0.5  # seconds between two looks


def up(
    project: Project,
    services: Sequence[str],
    images: Mapping[str, str],
    environment: Mapping[str, str],
    console: Console,
) -> tuple[Running, ...]:
    """Start these services, and wait until each is well: healthy, alive, or ended without a fault.

    Left out: programs that take arguments, which are for `run`. Raises SetupError for an image that
    is missing or what Compose cannot start, CheckError for what dies or gets unhealthy.
    """
    chosen = tuple(s for s in _chosen(project, services) if not s.takes_arguments)
    together = _to_start(project)
    with _given(together, chosen, images, environment) as asked:
        asked.make_volumes(_volumes(chosen))
        asked.up([each.service for each in chosen])
    for service, state in _awaited(together, chosen).items():
        if state.published:
            console.say(f"{service}: http://127.0.0.1:{state.published}")
        elif state.code is not None:
            console.say(f"{service}: has ended")
    return chosen


def run(
    project: Project,
    service: str,
    image: str,
    environment: Mapping[str, str],
    arguments: Sequence[str],
) -> int:
    """Run one service in the foreground, beside what is up; its exit code."""
    chosen = _chosen(project, (service,))
    with _given(_to_start(project), chosen, {service: image}, environment) as asked:
        asked.make_volumes(_volumes(chosen))
        return asked.run(service, arguments)


@contextlib.contextmanager
def started(project: Project) -> Iterator[ComposeProject]:
    """The fleet as it was started, to be looked at or ended: files of variables may have gone."""
    without = "".join(f"  {s.service}: {{env_file: !reset []}}\n" for s in project.plan.services)
    with tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".yaml") as file:
        file.write(f"services:\n{without}" if without else "services: {}\n")
        file.flush()
        together = _prepared(project)
        yield replace(together, files=(*together.files, Path(file.name)))


def _to_start(project: Project) -> ComposeProject:
    """The fleet for Compose. Raises SetupError where a file of variables is missing."""
    missing = [
        f"services.{each.service}.env_file: there is no {name}"
        for each in project.plan.services
        for name in each.env_file
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
    together = ComposeProject(project.plan.project, (project.root / COMPOSE_FILE,))
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
    together: ComposeProject,
    services: Iterable[Running],
    images: Mapping[str, str],
    environment: Mapping[str, str],
) -> Iterator[ComposeProject]:
    """The fleet with the images and variables of this call, which may be secret: nobody else can
    read them, and they are gone afterwards.
    """
    for each in services:
        if not docker.find_image(images[each.service]):
            name = images[each.service]
            raise SetupError(f"the engine has no image {name}", "`slimbake bake` builds it")
    variables = {name: literal(text) for name, text in environment.items()}
    on_top = {
        each.service: {"image": literal(images[each.service]), "environment": variables}
        for each in services
    }
    with tempfile.NamedTemporaryFile("w", prefix="slimbake-", suffix=".yaml") as file:
        file.write(document({"services": on_top}))
        file.flush()
        yield replace(together, files=(*together.files, Path(file.name)))


def written(project: Project) -> None:
    """Write the compose file, where it is missing or stale."""
    file = Generated(COMPOSE_FILE, compose(project.plan).encode())
    mend(Drift(drift((file,), project.root).write, ()), project.root)


def variables(given: Iterable[str]) -> dict[str, str]:
    """What `--env` names: NAME=VALUE, or NAME alone for this process's own."""
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals and name not in os.environ:
            raise UsageError(f"--env {name}: there is no such variable here", "--env NAME=VALUE")
        found[name] = value if equals else os.environ[name]
    return found


def _awaited(together: ComposeProject, services: Sequence[Running]) -> dict[str, ContainerState]:
    """Wait until all are well. Raises CheckError, with the last words of one that is not."""
    alive = time.monotonic() + ALIVE
    while True:
        found = together.states()
        states = {each.service: found[each.service] for each in services}
        for service, state in states.items():
            if state.code or state.health == "unhealthy":
                how = f"ended with exit code {state.code}" if state.code else "is unhealthy"
                words = together.last_words(service, LAST_WORDS)
                raise CheckError(
                    f"{service} {how}\n{words}".rstrip(),
                    f"`slimbake logs {service}` shows all; `slimbake down` ends the others",
                )
        late = time.monotonic() > alive
        if all(
            s.code == 0 or s.health == "healthy" or (late and not s.health) for s in states.values()
        ):
            return states
        time.sleep(EVERY)


def _volumes(services: Iterable[Running]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in services for name, _ in each.volumes))


def _chosen(project: Project, services: Sequence[str]) -> tuple[Running, ...]:
    return tuple(each for each in project.plan.services if each.service in services)


def joining(project: Project) -> tuple[str, ...]:
    """What to write into a compose file of one's own for the fleet to be part of it."""
    own = own_compose(project.root)
    both = [each for each in project.plan.services if each.service in own.services]
    if not both:
        return (f"in {own.name or OWN[0]}:", "", f"include: [{COMPOSE_FILE}]")
    lines = [f"in {own.name}, which defines some of them itself:", "", "services:"]
    for each in both:
        extends = f"{{file: {COMPOSE_FILE}, service: {each.service}}}"
        lines += [f"  {each.service}:", f"    extends: {extends}"]
    if volumes := dict.fromkeys(volume for each in both for volume, _ in each.volumes):
        lines += ["volumes:", *(f"  {volume}: {{}}" for volume in volumes)]
    return (
        *lines,
        "",
        "with your own keys below each `extends`, and without its `build` and `ports`",
    )
