"""Runs a service's verify in a container of its image, which is run as it is meant to be, and
called from beside.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from slimbake import docker
from slimbake.checks.cure import cure
from slimbake.checks.surroundings import emulated, foreign, patience, surroundings
from slimbake.docker.containers import Contained, contained
from slimbake.host.files import content
from slimbake.host.typed import WRONG, json_value, typed
from slimbake.inside import from_stdin, with_check_pyz
from slimbake.plan.model import Plan, Running

LAST_LINES = 12
ARGUMENTS = from_stdin(
    "verify"
)  # of the Python that runs it; its standard input is `question(...)`


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one verify may use."""

    # of a machine that does much else: torch alone is twenty times slower on a busy one
    seconds: float = 300.0
    memory: int = 4 * 10**9  # bytes, of the service and its check together


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verify found; `error` is empty where it holds. None = it did not come so far."""

    service: str
    holds: bool
    error: str
    startup: float | None  # seconds until it listened; of a command, until its first run had ended


def verify(
    plan: Plan,
    service: str,
    image: str,
    root: Path,
    limit: Limit = Limit(),
    environment: Mapping[str, str] = {},
    platform: str = "",
) -> Verdict:
    """Run the service's own verify in a container of `image`: no network, no root, read-only, no
    capabilities. `platform`: the image's, where that is not this machine's.

    The container has gone when this returns or is interrupted. Raises SetupError where the engine
    cannot run it.
    """
    running = next(running for running in plan.services if running.service == service)
    name = f"{plan.project}-{service}-verify-{uuid.uuid4().hex[:8]}"
    arguments = (
        "--network=none",
        *foreign(platform),
        *surroundings(running),
        f"--memory={limit.memory}",
        f"--memory-swap={limit.memory}",
        *(f"--env={key}={value}" for key, value in environment.items()),
        f"--entrypoint={running.python}",
        image,
        *ARGUMENTS,
    )
    limit = replace(limit, seconds=limit.seconds * emulated(platform))
    done = contained(name, arguments, given(running, image, root, limit), patience(limit.seconds))
    return _verdict(running, done, limit)


def given(running: Running, image: str, root: Path, limit: Limit = Limit()) -> str:
    """What the program in the container is given on stdin, for a service that has a verify and its
    image.
    """
    command, fixed = _command(image, running)
    stop = running.stop_signal
    return question(
        content(root, running.verify).decode(),
        running.verify,
        command,
        fixed,
        running.port,
        limit.seconds,
        stop,
        dict(running.start.env),
    )


def question(
    source: str,
    name: str,
    command: list[str],
    fixed: int,
    port: int | None,
    limit: float,
    stop: str = "",
    env: Mapping[str, str] = {},
) -> str:
    """What the container gets on standard input: check.pyz, the check, and how the service is run."""
    question = {
        "source": source,
        "name": name,
        "command": command,
        "fixed": fixed,
        "port": port,
        "env": dict(env),
        "limit": limit,
        "stop": stop,
    }
    return with_check_pyz(json.dumps(question))


def _command(image: str, running: Running) -> tuple[list[str], int]:
    """What a container of the image runs, and how many words of it stand before arguments."""
    config = docker.engine_image(image)
    return [*config.entrypoint, *(running.replaced or config.command)], len(config.entrypoint)


def _verdict(running: Running, done: Contained, limit: Limit) -> Verdict:
    service = running.service
    lines = done.stdout.splitlines()
    last = "\n".join(done.stderr.splitlines()[-LAST_LINES:])
    try:
        report = dict(json_value(lines[-1]))
        words = report.pop("words")
        if not report.pop("explained"):
            report["error"] = f"{report['error']}\n{last}".rstrip()
        if report["error"]:
            report["error"] = f"{report['error']}\n{cure(words, running)}".rstrip()
        verdict = typed(Verdict, {**report, "service": service})
    except WRONG:
        end = (
            f"it has not ended within {limit.seconds:g} s"
            if done.code is None
            else f"it ended with {done.code}"
        )
        error = f"{end}, and without a verdict\n{last}".rstrip()
        verdict = Verdict(service=service, holds=False, error=error, startup=None)
    if not done.out_of_memory:
        return verdict
    error = (
        f"it needed more than the {limit.memory / 10**6:,.0f} MB of memory that it may"
        f" have\n{verdict.error}".rstrip()
    )
    return Verdict(**{**asdict(verdict), "holds": False, "error": error})
