"""Whether an image starts: its own command, run as it is meant to be run."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.checks.cure import Fault, start_cure
from slimbake.checks.engine_start import Outcome, engine_start
from slimbake.checks.readonly import unwritable
from slimbake.checks.surroundings import emulated, foreign, patience, surroundings
from slimbake.config.files import own_compose
from slimbake.config.model import Pairs
from slimbake.docker.beside import Neighbour, NotBeside, beside
from slimbake.docker.containers import Detached, contained
from slimbake.errors import SetupError
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
    fleet = []
    missing = []
    for other in plan.company(service):
        if other.service not in images:
            missing.append(other.service)
            continue
        entry = alone(other, plan)
        entry["image"] = images[other.service]
        entry["pull_policy"] = "never"
        if platform:
            entry["platform"] = platform
        neighbour = Neighbour(
            host=other.host,
            said=entry,
            env_files=tuple(root / name for name in other.env_file),
            fixed={name: literal(text) for name, text in other.start.env},
            after=(*other.start.beside, *other.start.fleet),
        )
        fleet.append(neighbour)
    return Company(plan.needs_beside(service), tuple(fleet), tuple(missing))


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
        return StartFound(_lacks_company(service, company))
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
    own_options = (*_variables(service.start.env), *foreign(platform))

    def check(options: Sequence[str]) -> StartFound:
        return _checked(image, service, request, (*options, *own_options), say)

    if company.beside or company.fleet:
        return _checked_beside(company, service, root, check)
    return check(["--network=none", *_variables(without_compose(service.environment).items())])


def _lacks_company(service: Running, company: Company) -> str:
    names = ", ".join(company.missing)
    both = " ".join((*company.missing, service.service))
    return (
        f"{service.service}: its start check needs {names}, and this engine has no image of it\n"
        f"bake them together: `slimbake bake {both}`"
    )


def _variables(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"--env={name}={value}" for name, value in pairs]


def _checked_beside(
    company: Company, service: Running, root: Path, check: Callable[[Sequence[str]], StartFound]
) -> StartFound:
    """What a check finds beside this company. `check` gets the options of `docker run` for that."""
    name, file = f"slimbake-start-{secrets.token_hex(6)}", root / own_compose(root).name
    variables = [root / name for name in service.env_file if (root / name).is_file()]
    given = dict(service.environment)
    try:
        with beside(
            name, file, company.beside, service.host, variables, given, company.fleet
        ) as options:
            until = time.monotonic() + _SETTLING
            while True:
                found = check(options)
                if not found.why or time.monotonic() > until:
                    return found
                time.sleep(1)
    except NotBeside as error:
        return StartFound(f"{service.service}: {error.message}\n{error.hint}".rstrip())


def without_compose(environment: Pairs) -> dict[str, str]:
    """The variables of containers as Compose would fill them in where nothing else is set; without
    those that only a shell or `.env` has.
    """
    filled = {}
    for name, written in environment:
        parts = [_DEFAULT.sub(r"\1", part) for part in written.split("$$")]
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
    around = (*surroundings(service), *options)
    with _silence(name, service.service, say):
        outcome = _run(name, image, service, request, around)
        by_engine = outcome is None
        if outcome is None:  # the image has no Python
            command = (*around, image, *(service.start.arguments or service.replaced))
            outcome = engine_start(
                name, command, request["port"], request["limit"], request["alive"]
            )
    if not outcome.why:
        warning = deaf(service.service, request, outcome.deaf)
        return StartFound("", warning=warning, by_engine=by_engine)
    subject = "healthcheck" if outcome.fault.kind == "healthcheck" else "command"
    lines = [f"{service.service}: its {subject} {outcome.why}"]
    lines += [f"  {line}" for line in outcome.words]
    lines.append(start_cure(outcome.fault, outcome.words, service))
    return StartFound("\n".join(lines).rstrip(), by_engine=by_engine)


@contextlib.contextmanager
def _silence(name: str, service: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say what a container of this name has written where the block takes long."""

    def show() -> None:
        container = Detached(name, "")
        if container.state()[0] is not None:
            return
        lines = container.last_lines()
        wrote = "its last lines:" if lines else "it has written nothing"
        shown = [f"{service}: still starting after {SILENT:g} s; {wrote}"]
        shown += [f"  {line}" for line in lines]
        shown.append(unwritable(lines))
        say("\n".join(shown).rstrip())

    timer = threading.Timer(SILENT, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def deaf(name: str, request: Mapping[str, Any], inner: bool | None) -> str:
    """What to do about a service that its stop signal does not end; "" where it does.

    `inner`: whether the signal would end a process that the first one has started; None where it
    ends the first one.
    """
    if inner is None:
        return ""
    first, signal = shlex.join(request["command"]), request["stop"]
    if len(first) > _SHOWN:
        first = f"{first[:_SHOWN]}..."
    if inner:
        advice = "begin the command with `exec`, or write it as a list"
    else:
        advice = (
            f"handle {signal}, or put tini in the image (`system: [tini]`) and use"
            ' `entrypoint: [tini, "--"]`'
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
) -> Outcome | None:
    """What the program `start` finds in a container of this name; None where the image has no Python
    to run it with.
    """
    command = (
        *options,
        f"--entrypoint={service.python}",
        image,
        *from_stdin("start", json.dumps(request)),
    )
    limit = request["limit"]
    done = contained(name, command, with_check_pyz(), patience(limit))
    if done.code is None:
        return Outcome(f"does not start within {limit:g} s")
    if service.own_dockerfile and done.code == _NOT_FOUND and not done.stdout:
        return None
    try:
        outcome = dict(json_value(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError, RecursionError):
        raise SetupError(
            f"{service.service} could not be started", done.stderr.strip()[-2000:]
        ) from None
    if "error" not in outcome:
        return Outcome(deaf=outcome.get("deaf"))
    fault = Fault(str(outcome.get("fault", "")), str(outcome.get("program", "")))
    words = str(outcome.get("words", "")).splitlines()
    return Outcome(str(outcome["error"]), fault, words)
