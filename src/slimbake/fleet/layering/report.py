"""Plans as rows of tables. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from slimbake.fleet.layering.cost import Cost
from slimbake.fleet.layering.model import Demand, Group, LayerPlan

GROUP_HEADINGS = ("layer", "shared by", "holds", "items", "on a host", "on a registry")
COST_HEADINGS = ("", "on a host", "on a registry", "pulled by an update", "layers")
COST_WORDS = (
    "written: as they are now; planned: as the planner would lay them; lower bound: no plan is below"
    " it. Bytes are those of wheels, and on a host estimated from them."
)
_WEIGHS = 50_000  # bytes below which a table says 0.0 MB
_NAMED = 3  # items of a layer that are named, the heaviest


def group_rows(fleet: Demand, plan: LayerPlan, names: Mapping[Group, str]) -> list[tuple[str, ...]]:
    """A row for each place where a layer lies: what stands on it is indented below it."""
    users: dict[tuple[Group, ...], list[str]] = {}
    for chain in plan.chains:
        for at in range(len(chain.groups)):
            users.setdefault(chain.groups[: at + 1], []).append(chain.service)
    on: dict[tuple[Group, ...], list[tuple[Group, ...]]] = {}
    for place in users:
        on.setdefault(place[:-1], []).append(place)

    def below(above: tuple[Group, ...]) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for place in on.get(above, ()):
            services, group = users[place], place[-1]
            heavy = sorted(group, key=lambda key: (-fleet.by_key[key].host, key))
            holds = ", ".join(fleet.by_key[key].name for key in heavy[:_NAMED]) + ", ..." * (
                len(heavy) > _NAMED
            )
            name = "  " * len(above) + (names.get(group) or fleet.by_key[heavy[0]].name)
            host = sum(fleet.by_key[key].host for key in group)
            registry = sum(fleet.by_key[key].registry for key in group)
            shared = ", ".join(services[:4]) + (
                f" and {len(services) - 4} more" if len(services) > 4 else ""
            )
            rows.append(
                (name, shared, holds, str(len(group)), _megabytes(host), _megabytes(registry))
            )
            rows.extend(below(place))
        return rows

    return below(())


def duplicated(plan: LayerPlan) -> list[tuple[str, int]]:
    """Items that lie in several layers, and in how many places of a host."""
    places = {chain.groups[: at + 1] for chain in plan.chains for at in range(len(chain.groups))}
    counts = Counter(key for place in places for key in place[-1])
    return sorted((key, count) for key, count in counts.items() if count > 1)


def duplicates(fleet: Demand, plan: LayerPlan) -> list[str]:
    """A line for each item of weight that lies twice or more on a host, the heaviest first."""
    pairs = sorted(
        duplicated(plan), key=lambda pair: (-fleet.by_key[pair[0]].host * (pair[1] - 1), pair[0])
    )
    weighing = [pair for pair in pairs if fleet.by_key[pair[0]].host >= _WEIGHS]
    lines = [
        f"{key} lies in {count} places: {_megabytes(fleet.by_key[key].host)} each"
        for key, count in weighing
    ]
    return [*lines, ""] if lines else []


def cost_rows(costs: Mapping[str, Cost], least: Cost) -> list[tuple[str, ...]]:
    """What each plan costs, and below it the lower bound."""
    rows = [
        (
            name,
            _megabytes(cost.host),
            _megabytes(cost.registry),
            _megabytes(cost.pulled),
            str(cost.layers),
        )
        for name, cost in costs.items()
    ]
    return [
        *rows,
        (
            "lower bound",
            *map(_megabytes, (least.host, least.registry, least.pulled)),
            "",
        ),
    ]


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.1f} MB"
