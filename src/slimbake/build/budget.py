"""Budgets: what keeps them is remembered, and what does not is told with what grew since."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from slimbake import docker
from slimbake.build.budget_report import over, since
from slimbake.checks.start import NotStarted, Started, budgeted
from slimbake.errors import SetupError
from slimbake.host.files import write_atomically
from slimbake.images import Engine, Source, this_platform
from slimbake.images.detail import Contents
from slimbake.images.grown import Held, grown
from slimbake.images.measured import stored
from slimbake.images.shelf import Shelf
from slimbake.images.sizes import Image, Layer, Measurement
from slimbake.images.survey import survey
from slimbake.plan.layers import layers
from slimbake.plan.model import Plan, Running


def over_budget(plan: Plan, measurement: Measurement, measured: Path) -> dict[str, str]:
    """The services over their budget, each with what was found, what was allowed, and what grew
    since it last held.

    `measured`: the cache of `measure`; beside it lie what starts took, what held, and what is in
    layers. Start-up and RSS are measured for services that have a limit for them; layers are read
    only where a limit does not hold.
    """
    running = {service.service: service for service in plan.services}
    file = measured.with_name("held.json")
    held, found = _load(file), dict[str, str]()
    for image in measurement.images:
        service = running[image.name]
        try:
            start = budgeted(image.digest, service, measured.with_name("started.json"))
        except NotStarted as error:
            found[image.name] = error.message
            continue
        now = _held(plan, image, start)
        if broken := over(now, image.compressed, service.budget):
            found[image.name] = _told(service, held.get(image.name), now, broken, measured)
        else:
            before = held.get(image.name)
            # Another bake may measure a start that this one has no limit for.
            same = before is not None and before.digest == now.digest and start is None
            held[image.name] = (
                replace(now, startup=before.startup, rss=before.rss) if same and before else now
            )
    text = json.dumps({name: asdict(each) for name, each in sorted(held.items())}, indent=1)
    write_atomically(file, text.encode())
    return found


def _held(plan: Plan, image: Image, start: Started | None) -> Held:
    return Held(
        image.digest,
        image.layers,
        layers(plan, image.name),
        startup=start.startup if start else None,
        rss=start.rss if start else None,
    )


def _told(
    service: Running,
    before: Held | None,
    now: Held,
    broken: tuple[tuple[str, str], ...],
    measured: Path,
) -> str:
    contents = None
    if before and before.digest != now.digest:
        contents = _contents({"before": before.digest, "now": now.digest}, measured)
    lines: list[str] = []
    for kind, words in broken:
        changes = (
            grown(before, now, "compressed" if kind == "compressed" else "uncompressed", contents)
            if before
            else ()
        )
        lines += (f"{service.service}: {words}", f"  {since(before, now, kind, changes)}")
    return "\n".join(lines)


def _contents(ids: Mapping[str, str], measured: Path) -> Mapping[str, Contents] | None:
    """What is in the layers of these images, by digest; None where the engine does not hold one of
    them any more.

    An engine that cannot give it out is no reason to say less of a budget than is known.
    """
    with contextlib.suppress(SetupError):
        docker.image_ids(ids)
        with contextlib.closing(Engine(ids, this_platform())) as engine:
            source = Source(stored(ids, measured) or engine.images, engine)
            return survey([source], Shelf(measured.with_name("layers"))).contents
    return None


def _load(file: Path) -> dict[str, Held]:
    try:
        found = json.loads(file.read_text("utf-8"))
        return {
            name: Held(
                **{
                    **each,
                    "layers": tuple(Layer(**layer) for layer in each["layers"]),
                    "names": tuple(each["names"]),
                }
            )
            for name, each in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}
