"""Whether an image starts: its own command, run as it is meant to be run."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.checks.cure import Fault, start_cure
from slimbake.checks.engine_start import engine_start
from slimbake.checks.readonly import unwritable
from slimbake.checks.surroundings import emulated, foreign, patience, surroundings
from slimbake.config.files import own_compose
from slimbake.config.model import Pairs
from slimbake.docker.beside import Neighbour, NotBeside, beside
from slimbake.docker.containers import Detached, contained
from slimbake.errors import CheckError, SetupError
from slimbake.host.typed import json_value
from slimbake.inside import from_stdin, with_check_pyz
from slimbake.plan.model import Plan, Running
from slimbake.render.compose import alone, literal

# seconds for one start: torch alone is twenty times slower on a busy machine
LIMIT = 300.0
ALIVE = 5.0  # seconds after which a command that does not listen is to be alive
SILENT = 30.0  # seconds after which the log of a command that still starts is shown
# A new database may listen before it is ready, or restart once: an engine would start what ended
# again.
_SETTLING = 20.0
_SHOWN = 60  # characters of a command
_NOT_FOUND = 127  # the exit code of `docker run` where the program is not in the image
_DEFAULT = re.compile(r"\$\{\w+:?-([^${}]*)\}")  # `${NAME:-value}`


@dataclass(frozen=True, slots=True)
class StartFound:
    """What came of one start check."""

    why: str | None  # it does not start; "" where it does; None where it has no command
    warning: str = ""  # of one that does
    by_engine: bool = False  # the image has no Python, so nothing of ours ran in it


@dataclass(frozen=True, slots=True)
class Company:
    """What is started beside an image for its start check."""

    beside: tuple[str, ...] = ()  # services of the repository's own compose file
    fleet: tuple[Neighbour, ...] = ()
    missing: tuple[str, ...] = ()  # services of the fleet that have no image


NOBODY = Company()


def company(
    plan: Plan, service: Running, root: Path, images: Mapping[str, str], platform: str = ""
) -> Company:
    """What the start check of a service starts beside it. `images`: service -> the engine's id."""
    others = plan.company(service)
    return Company(
        beside=plan.needs_beside(service),
        fleet=tuple(
            Neighbour(
                host=other.host,
                said={
                    **alone(other, plan),
                    "image": images[other.service],
                    "pull_policy": "never",
                    **({"platform": platform} if platform else {}),
                },
                env_files=tuple(root / name for name in other.env_file),
                fixed={name: literal(text) for name, text in other.start.env},
                after=(*other.start.beside, *other.start.fleet),
            )
            for other in others
            if other.service in images
        ),
        missing=tuple(other.service for other in others if other.service not in images),
    )


class NoPython(SetupError):
    """The image has no Python to run a check with."""


class NotStarted(CheckError):
    """The command ended, or did not listen."""

    def __init__(self, message: str, fault: Fault, words: Sequence[str] = ()) -> None:
        """`words`: the last ones of the command."""
        super().__init__("\n".join((message, *(f"  {line}" for line in words))))
        self.fault, self.words = fault, words


def starts(
    image: str,
    service: Running,
    root: Path,
    platform: str = "",
    company: Company = NOBODY,
    say: Callable[[str], None] = lambda _: None,
) -> StartFound:
    """Whether an image starts as its service's start check has it, beside services of the compose
    file in `root` and of the fleet where it names some.

    `platform`: the one of the image to start, where that is not this machine's own. `say` gets the
    last lines of one that takes long. Raises SetupError where the engine cannot run it.
    """
    if company.missing:
        names = ", ".join(company.missing)
        why = (
            f"{service.service}: its start check needs {names}, and this engine has no image of it"
        )
        both = " ".join((*company.missing, service.service))
        return StartFound(f"{why}\nbake them together: `slimbake bake {both}`")
    config = docker.engine_image(image)
    command = [*config.entrypoint, *(service.start.arguments or service.replaced or config.command)]
    if not command and service.start.how == "runs":
        return StartFound(None)
    request = {
        "command": command,
        "port": service.port if service.start.how == "listens" else None,
        "health": service.healthcheck.test[:2] if service.healthcheck else (),
        "limit": LIMIT * emulated(platform),
        "alive": ALIVE * emulated(platform),
        # a Dockerfile of the user's own may say another signal
        "stop": "" if service.own_dockerfile else service.stop_signal or "SIGTERM",
    }
    only_here = (f"--env={key}={value}" for key, value in service.start.env)
    options = (*only_here, *foreign(platform))
    if not (company.beside or company.fleet):
        known_variables = without_compose(service.environment).items()
        alone = ("--network=none", *(f"--env={key}={value}" for key, value in known_variables))
        return _checked(image, service, request, (*alone, *options), say)
    variables = [root / name for name in service.env_file if (root / name).is_file()]
    name, file = f"slimbake-start-{secrets.token_hex(6)}", root / own_compose(root).name
    try:
        given = dict(service.environment)
        with beside(
            name, file, company.beside, service.host, variables, given, company.fleet
        ) as network:
            around = (*network, *options)
            until = time.monotonic() + _SETTLING
            while True:
                one = _checked(image, service, request, around, say)
                if not one.why or time.monotonic() > until:
                    return one
                time.sleep(1)
    except NotBeside as error:
        return StartFound(f"{service.service}: {error.message}\n{error.hint}".rstrip())


