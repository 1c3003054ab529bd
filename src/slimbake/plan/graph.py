"""The targets of a whole fleet as a graph: put in order, and what each stands on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.plan.model import Links, Plan, Target, needing


def ordered(targets: Iterable[Target]) -> tuple[Target, ...]:
    """The targets in their order, but each after all that it stands on; nothing stands on itself."""
    waiting = list(targets)[::-1]
    by_name = {target.name: target for target in waiting}
    placed: dict[str, Target] = {}
    while waiting:
        target = waiting.pop()
        first = [by_name[name] for name in target.needs if name not in placed]
        if first:
            waiting += [target, *reversed(first)]
        else:
            placed.setdefault(target.name, target)
    return tuple(placed.values())


def standing(
    targets: Sequence[Target], links: Links = needing
) -> Iterator[tuple[Target, tuple[Target, ...]]]:
    """Each of these targets with what `needed` says of it, for all of them in one go: a fleet of
    thousands has no time else.

    `targets`: each after all that it stands on.
    """
    places_of: dict[str, tuple[int, ...]] = {}
    for place, target in enumerate(targets):
        places = sorted({place}.union(*(places_of[name] for name in links(target))))
        places_of[target.name] = tuple(places)
        yield target, tuple(targets[index] for index in places)


IMAGE = "docker-image://"


def relinked(plan: Plan, pushed: Mapping[str, str]) -> Plan:
    """The plan without the targets that are `pushed`, target -> REPOSITORY@DIGEST: what was linked
    to them has these.

    What is decided of the others, and their order, stays.
    """
    if not pushed:
        return plan
    kept = (target for target in plan.targets if target.name not in pushed)
    return replace(plan, targets=tuple(_on(target, pushed) for target in kept))


def _on(target: Target, pushed: Mapping[str, str]) -> Target:
    contexts = tuple((name, _context(value, pushed)) for name, value in target.contexts)
    return replace(target, contexts=contexts) if contexts != target.contexts else target


def _context(value: str, pushed: Mapping[str, str]) -> str:
    name = value.removeprefix("target:")
    return f"{IMAGE}{pushed[name]}" if value != name and name in pushed else value


def layers(plan: Plan, service: str) -> tuple[str, ...]:
    """The name of the target that lays each layer, bottom first: runtime, bases, weights, the
    service itself.

    () where a Dockerfile of the user's own lays some of them: their number is not known here.
    """
    names: list[str] = []
    for target in plan.held((service,)):
        if target.kind == "runtime":
            names += (target.name, target.name)  # its files, and the folder that it works in
        elif target.kind in ("base", "service"):
            if target.recipe is None:
                return ()
            names += _own(target)
    return tuple(names)


def _own(target: Target) -> list[str]:
    """In the order of the templates `base` and `service`."""
    recipe = target.recipe
    assert recipe is not None  # noqa: S101 - for the type checker
    weights = dict(target.contexts).get("weights", "").removeprefix("target:")
    install = recipe.install
    steps: tuple[tuple[object, str], ...] = (
        (recipe.shared_weights, weights),
        (recipe.system, target.name),
        (install and install.locked, target.name),
        (recipe.own_weights, weights),
        (install and install.local, target.name),
        (recipe.folders and recipe.early, target.name),
        (target.kind == "service", target.name),  # its code
        *((step, target.name) for step in recipe.steps),
        (recipe.folders and not recipe.early, target.name),
    )
    return [name for there, name in steps if there]
