"""`prove --warm`: traces the starts of services again, and refreshes what layers keep on disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from slimbake.build.site import Preparation, hold
from slimbake.build.warm import lists, traces, write_lists
from slimbake.config.naming import WARM
from slimbake.console import Console
from slimbake.console.tables import FOLDED, Layout, text_table
from slimbake.errors import CheckError, NothingSelected
from slimbake.evidence import keep_lists, warmable
from slimbake.inside.cold.layout import SOURCE
from slimbake.project import Project

SHOWN = 5  # names of modules in a cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a trace says of the list of one layer."""

    layer: str
    lines: int
    added: tuple[str, ...]  # what a start uses, and the list does not name
    gone: tuple[str, ...]  # what the list names, and no start uses any more

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def refresh(
    project: Project,
    services: Sequence[str],
    console: Console,
    *,
    write: bool = True,
    install: bool = False,
) -> tuple[Refreshed, ...]:
    """Trace every service on the layers that these stand on; compare, and `write`, the lists.

    The images are those that a bake makes now: modules of a cold store are seen as those on disk
    are. Raises CheckError where a smoke or verify does not hold, and no list is written then;
    NothingSelected where no layer has a cold store, and as `hold` and `bake` do.
    """
    layers = warmable(project.fleet, project.locks)
    chosen = [each for each in layers.values() if {*each.services} & {*services}]
    if not chosen:
        raise NothingSelected(
            f"{', '.join(services)}: no layer of packages that may have a cold store"
        )
    on = tuple(dict.fromkeys(name for layer in chosen for name in layer.services))
    with hold(project, Preparation(targets=on, install=install), console) as site:
        traced = traces(site.stocked(on), on)
        if faults := [f"{each.service}: {each.fault}" for each in traced if each.fault]:
            raise CheckError("nothing is traced: checks failed\n" + "\n".join(faults))
        known = site.project.evidence.warm
        found = lists(site.project, chosen, traced)
        if write:
            write_lists(site.root, found)
            keep_lists(site.root, layers, console)
    for layer in chosen:
        if layer.name not in found:
            console.say(f"{layer.name}: no service on it runs a Python that can be traced")
    return tuple(_compared(name, known.get(name, ()), lines) for name, lines in found.items())


def _compared(layer: str, before: Collection[str], now: Collection[str]) -> Refreshed:
    known = {*before, *(each.removesuffix(SOURCE) for each in before)}
    return Refreshed(
        layer=layer,
        lines=len(now),
        added=tuple(sorted({*now} - known)),
        gone=tuple(sorted({*before} - {*now})),
    )


def refreshed_table(found: Iterable[Refreshed], layout: Layout = FOLDED) -> str:
    """For people."""
    rows = [(each.layer, f"{each.lines:,}", _cell(each.added), _cell(each.gone)) for each in found]
    return text_table(("layer", "warm", "new", "no longer used"), rows, 4, layout)


def cold_at_start(found: Iterable[Refreshed]) -> str:
    """Which starts use what is not in a list; "" where none does."""
    return "\n".join(
        f"{WARM}/{each.layer}.txt: a start uses {_cell(each.added)} from the cold store"
        for each in found
        if each.added
    )


def _cell(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{more}" if names else "0"
