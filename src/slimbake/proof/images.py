"""Images without passes and with all that are proven, measured in full: bytes, start-up, memory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimbake.checks.start import NotStarted, started
from slimbake.checks.verify import verify
from slimbake.config.naming import EVIDENCE
from slimbake.console import Console
from slimbake.errors import CheckError
from slimbake.host.files import write_atomically
from slimbake.host.machine import hardware
from slimbake.host.workspace import Workspace
from slimbake.images import Engine, Source, this_platform
from slimbake.images.detail import Contents
from slimbake.images.sizes import Image
from slimbake.images.survey import survey
from slimbake.plan.model import Plan, Running
from slimbake.proof.trial import workers

FILE = f"{EVIDENCE}/images.json"
RUNS = 5


def measured_images(
    plan: Plan,
    bare: Mapping[str, str],
    pruned: Mapping[str, str],
    workspace: Workspace,
    console: Console,
) -> dict[str, Any]:
    """Both images of each service, and both fleets. `bare`, `pruned`: service -> image id. Raises
    SetupError.

    Bytes are those of the layers, `weights` those of them that are a model's; start-up (seconds)
    and rss (bytes) are medians of RUNS starts, one after the other, None of a service that does not
    start by itself. `measured` says where, and the load of the machine before its starts.
    """
    running = {service.service: service for service in plan.services}
    services: dict[str, dict[str, Any]] = {name: {} for name in pruned}
    fleets: dict[str, dict[str, Any]] = {}
    for side, ids in (("without", bare), ("with", pruned)):
        console.say(f"measuring the images {side} passes")
        with contextlib.closing(Engine(ids, this_platform())) as engine:
            found = survey([Source(engine.images, engine)], workspace, compress=True)
        fleets[side] = {
            "host": found.measurement.host,
            "registry": found.measurement.registry,
            "services": sorted(ids),
        }
        for image in found.measurement.images:
            services[image.name][side] = _bytes(image, found.contents)
    # both sides of a service in one go: a machine is busier at times
    for name, sides in services.items():
        sides["measured"] = {"machine": hardware(), "load": round(os.getloadavg()[0], 1)}
        try:
            for side, ids in (("without", bare), ("with", pruned)):
                start = started(ids[name], running[name], RUNS)
                sides[side] |= {
                    "image": ids[name],
                    "startup": round(start.startup, 3),
                    "rss": start.rss,
                }
        except NotStarted as error:
            console.say(f"{name}: start-up and memory are not measured: {error.message}")
            for side, ids in (("without", bare), ("with", pruned)):
                sides[side] |= {"image": ids[name], "startup": None, "rss": None}
            continue
        console.say(
            f"{name}: starts in {sides['with']['startup']:.2f} s, without passes"
            f" {sides['without']['startup']:.2f} s"
        )
    return {"services": services, "fleet": fleets}


def _bytes(image: Image, contents: Mapping[str, Contents]) -> dict[str, int]:
    layers = [contents[layer.diff] for layer in image.layers]
    return {
        "uncompressed": image.uncompressed,
        "gzip": sum(layer.gzip or 0 for layer in layers),
        "zstd": sum(layer.zstd or 0 for layer in layers),
        "weights": sum(
            p.uncompressed for layer in layers for p in layer.parts if p.owner.kind == "weights"
        ),
    }


def verified(
    plan: Plan,
    bare: Mapping[str, str],
    pruned: Mapping[str, str],
    root: Path,
    console: Console,
    platform: str = "",
) -> None:
    """Run the verify of every service on its image, or start it where it has none. Raises
    CheckError with all faults. `platform`: the images', where that is not this machine's.

    A service that does not start by itself without passes either, since it needs another one, is
    not at fault; one of which `bare` has no image is.
    """

    def error_of(service: Running) -> str:
        name = service.service
        if service.verify:
            found = verify(plan, name, pruned[name], root, platform=platform)
            error = "" if found.holds else found.error
            console.say(f"{name}: verify {'failed' if error else 'passed'}")
        else:
            error = _does_not_start(service, bare.get(name, ""), pruned[name], platform)
            console.say(
                f"{name}: {'does not start' if error else 'starts as it does without passes'}"
            )
        return error and f"{name}: {error}"

    chosen = [(each.service, each) for each in plan.services if each.service in pruned]
    with console.tracked("verify") as work:
        failed = [error for error in work.each(error_of, chosen, workers()) if error]
    if failed:
        raise CheckError("images with all proven passes failed\n" + "\n".join(failed))


def _does_not_start(service: Running, bare: str, pruned: str, platform: str) -> str:
    """Why an image does not start that does so without passes; "" where that is not so."""
    try:
        started(pruned, service, 1, platform=platform)
    except NotStarted as error:
        with contextlib.suppress(NotStarted):
            if bare:
                started(bare, service, 1, platform=platform)
            return error.message
    return ""


def write_images(found: Mapping[str, Any], root: Path) -> None:
    """Put what was measured into the repository, beside what is known of other services."""
    known = read_images(root)
    for key, value in found.items():
        known[key] = {**known.get(key, {}), **value}
    write_atomically(root / FILE, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())


def read_images(root: Path) -> dict[str, Any]:
    """What was measured; empty where nothing was."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((root / FILE).read_text("utf-8")))
    return {}
