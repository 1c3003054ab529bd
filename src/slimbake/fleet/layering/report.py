"""Plans as rows of tables. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from slimbake.fleet.layering.cost import Cost, cost, item_name
from slimbake.fleet.layering.model import Demand, Group, LayerPlan, Prices

GROUP_HEADINGS = ("layer", "shared by", "holds", "items", "on a host", "on a registry")
CHANGE_HEADINGS = ("image", "what moves", "on a host", "to pull")
COST_HEADINGS = ("", "on a host", "on a registry", "pulled by an update", "waste", "layers")
COST_WORDS = (
    "written: as they are now; planned: as the planner would lay them; lower bound: no plan is below"
    " it. Waste: what an image holds and its service does not need. Without"
    " --measured, bytes are those of wheels, and on a host estimated from them; `slimbake sizes`"
    " measures images."
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
    found = sorted(
        duplicated(plan), key=lambda pair: (-fleet.by_key[pair[0]].host * (pair[1] - 1), pair[0])
    )
    weighing = [pair for pair in found if fleet.by_key[pair[0]].host >= _WEIGHS]
    lines = [
        f"{key} lies in {count} places: {_megabytes(fleet.by_key[key].host)} each"
        for key, count in weighing
    ]
    return [*lines, ""] if lines else []


def change_rows(change: LayoutChange) -> list[tuple[str, ...]]:
    """A row for each image that changes: what moves in it, and its bytes."""
    return [
        (
            image.service,
            ", ".join(f"{name} {old or 'new'} -> {new or 'gone'}" for name, old, new in image.items)
            or "same packages",
            f"{image.host / 1e6:+,.1f} MB",
            _megabytes(image.pulled),
        )
        for image in change.images
    ]


def layout_summary(change: LayoutChange, services: int) -> str:
    """What a change comes to for the fleet."""
    return (
        f"{len(change.images)} of {services} images change: {change.host / 1e6:+,.1f} MB on a host,"
        f" {change.registry / 1e6:+,.1f} MB on a registry, {_megabytes(change.pulled)} to pull"
    )


def cost_rows(costs: Mapping[str, Cost], least: Cost) -> list[tuple[str, ...]]:
    """What each plan costs, beside the lower bound, and how far it is from that."""
    rows = [
        (
            name,
            _beside(each.host, least.host),
            _beside(each.registry, least.registry),
            _beside(each.pulled, least.pulled),
            _megabytes(each.waste),
            str(each.layers),
        )
        for name, each in costs.items()
    ]
    return [
        *rows,
        (
            "lower bound",
            *map(_megabytes, (least.host, least.registry, least.pulled)),
            _megabytes(0),
            "",
        ),
    ]


def verdict(written: Cost, planned: Cost, prices: Prices) -> str:
    """What the planner would do better, in a line."""
    if planned.value(prices) >= written.value(prices) - 1:
        return "The planner finds nothing better."
    parts = [
        (planned.host - written.host, "on a host"),
        (planned.registry - written.registry, "on a registry"),
        (planned.pulled - written.pulled, "pulled by a typical update"),
    ]
    said = [
        f"{_megabytes(abs(change))} {'more' if change > 0 else 'less'} {where}"
        for change, where in parts
    ]
    return f"The planner's layers: {', '.join(said)}."


def _beside(value: float, least: float) -> str:
    above = value / least - 1 if least else 1  # far above it a percentage says nothing
    return _megabytes(value) + (f" (+{above:.1%})" if above < 1 else "")


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.1f} MB"


@dataclass(frozen=True, slots=True)
class ImageChange:
    """One image that is not what it was."""

    service: str
    # name, version before, version after; "" where it was or is not there
    items: tuple[tuple[str, str, str], ...]
    host: int  # more bytes unpacked; negative: fewer
    pulled: int  # bytes on a registry of its layers that the fleet did not have


@dataclass(frozen=True, slots=True)
class LayoutChange:
    """All images that change, and bytes of the fleet: more of them, or fewer where negative."""

    images: tuple[ImageChange, ...]
    host: int
    registry: int
    pulled: int  # by a host with the whole fleet: each distinct layer that it does not have, once


def what_if(before: Demand, after: Demand, old: LayerPlan, new: LayerPlan) -> LayoutChange:
    """Compare two fleets in their layers. Services are known by their names."""
    had = {image.service: image.items for image in before.images}
    has = {image.service: image.items for image in after.images}
    there = old.groups
    images = []
    for service in [*had, *(service for service in has if service not in had)]:
        gone, come = had.get(service, frozenset()), has.get(service, frozenset())
        layers = new.chain(service).groups if service in has else ()
        pulled = sum(_registry(after, group) for group in layers if group not in there)
        if (
            gone != come
            or pulled
            or (service in had and service in has and old.chain(service).groups != layers)
        ):
            host = sum(after.by_key[key].host for key in come) - sum(
                before.by_key[key].host for key in gone
            )
            images.append(
                ImageChange(service, _items(before, after, gone - come, come - gone), host, pulled)
            )
    costs = cost(before, old), cost(after, new)
    return LayoutChange(
        tuple(images),
        host=costs[1].host - costs[0].host,
        registry=costs[1].registry - costs[0].registry,
        pulled=sum(_registry(after, group) for group in new.groups - there),
    )


def _registry(fleet: Demand, group: frozenset[str]) -> int:
    return sum(fleet.by_key[key].registry for key in group)


def _items(
    before: Demand, after: Demand, gone: frozenset[str], come: frozenset[str]
) -> tuple[tuple[str, str, str], ...]:
    old = {item_name(key): before.by_key[key].version for key in gone}
    new = {item_name(key): after.by_key[key].version for key in come}
    return tuple((each, old.get(each, ""), new.get(each, "")) for each in sorted({*old, *new}))
