"""What a change of the fleet means for images and bytes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from slimbake.layering.cost import cost, item_name
from slimbake.layering.model import Demand, LayerPlan


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
