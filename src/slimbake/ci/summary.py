"""What a run of a pipeline came to: each service's state, size, change and budget. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from slimbake.ci.model import Known, Record
from slimbake.images.sizes import Image, Measurement
from slimbake.plan.model import Plan

State = Literal["built", "failed", "unchanged", "not reached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """A service after a run."""

    service: str
    state: State
    smoke: bool  # it has one
    image: Image | None  # as built; of what was not built, as known before
    before: Image | None
    limit: int | None  # its budget, uncompressed bytes
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    rows: tuple[SummaryRow, ...]
    failures: tuple[Record, ...]
    known: Known  # for the next run
    before: Measurement


def summarise(
    plan: Plan,
    selected: Sequence[str],
    unchanged: Collection[str],
    records: Sequence[Record],
    before: Known,
) -> Summary:
    """Put together what the jobs left behind.

    `selected`: the services that jobs were to build; `unchanged`: those that needed none. A service
    of several lanes stands for its first record; it has failed where one of them did.
    """
    built: dict[str, Image] = {}
    seconds: dict[str, float] = {}
    for record in records:
        for image in record.images:
            built.setdefault(image.name, image)
            seconds.setdefault(image.name, record.seconds / len(record.images))
    failed = {name for record in records for name in record.failed}
    unchanged = {*unchanged, *(name for record in records for name in record.held)}
    old = {image.name: image for image in before.images}
    smokes = {target.service for target in plan.targets if target.kind == "smoke"}
    rows = tuple(
        SummaryRow(
            service=each.service,
            state=_state(each.service, built, failed, unchanged),
            smoke=each.service in smokes,
            image=built.get(each.service) or old.get(each.service),
            before=old.get(each.service),
            limit=each.budget.uncompressed,
            seconds=seconds.get(each.service),
        )
        for each in plan.services
        if each.service in {*selected, *unchanged}
    )
    live = {each.service for each in plan.services}
    held = {name: image for name, image in built.items() if name not in failed}
    images = {name: image for name, image in {**old, **held}.items() if name in live}
    times = {name: value for name, value in {**before.seconds, **seconds}.items() if name in live}
    return Summary(
        rows=rows,
        failures=tuple(record for record in records if record.error),
        known=Known(images=tuple(images.values()), seconds=times),
        before=Measurement(before.images),
    )


def _state(
    service: str, built: dict[str, Image], failed: set[str], unchanged: Collection[str]
) -> State:
    if service in failed:
        return "failed"
    if service in built:
        return "built"
    return "unchanged" if service in unchanged else "not reached"
