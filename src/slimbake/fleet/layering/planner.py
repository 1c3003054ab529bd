"""Find the layers of a fleet. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from slimbake.fleet.layering.cost import cost
from slimbake.fleet.layering.cuts import Cutter
from slimbake.fleet.layering.model import (
    LIMIT,
    RESERVED,
    WORTH,
    Chain,
    Demand,
    Group,
    LayerPlan,
    Needs,
    item_name,
    item_names,
    shared_groups,
)
from slimbake.fleet.layering.tree import Node, tree

_MANY = 300  # images from which on one depth of a tree is tried
_WORTH_LATER = 20_000_000  # what one must save, where others would have to pull what they have in another layer
_BETTER = 0.05  # of the bytes on hosts and registries, what another plan must save

# The shared layers of each service, bottom first, as an earlier plan had them.
Previous = Mapping[str, tuple[Group, ...]]


def layer_plan(
    fleet: Demand, limit: int = LIMIT - RESERVED, previous: Previous | None = None
) -> LayerPlan:
    """The best plan found for a fleet, with at most so many layers of items for each image, and the
    same for the same fleet.

    `previous`: the plan as it was before the fleet changed. What has not changed stays where it is,
    unless another plan is much better.
    """
    plan = _new(fleet, limit)
    if kept := previous and _carried(fleet, limit, previous):
        now, then = cost(fleet, kept), cost(fleet, plan)
        if (1 - _BETTER) * (now.host + now.registry) <= then.host + then.registry:
            return kept
    return plan


def _new(fleet: Demand, limit: int, worth: int = WORTH) -> LayerPlan:
    """A tree, as high as may be or with some layers to spare for cuts."""
    heights = {limit, max(1, limit - 2)} if len(fleet.images) < _MANY else {limit}
    plans = [_cut_tree(fleet, limit, height, worth) for height in sorted(heights)]
    return min(plans, key=lambda plan: cost(fleet, plan).value)


def _cut_tree(fleet: Demand, limit: int, height: int, worth: int) -> LayerPlan:
    root = tree(fleet, height, worth)
    Cutter(fleet, root, limit, worth).run()
    return _plan(fleet, _chains(root, ()))


def _plan(fleet: Demand, chains: Iterable[Chain], kept: Collection[Group] = ()) -> LayerPlan:
    """A plan in the fleet's order. What a service has alone is one layer, above all others, unless it
    is among `kept`.
    """
    by_service = {chain.service: chain for chain in chains}
    plan = LayerPlan(tuple(by_service[image.service] for image in fleet.images))
    shared = shared_groups(fleet, plan).union(kept)
    settled = []
    for chain in plan.chains:
        unshared = [group for group in chain.groups if group not in shared]
        groups = [group for group in chain.groups if group in shared]
        groups += [frozenset[str]().union(*unshared)] if unshared else []
        settled.append(Chain(chain.service, tuple(groups)))
    return LayerPlan(tuple(settled))


def _chains(node: Node, inherited: tuple[Group, ...]) -> Iterator[Chain]:
    here = (*inherited, *node.layers)
    if node.service:
        yield Chain(node.service, here)
    for child in node.children:
        yield from _chains(child, here)


def _carried(fleet: Demand, limit: int, previous: Previous) -> LayerPlan | None:
    """The earlier plan for the fleet as it is; None where it breaks the limit.

    A layer stays while any service needs just that; else it holds what most of its services need of
    it now, in other versions. Others, and services that are new, stand
    on the heaviest layers that hold nothing else than they need. What lies above is planned again.
    """
    needs = {image.service: image.items for image in fleet.images}
    contents: dict[tuple[Group, ...], Counter[Group]] = defaultdict(Counter)
    for service in needs.keys() & previous.keys():
        chain = previous[service]
        for at, group in enumerate(chain, 1):
            same = group <= needs[service]
            names = item_names(group)
            now = group if same else {key for key in needs[service] if item_name(key) in names}
            contents[chain[:at]][frozenset(now)] += len(needs) if same else 1
    stacks: dict[tuple[Group, ...], tuple[Group, ...]] = {(): ()}
    for place in sorted(contents, key=len):
        most = max(contents[place], key=lambda group: (contents[place][group], sorted(group)))
        stacks[place] = (*stacks[place[:-1]], *((most,) if most else ()))
    items_at = {place: frozenset[str]().union(*stack) for place, stack in stacks.items()}
    size = {place: fleet.host(keys) for place, keys in items_at.items()}
    standing: dict[tuple[Group, ...], list[Needs]] = defaultdict(list)
    for service, items in needs.items():
        place = previous.get(service, ())
        if not (place in items_at and place and items_at[place] <= items):
            place = max((at for at in items_at if items_at[at] <= items), key=lambda at: size[at])
        standing[place].append(Needs(service, items - items_at[place]))
    chains = []
    for place, rests in standing.items():
        free = limit - len(stacks[place])
        if free < 1 and any(rest.items for rest in rests):
            return None
        above = _new(Demand(tuple(rests), fleet.items), max(1, free), _WORTH_LATER)
        chains += [Chain(chain.service, (*stacks[place], *chain.groups)) for chain in above.chains]
    return _plan(fleet, chains, {group for stack in stacks.values() for group in stack})
