"""What a run of a pipeline came to: each service's state, size and change. Pure."""

from __future__ import annotations

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
    for record in records:
        for image in record.images:
            built.setdefault(image.name, image)
    failed = {name for record in records for name in record.failed}
    unchanged = {*unchanged, *(name for record in records for name in record.held)}
    old = {image.name: image for image in before.images}
    rows = tuple(
        SummaryRow(
            service=service.service,
            state=_state(service.service, built, failed, unchanged),
            image=built.get(service.service),
            before=old.get(service.service),
        )
        for service in plan.services
        if service.service in {*selected, *unchanged}
    )
    live = {service.service for service in plan.services}
    passed = {name: image for name, image in built.items() if name not in failed}
    images = {name: image for name, image in {**old, **passed}.items() if name in live}
    return Summary(
        rows=rows,
        failures=tuple(record for record in records if record.error),
        known=Measurement(tuple(images.values())),
        before=before,
    )


def _state(
    service: str, built: dict[str, Image], failed: set[str], unchanged: Collection[str]
) -> State:
    if service in failed:
        return "failed"
    if service in built:
        return "built"
    return "unchanged" if service in unchanged else "not reached"


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
    shown = [row for row in summary.rows if row.state != "unchanged"]
    same = len(summary.rows) - len(shown)
    head = [MARK, "## Images", ""]
    tail = [
        _together(summary),
        "",
        *(block for record in summary.failures for block in (_failure(record), "")),
    ]
    if same:
        tail[:0] = [f"Unchanged, and not built: {same}.", ""]
    text = "\n".join([*head, *_table(shown), *tail]).rstrip()
    if len(text) > _LONGEST:  # each block is one line
        text = text[:_LONGEST].rpartition("\n")[0].rstrip() + "\n\nThe logs of the jobs have more."
    return f"{text}\n"


def code(text: str) -> str:
    """Any text in code font: each character that Markdown or HTML could read is a number."""
    return f"<code>{_inert(text)}</code>"


def _inert(text: str) -> str:
    return "".join(
        c if c.isalnum() and c.isascii() else " " if c == " " else f"&#{ord(c)};" for c in text
    )


def _table(rows: Sequence[SummaryRow]) -> list[str]:
    if not rows:
        return []
    left = [f"And {len(rows) - MOST} more.", ""] if len(rows) > MOST else []
    return [markdown(_HEADINGS, [_cells(row) for row in rows[:MOST]]), "", *left]


def _cells(row: SummaryRow) -> tuple[str, ...]:
    now, before = row.image, row.before
    sizes = [now.uncompressed, now.compressed] if now else [None, None]
    old = [before.uncompressed, before.compressed] if before else [None, None]
    figures = [
        cell
        for size, was in zip(sizes, old, strict=True)
        for cell in (megabytes(size), _change(size, was))
    ]
    return (
        code(row.service),
        row.state,
        *figures,
    )


def _change(size: int | None, was: int | None) -> str:
    if size is None:
        return ""
    return "new" if was is None else "same" if size == was else readable(size - was, signed=True)


def _together(summary: Summary) -> str:
    now = summary.known
    lines = []
    for what, size, was in (
        ("on a host", now.host, summary.before.host),
        ("on a registry", now.registry, summary.before.registry),
    ):
        change = (
            f" ({_change(size, was)})"
            if summary.before.images and size is not None and was is not None
            else ""
        )
        lines.append(f"{megabytes(size)}{change} {what}")
    missing = "" if summary.before.images else " Nothing is known of the main branch yet."
    return f"{counted(len(now.images), 'image')} together: {', '.join(lines)}.{missing}"


def _failure(record: Record) -> str:
    """An error as it was printed, in a block that it cannot end."""
    names = ", ".join(map(code, record.failed or record.services))
    lines = record.error[-_SHOWN:].splitlines()
    return f"Failed: {names}\n\n<pre>{'&#10;'.join(map(_inert, lines))}</pre>"
