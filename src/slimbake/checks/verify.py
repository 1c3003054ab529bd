"""Runs a service's verify in a container of its image, which is run as it is meant to be, and
called from beside.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake import docker
from slimbake.checks.cure import cure
from slimbake.checks.surroundings import patience, surroundings
from slimbake.docker.containers import Contained, contained
from slimbake.host.files import content
from slimbake.host.typed import WRONG, json_value, typed
from slimbake.inside import from_stdin, with_check_pyz
from slimbake.plan.model import Plan, Running

LAST_LINES = 12
# Arguments of the Python that runs it, with `given(...)` on its standard input.
ARGUMENTS = from_stdin("verify")


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


def verify(plan: Plan, service: str, image: str, root: Path, limit: Limit = Limit()) -> Verdict:
    """Run the service's own verify in a container of `image`: no network, no root, read-only, no
    capabilities.

    The container has gone when this returns or is interrupted. Raises SetupError where the engine
    cannot run it.
    """
    [running] = [running for running in plan.services if running.service == service]
    name = f"{plan.project}-{service}-verify-{uuid.uuid4().hex[:8]}"
    arguments = (
        "--network=none",
        *surroundings(running),
        f"--memory={limit.memory}",
        f"--memory-swap={limit.memory}",
        f"--entrypoint={running.python}",
        image,
        *ARGUMENTS,
    )
    done = contained(name, arguments, given(running, image, root, limit), patience(limit.seconds))
    return _verdict(running, done, limit)


def given(running: Running, image: str, root: Path, limit: Limit = Limit()) -> str:
    """What the container of a service that has a verify gets on standard input: check.pyz, the check,
    and how the service is run.
    """
    config = docker.engine_image(image)
    question = {
        "source": content(root, running.verify).decode(),
        "name": running.verify,
        "command": [*config.entrypoint, *(running.replaced or config.command)],
        "fixed": len(config.entrypoint),  # words that stay where other arguments follow
        "port": running.port,
        "env": dict(running.start.env),
        "limit": limit.seconds,
        "stop": running.stop_signal,
    }
    return with_check_pyz(json.dumps(question))


def _verdict(running: Running, done: Contained, limit: Limit) -> Verdict:
    verdict = _reported(running, done, limit)
    if not done.out_of_memory:
        return verdict
    error = (
        f"it needed more than the {limit.memory / 10**6:,.0f} MB of memory that it may"
        f" have\n{verdict.error}".rstrip()
    )
    return replace(verdict, holds=False, error=error)


def _reported(running: Running, done: Contained, limit: Limit) -> Verdict:
    last = "\n".join(done.stderr.splitlines()[-LAST_LINES:])
    try:
        report = dict(json_value(done.stdout.splitlines()[-1]))
        words = report.pop("words")
        if not report.pop("explained"):
            report["error"] = f"{report['error']}\n{last}".rstrip()
        if report["error"]:
            report["error"] = f"{report['error']}\n{cure(words, running)}".rstrip()
        return typed(Verdict, {**report, "service": running.service})
    except WRONG:
        end = f"it ended with {done.code}"
        if done.code is None:
            end = f"it has not ended within {limit.seconds:g} s"
        error = f"{end}, and without a verdict\n{last}".rstrip()
        return Verdict(service=running.service, holds=False, error=error, startup=None)
