"""What a plan of layers is judged by beside its cost: what makes it useless, and what it moves."""

from __future__ import annotations

from slimbake.fleet.layering.cost import item_name, item_names
from slimbake.fleet.layering.model import Demand, LayerLimits, LayerPlan


def bytes_moved(fleet: Demand, plan: LayerPlan, previous: LayerPlan) -> int:
    """Compressed bytes that hosts pull again although nothing in them changed: what the previous
    plan had too, but lies in a layer that it had not. A layer is the same if its names are: a new
    version is no move.
    """
    items = fleet.by_key
    before = {item_names(group) for group in previous.groups}
    known = frozenset[str]().union(*before)
    return sum(
        items[key].registry
        for group in plan.groups
        if item_names(group) not in before
        for key in group
        if item_name(key) in known
    )


def faults(fleet: Demand, plan: LayerPlan, limits: LayerLimits) -> tuple[str, ...]:
    """What makes a plan useless: an image that lacks an item or has it twice, too many layers,
    mixed weights.
    """
    found = []
    needs = {image.service: image.items for image in fleet.images}
    for chain in plan.chains:
        held = [key for group in chain.groups for key in group]
        if missing := needs[chain.service] - set(held):
            found.append(f"{chain.service} lacks {', '.join(sorted(missing))}")
        if twice := {key for key in held if held.count(key) > 1}:
            found.append(f"{chain.service} has twice {', '.join(sorted(twice))}")
        if len(chain.groups) > limits.free:
            found.append(f"{chain.service} has {len(chain.groups)} layers of at most {limits.free}")
        for group in chain.groups:
            kinds = [fleet.by_key[key].kind for key in group]
            if not group:
                found.append(f"{chain.service} has an empty layer")
            if "weights" in kinds and len(kinds) > 1:
                found.append(f"{chain.service} has weights beside others in a layer")
    if absent := set(needs) - {chain.service for chain in plan.chains}:
        found.append(f"no layers for {', '.join(sorted(absent))}")
    return tuple(found)