def without_compose(environment: Pairs) -> dict[str, str]:
    """The variables of containers as Compose would fill them in where nothing else is set; without
    those that only a shell or `.env` has.
    """
    filled = {}
    for name, written in environment:
        parts = (_DEFAULT.sub(r"\1", part) for part in written.split("$$"))
        value = "\0".join(parts)
        if "$" not in value:
            filled[name] = value.replace("\0", "$")
    return filled


def _checked(
    image: str,
    service: Running,
    request: Mapping[str, Any],
    options: Sequence[str],
    say: Callable[[str], None],
) -> StartFound:
    name = f"slimbake-start-{secrets.token_hex(6)}"
    try:
        with _silence(name, service.service, say):
            outcome = _run(name, image, service, request, options)
    except NotStarted as error:
        hint = start_cure(error.fault, error.words, service)
        return StartFound(f"{error.message}\n{hint}".rstrip())
    except NoPython:
        command = (
            *(*surroundings(service), *options),
            *(image, *(service.start.arguments or service.replaced)),
        )
        with _silence(name, service.service, say):
            found = engine_start(name, command, request["port"], request["limit"], request["alive"])
        if found is None:
            return StartFound("", by_engine=True)
        lines = (f"{service.service}: its command {found.why}", *found.words)
        hint = start_cure(found.fault, found.words, service)
        return StartFound("\n".join((*lines, hint)).rstrip(), by_engine=True)
    return StartFound("", warning=deaf(service.service, request, outcome))


@contextlib.contextmanager
def _silence(name: str, service: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say what a container of this name has written where the block takes long."""

    def show() -> None:
        container = Detached(name, "")
        if container.state()[0] is None:
            lines = container.last_lines()
            shown = (*(f"  {line}" for line in lines), unwritable(lines))
            wrote = "its last lines:" if lines else "it has written nothing"
            head = f"{service}: still starting after {SILENT:g} s; {wrote}"
            say("\n".join((head, *filter(None, shown))))

    timer = threading.Timer(SILENT, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def deaf(name: str, request: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    """What to do about a service that its stop signal does not end; "" where it does."""
    if "deaf" not in outcome:
        return ""
    first, signal = shlex.join(request["command"]), request["stop"]
    first = f"{first[:_SHOWN]}..." if len(first) > _SHOWN else first
    advice = (
        "begin the command with `exec`, or write it as a list"
        if outcome["deaf"]
        else f'handle {signal}, or put tini in the image (`system: [tini]`) and use `entrypoint: [tini, "--"]`'
    )
    return (
        f"warning: {name}: its first process, `{first}`, does not handle {signal}: `docker stop`"
        f" waits 10 s and then kills it; {advice}"
    )


def _run(
    name: str,
    image: str,
    service: Running,
    request: Mapping[str, Any],
    options: Sequence[str],
) -> dict[str, Any]:
    command = (
        *surroundings(service),
        *options,
        f"--entrypoint={service.python}",
        image,
        *from_stdin("start", json.dumps(request)),
    )
    limit = request["limit"]
    done = contained(name, command, with_check_pyz(), patience(limit))
    if done.code is None:
        late = f"{service.service}: its command does not start within {limit:g} s"
        raise NotStarted(late, Fault())
    if service.own_dockerfile and done.code == _NOT_FOUND and not done.stdout:
        raise NoPython(f"the image of {service.service} has no {service.python}")
    try:
        outcome = {"words": "", "fault": "", **json_value(done.stdout.splitlines()[-1])}
    except (IndexError, ValueError, TypeError, RecursionError):
        raise SetupError(
            f"{service.service} could not be started", done.stderr.strip()[-2000:]
        ) from None
    if "error" in outcome:
        fault = Fault(str(outcome["fault"]), str(outcome.get("program", "")))
        subject = "healthcheck" if fault.kind == "healthcheck" else "command"
        reported = f"{service.service}: its {subject} {outcome['error']}"
        raise NotStarted(reported, fault, str(outcome["words"]).splitlines())
    return outcome
