"""Budgets: which images are over one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.config.model import Budget
from slimbake.console.tables import megabytes
from slimbake.images.sizes import Image, Measurement
from slimbake.plan.model import Plan


def over_budget(plan: Plan, measurement: Measurement) -> dict[str, str]:
    """The services over their budget, each with the limits that do not hold and how to find out why.
    What is unmeasured exceeds nothing.
    """
    budgets = {service.service: service.budget for service in plan.services}  # weights have none
    reasons = {}
    for image in measurement.images:
        if image.name in budgets:
            lines = list(_broken(image, budgets[image.name]))
            if lines:
                lines.append(f"  `slimbake sizes --by package {image.digest}` lists what is in it")
                reasons[image.name] = "\n".join(lines)
    return reasons


def _broken(image: Image, budget: Budget) -> Iterator[str]:
    for kind, size, limit in (
        ("uncompressed", image.uncompressed, budget.uncompressed),
        ("compressed", image.compressed, budget.compressed),
    ):
        if limit is not None and size is not None and size > limit:
            yield f"{image.name}: {kind} {megabytes(size)}, its budget is {megabytes(limit)}"
