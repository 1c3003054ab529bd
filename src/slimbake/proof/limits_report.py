"""What `slimbake limits` prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from slimbake.checks.limits import Action, Limits, times
from slimbake.console.tables import UNMEASURED, megabytes, text_table

HEADINGS = (
    "image",
    "left",
    "bytes",
    "opened",
    "ratio",
    "smallest found",
    "ratio",
    "pages touched",
    "ratio",
    "above the runtime",
    "used",
    "ratio",
)


def limits_text(found: Sequence[Limits]) -> str:
    """A table, and a line for each image whose pages others touched too."""
    lines = [text_table(HEADINGS, [_row(each) for each in found])]
    lines += [
        f"{each.service}: others read {megabytes(each.disturbed)} of its files meanwhile, or kept"
        " them: not counted"
        for each in found
        if each.disturbed is not None
        and each.touched is not None
        and each.disturbed > each.touched / 20
    ]
    return "\n".join(lines)


def above(found: Sequence[Limits], most: float) -> tuple[str, ...]:
    """The images that are not known to keep to so many times what is used, each with what was
    found.
    """
    return tuple(
        _above(each, most)
        for each in found
        if each.above and (each.ratio is None or each.ratio > most)
    )


def _above(each: Limits, most: float) -> str:
    if each.ratio is None:
        return (
            f"{each.service}: what is used of its {megabytes(each.above)} above the runtime is"
            " unmeasured"
        )
    return (
        f"{each.service}: {megabytes(each.above)} above the runtime are {_times(each.ratio)} "
        f"the {megabytes(each.used)} that are used, {most:g}x at most"
    )


def _row(each: Limits) -> tuple[str, ...]:
    parts = [(size, times(each.image, size)) for size in (each.opened, each.smallest, each.touched)]
    cells = [cell for size, ratio in parts for cell in (megabytes(size), _times(ratio))]
    left = UNMEASURED if each.left is None else ", ".join(map(_action, each.left)) or "nothing"
    return (
        each.service,
        left,
        megabytes(each.image),
        *cells,
        megabytes(each.above),
        megabytes(each.used),
        _times(each.ratio),
    )


def _action(action: Action) -> str:
    words = f"{action.kind} than {action.what}" if action.what else action.kind
    return f"{words} {megabytes(action.bytes)}"


def _times(ratio: float | None) -> str:
    return UNMEASURED if ratio is None else f"{ratio:.2f}x"
