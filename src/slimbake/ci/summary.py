"""What a run of a pipeline came to: each service's state, size and change. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from slimbake.ci.model import Record
from slimbake.console.tables import counted, markdown, megabytes, readable
from slimbake.images.sizes import Image, Measurement
from slimbake.plan.model import Plan

State = Literal["built", "failed", "unchanged", "not reached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """A service after a run."""

    service: str
    state: State
    image: Image | None  # as built, also of what is over its budget
    before: Image | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    rows: tuple[SummaryRow, ...]
    failures: tuple[Record, ...]
    known: Measurement  # for the next run
    before: Measurement


def summarise(
    plan: Plan,
    selected: Sequence[str],
    unchanged: Collection[str],
    records: Sequence[Record],
    before: Measurement,
) -> Summary:
    """Put together what the jobs left behind.

    `selected`: the services that jobs were to build; `unchanged`: those that needed none. A service
    of several lanes stands for its first record; it has failed where one of them did.
    """
    built: dict[str, Image] = {}
    failed: set[str] = set()
    needless = {*unchanged}
    for record in records:
        failed.update(record.failed)
        needless.update(record.held)
        for image in record.images:
            built.setdefault(image.name, image)
    image_before = {image.name: image for image in before.images}
    reported = {*selected, *needless}
    rows = []
    known = []
    for name in plan.service_names:
        built_image = built.get(name)
        last = image_before.get(name)
        if name in reported:
            state = _state(name, built, failed, needless)
            rows.append(SummaryRow(service=name, state=state, image=built_image, before=last))
        if built_image and name not in failed:
            last = built_image
        if last:
            known.append(last)
    return Summary(
        rows=tuple(rows),
        failures=tuple(record for record in records if record.error),
        known=Measurement(tuple(known)),
        before=before,
    )


def _state(service: str, built: dict[str, Image], failed: set[str], unchanged: set[str]) -> State:
    if service in failed:
        return "failed"
    if service in built:
        return "built"
    if service in unchanged:
        return "unchanged"
    return "not reached"


# in the first line: by it the comment of an earlier run is found again
MARK = "<!-- slimbake bake -->"
MOST = 120  # rows: GitHub takes 65,536 characters in a comment
_LONGEST = 64_000  # characters
_SHOWN = 2_000  # characters of an error: its end tells what happened
_HEADINGS = (
    "service",
    "state",
    "uncompressed",
    "change",
    "compressed",
    "change",
)


def summary_text(summary: Summary) -> str:
    """The summary: a row for each service that a job was for, what all images are together, and
    what failed.
    """
    rows = [row for row in summary.rows if row.state != "unchanged"]
    blocks = [f"{MARK}\n## Images"]
    if rows:
        blocks.append(markdown(_HEADINGS, [_cells(row) for row in rows[:MOST]]))
    if len(rows) > MOST:
        blocks.append(f"And {len(rows) - MOST} more.")
    if len(rows) < len(summary.rows):
        blocks.append(f"Unchanged, and not built: {len(summary.rows) - len(rows)}.")
    blocks.append(_together(summary))
    for record in summary.failures:
        blocks.append(_failure(record))
    text = "\n\n".join(blocks).rstrip()
    if len(text) > _LONGEST:  # each error is one line
        text = text[:_LONGEST].rpartition("\n")[0].rstrip() + "\n\nThe logs of the jobs have more."
    return f"{text}\n"


def code(text: str) -> str:
    """Any text in code font: each character that Markdown or HTML could read is a number."""
    return f"<code>{_inert(text)}</code>"


def _inert(text: str) -> str:
    return re.sub("[^A-Za-z0-9 ]", lambda match: f"&#{ord(match[0])};", text)


def _cells(row: SummaryRow) -> list[str]:
    cells = [code(row.service), row.state]
    for size, was in zip(_sizes(row.image), _sizes(row.before), strict=True):
        cells += [megabytes(size), _change(size, was)]
    return cells


def _sizes(image: Image | None) -> tuple[int | None, int | None]:
    if image is None:
        return None, None
    return image.uncompressed, image.compressed


def _change(size: int | None, was: int | None) -> str:
    if size is None:
        return ""
    if was is None:
        return "new"
    if size == was:
        return "same"
    return readable(size - was, signed=True)


def _together(summary: Summary) -> str:
    now, before = summary.known, summary.before
    host, registry = megabytes(now.host), megabytes(now.registry)
    if before.images:
        host += f" ({_change(now.host, before.host)})"
        if now.registry is not None and before.registry is not None:
            registry += f" ({_change(now.registry, before.registry)})"
    text = (
        f"{counted(len(now.images), 'image')} together: {host} on a host, {registry} on a registry."
    )
    if not before.images:
        text += " Nothing is known of the main branch yet."
    return text


def _failure(record: Record) -> str:
    """An error as it was printed, in a block that it cannot end."""
    names = ", ".join(map(code, record.failed or record.services))
    lines = record.error[-_SHOWN:].splitlines()
    return f"Failed: {names}\n\n<pre>{'&#10;'.join(map(_inert, lines))}</pre>"
