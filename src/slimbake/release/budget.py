"""Budgets: what keeps them is remembered, and what does not is reported with what grew since."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from slimbake.config.model import Budget
from slimbake.console.tables import megabytes
from slimbake.errors import SetupError
from slimbake.host.typed import typed
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents
from slimbake.images.growth import BudgetedImage, grown, since
from slimbake.images.measure import survey
from slimbake.images.sizes import MeasuredLayer, Measurement
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan, Running

HELD = "held"  # in the workspace: each service's image that last kept its budget


def over_budget(plan: Plan, measurement: Measurement, workspace: Workspace) -> dict[str, str]:
    """The services over their budget, each with what was found, what was allowed, and what grew
    since it last held.

    The workspace keeps what held, and what is in layers, which are read only where a limit does not
    hold.
    """
    running = {service.service: service for service in plan.services}
    held, found = workspace.read(HELD, _parsed) or {}, dict[str, str]()
    for image in measurement.images:
        if image.name not in running:  # weights: what has a budget is the service
            continue
        service = running[image.name]
        now = BudgetedImage(image.digest, image.layers, layers(plan, image.name))
        if broken := over(now, image.compressed, service.budget):
            found[image.name] = _verdict(service, held.get(image.name), now, broken, workspace)
        else:
            held[image.name] = now
    workspace.write(HELD, {name: asdict(each) for name, each in sorted(held.items())})
    return found


def _verdict(
    service: Running,
    before: BudgetedImage | None,
    now: BudgetedImage,
    broken: tuple[tuple[str, str], ...],
    workspace: Workspace,
) -> str:
    contents = None
    if before and before.digest != now.digest:
        contents = _contents({"before": before.digest, "now": now.digest}, workspace)
    lines: list[str] = []
    for kind, words in broken:
        changes = (
            grown(before, now, "compressed" if kind == "compressed" else "uncompressed", contents)
            if before
            else ()
        )
        lines += (f"{service.service}: {words}", f"  {since(before, now, kind, changes)}")
    return "\n".join(lines)


def _contents(ids: Mapping[str, str], workspace: Workspace) -> Mapping[str, Contents] | None:
    """What is in the layers of these images, by digest; None where the engine does not hold one of
    them any more.
    """
    with contextlib.suppress(SetupError):
        return survey(ids, workspace).contents
    return None


def _parsed(content: Any) -> dict[str, BudgetedImage]:
    return {
        name: BudgetedImage(
            **{
                **each,
                "layers": tuple(typed(MeasuredLayer, layer) for layer in each["layers"]),
                "names": tuple(each["names"]),
            }
        )
        for name, each in content.items()
    }


def over(
    found: BudgetedImage, compressed: int | None, budget: Budget
) -> tuple[tuple[str, str], ...]:
    """Each limit that is exceeded: its name, and what was found against it. What is unmeasured
    exceeds nothing.
    """
    sizes = (
        ("uncompressed", sum(layer.uncompressed for layer in found.layers), budget.uncompressed),
        ("compressed", compressed, budget.compressed),
    )
    return tuple(
        (kind, f"{kind} {megabytes(size)}, its budget is {megabytes(limit)}")
        for kind, size, limit in sizes
        if limit is not None and size is not None and size > limit
    )
