"""Images without passes and with all that are proven, measured in full: bytes, start-up, memory, the environment."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slimbake.catalogue.model import Pass
from slimbake.errors import CheckError
from slimbake.evidence import FOLDER
from slimbake.images import Engine, Source, this_platform
from slimbake.measure.detail import Contents
from slimbake.measure.model import Image
from slimbake.measure.shelf import Shelf
from slimbake.measure.start import started
from slimbake.measure.survey import survey
from slimbake.plan.model import Plan, Running
from slimbake.prove.trial import Subject, trial
from slimbake.state import write_atomically
from slimbake.verify import Limit, verify

Say = Callable[[str], None]
FILE = f"{FOLDER}/images.json"
SHELF = ".slimbake/layers"
RUNS = 5
VERIFIES = 3  # of each side, taking turns: a verify takes seconds


def measured(plan: Plan, bare: Mapping[str, str], pruned: Mapping[str, str], root: Path, say: Say) -> dict[str, Any]:
    """Both images of each service, and both fleets. `bare`, `pruned`: service -> image id. Raises SetupError.

    Bytes are those of the layers, `weights` those of them that are a model's; start-up (seconds) and rss (bytes) are
    medians of RUNS starts, one after the other.
    """
    shelf = Shelf(root / SHELF)
    running = {service.service: service for service in plan.services}
    services: dict[str, dict[str, Any]] = {name: {} for name in pruned}
    fleets: dict[str, dict[str, Any]] = {}
    for side, ids in (("without", bare), ("with", pruned)):
        say(f"measuring the images {side} passes")
        with contextlib.closing(Engine(ids, this_platform())) as engine:
            found = survey([Source(engine.images, engine)], shelf, compress=True)
        fleets[side] = {"host": found.measurement.host, "registry": found.measurement.registry, "services": sorted(ids)}
        for image in found.measurement.images:
            services[image.name][side] = _bytes(image, found.contents)
    for name, sides in services.items():  # both sides of a service in one go: a machine is busier at times
        for side, ids in (("without", bare), ("with", pruned)):
            start = started(ids[name], running[name], RUNS)
            sides[side] |= {"startup": round(start.startup, 3), "rss": start.rss}
        say(f"{name}: starts in {sides['with']['startup']:.2f} s, without passes {sides['without']['startup']:.2f} s")
    return {"services": services, "fleet": fleets}


def _bytes(image: Image, contents: Mapping[str, Contents]) -> dict[str, int]:
    layers = [contents[layer.diff] for layer in image.layers]
    return {
        "uncompressed": image.uncompressed,
        "gzip": sum(layer.gzip or 0 for layer in layers),
        "zstd": sum(layer.zstd or 0 for layer in layers),
        "weights": sum(p.uncompressed for layer in layers for p in layer.parts if p.owner.kind == "weights"),
    }


def verified(plan: Plan, pruned: Mapping[str, str], root: Path, say: Say) -> None:
    """Run the verify of every service that has one on its image. Raises CheckError with all that do not hold."""
    failed = []
    for service in plan.services:
        if service.verify and service.service in pruned:
            found = verify(plan, service.service, pruned[service.service], root)
            say(f"{service.service}: verify {'holds' if found.holds else 'does not hold'}")
            failed += [] if found.holds else [f"{service.service}: {found.error}"]
    if failed:
        raise CheckError("images with all proven passes do not hold\n" + "\n".join(failed))


def environments(
    plan: Plan, passes: Sequence[Pass], subjects: Sequence[Subject], root: Path, say: Say
) -> dict[str, dict[str, Any]]:
    """What settings of the run-time environment do to a service: start-up, memory, and the time of its verify.

    With and without take turns, in one run; the figures are medians. `subjects`: with the images that are measured.
    """
    running = {service.service: service for service in plan.services}
    found: dict[str, dict[str, Any]] = {}
    for each in (each for each in passes if each.env):
        found[each.name] = {"digest": each.digest, "services": {}}
        for subject in subjects:
            say(f"{each.name}: {subject.service}")
            found[each.name]["services"][subject.service] = _environment(
                each, subject, running[subject.service], plan, root
            )
    return found


def _environment(each: Pass, subject: Subject, service: Running, plan: Plan, root: Path) -> dict[str, Any]:
    outcome = trial(subject, (), environment=dict(each.env))
    if not outcome.held:
        return {"held": False, "level": outcome.level, "error": outcome.error}
    sides: dict[str, list[tuple[float, float, float]]] = {"without": [], "with": []}
    for _ in range(VERIFIES):
        for side, environment in (("without", {}), ("with", dict(each.env))):
            start = started(subject.image, service, 1, environment)
            took = verify(plan, service.service, subject.image, root, Limit(), environment) if service.verify else None
            if took is not None and not took.holds:
                return {"held": False, "level": "verify", "error": took.error}
            sides[side].append((start.startup, start.rss, (took.seconds or 0) if took else 0))
    said = {
        side: dict(zip(("startup", "rss", "verify"), map(statistics.median, zip(*runs, strict=True)), strict=True))
        for side, runs in sides.items()
    }
    return {"held": True, **said}


def write(found: Mapping[str, Any], root: Path) -> None:
    """Put what was measured into the repository, beside what is known of other services."""
    known = read(root)
    for key, value in found.items():
        known[key] = {**known.get(key, {}), **value}
    write_atomically(root / FILE, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())


def read(root: Path) -> dict[str, Any]:
    """What was measured; empty where nothing was."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((root / FILE).read_text("utf-8")))
    return {}
