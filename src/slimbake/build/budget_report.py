"""What is said of a budget that does not hold. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from slimbake.config.model import Budget
from slimbake.console.tables import megabytes, readable
from slimbake.images.grown import BudgetedImage, GrownPackage, Growth

_SHOWN = 3  # packages of a target


def over(
    found: BudgetedImage, compressed: int | None, budget: Budget
) -> tuple[tuple[str, str], ...]:
    """Each limit that is exceeded: its name, and what was found against it. What is unmeasured
    exceeds nothing.
    """
    sizes = (
        ("uncompressed", sum(layer.uncompressed for layer in found.layers), budget.uncompressed),
        ("compressed", compressed, budget.compressed),
        ("rss", found.rss, budget.rss),
    )
    words = {"rss": "RSS"}
    lines = [
        (kind, f"{words.get(kind, kind)} {megabytes(size)}, its budget is {megabytes(limit)}")
        for kind, size, limit in sizes
        if limit is not None and size is not None and size > limit
    ]
    if budget.startup is not None and found.startup is not None and found.startup > budget.startup:
        lines.append(
            (
                "startup",
                f"start-up {seconds(found.startup)}, its budget is {seconds(budget.startup)}",
            )
        )
    return tuple(lines)


def since(
    before: BudgetedImage | None, after: BudgetedImage, kind: str, changes: Sequence[Growth]
) -> str:
    """What grew since the last measurement that held, for one limit."""
    if before is None:
        return "no measurement that held is known here"
    if before.digest == after.digest:
        return f"the image is the one that held last{_then(before, kind)}"
    told = [_growth(each, kind) for each in changes]
    unit = " compressed" if kind == "compressed" else ""
    grew = f"{', '.join(told)}" if told else f"not a byte{unit} more"
    return (
        f"since {before.digest.removeprefix('sha256:')[:12]}, which held{_then(before, kind)}:"
        f" {grew}"
    )


def seconds(value: float) -> str:
    """Seconds, as precise as they can be told apart."""
    return f"{value:.2f} s"


def _then(before: BudgetedImage, kind: str) -> str:
    if kind == "startup" and before.startup is not None:
        return f" with {seconds(before.startup)}"
    if kind == "rss" and before.rss is not None:
        return f" with {megabytes(before.rss)}"
    return ""


def _growth(each: Growth, kind: str) -> str:
    packages = each.packages
    # its code: the target's name says it
    if {package.name for package in packages} <= {"/app", each.name}:
        packages = ()
    shown = [_package(package) for package in packages[:_SHOWN]]
    if len(packages) > _SHOWN:
        rest = sum(package.bytes for package in packages[_SHOWN:])
        shown.append(f"{len(packages) - _SHOWN} more {readable(rest, signed=True)}")
    inside = ", ".join(shown)
    if inside and kind == "compressed":
        inside = f"uncompressed: {inside}"
    return f"{readable(each.bytes, signed=True)} {each.name}" + (f" ({inside})" if inside else "")


def _package(package: GrownPackage) -> str:
    return " ".join(
        filter(None, (package.name, readable(package.bytes, signed=True), package.only))
    )
