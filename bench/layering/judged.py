"""What makes a plan of layers useless."""

from __future__ import annotations

from slimbake.fleet.layering.model import LIMIT, RESERVED, Demand, LayerPlan


def faults(fleet: Demand, plan: LayerPlan, limit: int = LIMIT - RESERVED) -> tuple[str, ...]:
    """What makes a plan useless: an image that lacks an item or has it twice, too many layers."""
    found = []
    needs = {image.service: image.items for image in fleet.images}
    for chain in plan.chains:
        held = [key for group in chain.groups for key in group]
        if missing := needs[chain.service] - set(held):
            found.append(f"{chain.service} lacks {', '.join(sorted(missing))}")
        if more := set(held) - needs[chain.service]:
            found.append(f"{chain.service} needs no {', '.join(sorted(more))}")
        if twice := {key for key in held if held.count(key) > 1}:
            found.append(f"{chain.service} has twice {', '.join(sorted(twice))}")
        if len(chain.groups) > limit:
            found.append(f"{chain.service} has {len(chain.groups)} layers of at most {limit}")
        if not all(chain.groups):
            found.append(f"{chain.service} has an empty layer")
    if absent := set(needs) - {chain.service for chain in plan.chains}:
        found.append(f"no layers for {', '.join(sorted(absent))}")
    return tuple(found)
