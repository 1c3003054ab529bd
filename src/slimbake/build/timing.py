"""What this machine keeps of how long builds took, and shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from slimbake.build.costs import RanStep
from slimbake.console.tables import Layout, text_table
from slimbake.host.workspace import Workspace

# In the workspace: seconds of each target, as it was last built from its first step; and the steps
# of the last bake.
COSTS, TIMELINE = "costs", "timeline"


def costs(workspace: Workspace) -> dict[str, float]:
    """Seconds by target, as they were last measured here."""

    def parse(said: Any) -> dict[str, float]:
        return {str(name): float(seconds) for name, seconds in said.items()}

    return workspace.read(COSTS, parse) or {}


def keep_costs(
    workspace: Workspace, seconds: Mapping[str, float], ran: Sequence[RanStep] = ()
) -> None:
    """Keep what was measured now, beside what was known of others; `ran`: the steps of this build,
    in place of those of another.
    """
    workspace.write(COSTS, {**costs(workspace), **seconds})
    if ran:
        workspace.write(TIMELINE, [list(astuple(each)) for each in ran])


def timeline(workspace: Workspace) -> tuple[RanStep, ...]:
    """The steps of the last bake that built something; () where none is known."""

    def parse(said: Any) -> tuple[RanStep, ...]:
        return tuple(
            RanStep(str(target), str(title), str(part), float(begins), float(ends), bool(critical))
            for target, title, part, begins, ends, critical in said
        )

    return workspace.read(TIMELINE, parse) or ()


HEADINGS = ("step", "part", "began", "took", "critical")
_SHORT = 0.05  # seconds; of what took less only the critical path is shown
_SHARE = 0.01  # of the bake; where a table folds, likewise
_TITLE = 48  # letters of a step


def timeline_text(steps: Sequence[RanStep], layout: Layout) -> str:
    """A table of the steps, those of the critical path marked, and what each part took."""
    if not steps:
        return "no bake of this folder has built anything yet"
    ends = max(each.ends for each in steps)
    least = max(_SHORT, _SHARE * ends) if layout.width and not layout.markdown else _SHORT
    rows = [
        (
            f"{each.target}: {each.title[:_TITLE]}",
            each.part,
            f"{each.begins:.1f} s",
            f"{each.ends - each.begins:.1f} s",
            "*" if each.critical else "",
        )
        for each in steps
        if each.critical or each.ends - each.begins >= least
    ]
    table = text_table(HEADINGS, rows, layout=layout)
    more = sum(not each.critical and _SHORT <= each.ends - each.begins < least for each in steps)
    rest = f"{more} shorter than {least:.1f} s; `--wide` shows them"
    path = _by_part(each for each in steps if each.critical)
    waits = ends - sum(path.values())
    return "\n".join(
        (
            table,
            *((rest,) if more else ()),
            "",
            f"critical path: {_summed(path)}, waiting {max(0.0, waits):.1f} s",
            f"all steps, side by side: {_summed(_by_part(steps))}",
        )
    )


def _by_part(steps: Iterable[RanStep]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in steps:
        found[each.part] = found.get(each.part, 0.0) + each.ends - each.begins
    return found


def _summed(parts: Mapping[str, float]) -> str:
    most = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in most)
