"""The targets of a fleet as a graph: their order, and what each one needs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.plan.model import LINK, Links, Plan, Recipe, Target, needing


def ordered(targets: Iterable[Target]) -> tuple[Target, ...]:
    """Return the targets in their order, but each after all that it needs.

    The targets have no cycle.
    """
    waiting = list(targets)
    waiting.reverse()
    by_name = {target.name: target for target in waiting}
    placed: dict[str, Target] = {}
    while waiting:
        target = waiting.pop()
        missing = [by_name[name] for name in target.needs if name not in placed]
        if missing:
            waiting.append(target)
            waiting.extend(reversed(missing))
        else:
            placed.setdefault(target.name, target)
    return tuple(placed.values())


def standing(
    targets: Sequence[Target], links: Links = needing
) -> Iterator[tuple[Target, tuple[Target, ...]]]:
    """Yield each target with all that it is linked to, directly or not, and itself, in order.

    The result for one target is that of `needed`. Calling that for each target would take time
    that grows with the square of their number.

    `targets`: each after all that it is linked to.
    """
    places_of: dict[str, tuple[int, ...]] = {}
    for place, target in enumerate(targets):
        places = {place}
        for name in links(target):
            places.update(places_of[name])
        places_of[target.name] = tuple(sorted(places))
        yield target, tuple(targets[index] for index in places_of[target.name])


IMAGE = "docker-image://"


def relinked(plan: Plan, pushed: Mapping[str, str]) -> Plan:
    """Return the plan without the targets of `pushed`; what needed them takes their images instead.

    `pushed` maps a target to its image, as REPOSITORY@DIGEST.
    """
    if not pushed:
        return plan
    targets = []
    for target in plan.targets:
        if target.name not in pushed:
            contexts = tuple((name, _context(value, pushed)) for name, value in target.contexts)
            targets.append(replace(target, contexts=contexts))
    return replace(plan, targets=tuple(targets))


def _context(value: str, pushed: Mapping[str, str]) -> str:
    """The value of a context: the pushed image, if it is the link to a target that has one."""
    if value.startswith(LINK):
        name = value.removeprefix(LINK)
        if name in pushed:
            return f"{IMAGE}{pushed[name]}"
    return value


def layers(plan: Plan, service: str, count: int = 0) -> tuple[str, ...]:
    """Return the name of the target that adds each layer of a service's image, bottom first.

    () for an image of a Dockerfile of the user's own: slimbake does not know its layers. `count` is
    the number of layers of the image. On an image of `from`, those that no target adds count as the
    runtime's.
    """
    names: list[str] = []
    from_image = ""  # the runtime, where it is an image of the user's
    for target in plan.held((service,)):
        if target.kind == "runtime":
            names += (target.name, target.name)  # its files, and the folder that it works in
            if target.runtime and target.runtime.image:
                from_image = target.name
        elif target.kind in ("base", "service"):
            if target.recipe is None:
                return ()
            names += _own_layers(target, target.recipe)
    if from_image:
        names = [from_image] * (count - len(names)) + names
    return tuple(names)


def _own_layers(target: Target, recipe: Recipe) -> list[str]:
    """The layers that a base or a service adds: those of packages first, then its own."""
    names = [link.target for link in recipe.chain]
    own = (recipe.system, recipe.bytecode, recipe.local, recipe.folders)
    count = sum(map(bool, own)) + len(recipe.copies) + len(recipe.steps)
    if target.kind == "service" and recipe.code:
        count += 1
    return names + [target.name] * count
