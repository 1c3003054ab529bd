"""What of the fleet's layers lies in several places, and what the planner would lay otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from slimbake.advise.model import Doubled, Relaid
from slimbake.layering.bases import as_layer_plan, planned_bases
from slimbake.layering.cost import cost
from slimbake.layering.model import LayerLimits, Prices
from slimbake.layering.planner import layer_plan
from slimbake.layering.report import duplicated
from slimbake.lock.closures import Written


def doubled(hand: Written, chains: Mapping[str, tuple[str, ...]]) -> tuple[Doubled, ...]:
    """The items that lie in several places of a host. `chains`: service -> its bases, the nearest
    first.
    """
    found = []
    for key, copies in duplicated(hand.plan):
        having = [
            chain.service
            for chain in hand.plan.chains
            if any(key in group for group in chain.groups)
        ]
        common = Counter(base for service in having for base in chains[service])
        base = next((base for base in chains[having[0]] if common[base] == len(having)), "")
        found.append(Doubled(key, hand.fleet.by_key[key].host, copies, tuple(having), base))
    return tuple(found)


def relaid(hand: Written, layer_limit: int | None) -> Relaid | None:
    """What the planner's layers would change; None where they are no better, or no plan keeps the
    limit.
    """
    limits = LayerLimits(layer_limit or LayerLimits().layers)
    if limits.free < 1:
        return None
    try:
        planned = as_layer_plan(planned_bases(hand.fleet, layer_plan(hand.fleet, limits, Prices())))
    except ValueError:
        return None
    now, then = cost(hand.fleet, hand.plan), cost(hand.fleet, planned)
    if then.value(Prices()) >= now.value(Prices()) - 1:
        return None
    before = (now.host, now.registry, round(now.pulled))
    changes = (then.host - now.host, then.registry - now.registry, round(then.pulled - now.pulled))
    return Relaid(*changes, before, (now.layers, then.layers))
