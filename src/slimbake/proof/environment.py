"""What variables of the running image do to a service: whether it holds, and its start, its memory
and its calls.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slimbake.catalogue.model import Pass
from slimbake.checks.start import started
from slimbake.checks.verify import Limit, verify
from slimbake.console import Console
from slimbake.errors import CheckError
from slimbake.host.machine import hardware
from slimbake.plan.model import Plan, Running
from slimbake.proof import images
from slimbake.proof.trial import Subject, trial

Figures = Mapping[str, float]
ROUNDS = 5
KEY = "environment"  # of it all in images.FILE


def environments(
    plan: Plan,
    passes: Sequence[Pass],
    subjects: Sequence[Subject],
    root: Path,
    console: Console,
    *,
    only_stale: bool,
) -> None:
    """Measure each pass that sets variables on each subject's image. What came of one is written
    before the next.

    `only_stale`: not what was found of the same variables and the same image. Raises as `started`
    does.
    """
    running = {service.service: service for service in plan.services}
    for each in (each for each in passes if each.env):
        for subject in subjects:
            known = images.read_images(root).get(KEY, {})
            if only_stale and fresh_environment(known, each, subject):
                continue
            found = _tried(each, subject, running[subject.service], plan, root)
            console.say(f"{each.name}: {subject.service} {'passed' if found['held'] else 'failed'}")
            images.write_images({KEY: {each.name: beside(known, each, subject, found)}}, root)


def fresh_environment(known: Mapping[str, Any], each: Pass, subject: Subject) -> bool:
    """Whether these variables were measured on this very image."""
    entry = known.get(each.name, {})
    return entry.get("digest") == each.digest and _image(entry, subject) == subject.image


def _image(entry: Mapping[str, Any], subject: Subject) -> object:
    return entry.get("services", {}).get(subject.service, {}).get("image")


def beside(
    known: Mapping[str, Any], each: Pass, subject: Subject, found: Mapping[str, Any]
) -> dict[str, Any]:
    """The pass's entry with what came of one service; that of others stays while the variables are
    the same.
    """
    entry = known.get(each.name, {})
    others = entry.get("services", {}) if entry.get("digest") == each.digest else {}
    return {
        "digest": each.digest,
        "services": {**others, subject.service: {"image": subject.image, **found}},
    }


def _tried(
    each: Pass, subject: Subject, service: Running, plan: Plan, root: Path
) -> dict[str, Any]:
    """Its smoke once, then rounds of both sides, which take turns at being the first."""
    load, variables = os.getloadavg()[0], dict(each.env)
    outcome = trial(subject, (), environment=variables)
    if not outcome.held:
        return {"held": False, "level": outcome.level, "error": outcome.error}
    rounds: dict[str, list[Figures]] = {"without": [], "with": []}
    for turn in range(ROUNDS):
        for side in sorted(rounds, reverse=turn % 2 == 0):
            try:
                rounds[side].append(
                    _once(subject, service, plan, root, variables if side == "with" else {})
                )
            except CheckError as error:
                if side == "without" and service.verify:
                    raise CheckError(
                        f"the verify of {service.service} failed on its image\n{error}"
                    ) from None
                # it needs more than itself: what the variables do to it cannot be distinguished
                if side == "without":
                    return {"held": True}
                return {
                    "held": False,
                    "level": "verify" if service.verify else "startup",
                    "error": error.message,
                }
    measured = compared_environment(rounds["without"], rounds["with"])
    return {
        "held": True,
        "machine": hardware(),
        "load": round(load, 1),
        "rounds": ROUNDS,
        **measured,
    }


def _once(
    subject: Subject, service: Running, plan: Plan, root: Path, variables: Mapping[str, str]
) -> Figures:
    """Seconds of its start and of the calls of its verify, bytes resident. Raises CheckError where
    it does not hold.
    """
    if not service.verify:
        start = started(subject.image, service, 1, variables)
        return {"startup": start.startup, "rss": start.rss}
    took = verify(plan, service.service, subject.image, root, Limit(), variables)
    if not took.holds:
        raise CheckError(took.error)
    startup = took.startup or 0.0
    return {"startup": startup, "rss": took.rss or 0, "calls": (took.seconds or startup) - startup}


def compared_environment(
    without: Sequence[Figures], with_: Sequence[Figures]
) -> dict[str, dict[str, float]]:
    """Medians of both sides, and of the ratios within a round. Both sides: one entry a round, in
    the same order.
    """
    return {
        "without": {key: statistics.median(each[key] for each in without) for key in without[0]},
        "with": {key: statistics.median(each[key] for each in with_) for key in without[0]},
        "ratio": {
            key: statistics.median(
                b[key] / a[key] for a, b in zip(without, with_, strict=True) if a[key]
            )
            for key in without[0]
            if any(each[key] for each in without)
        },
    }
