"""The targets of a whole fleet as a graph: put in order, and what each stands on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.plan.model import Links, Plan, Recipe, Target, needing


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


def layers(plan: Plan, service: str, count: int = 0) -> tuple[str, ...]:
    """The name of the target that lays each layer, bottom first: runtime, packages of bases, and what
    the service adds.

    () where a Dockerfile of the user's own lays some of them: their number is not known here.
    `count`: how many its image has. On an image of `from`, what the others do not lay is its own.
    """
    names: list[str] = []
    runtime = None
    for target in plan.held((service,)):
        if target.kind == "runtime":
            runtime = target
            names += (target.name, target.name)  # its files, and the folder that it works in
        elif target.kind in ("base", "service"):
            if target.recipe is None:
                return ()
            names += _own(target, target.recipe)
    if runtime and runtime.runtime and runtime.runtime.image:
        names = [runtime.name] * (count - len(names)) + names
    return tuple(names)


def _own(target: Target, recipe: Recipe) -> list[str]:
    """In the order of the templates `base` and `service`."""
    names = [link.target for link in recipe.chain]
    if recipe.system:
        names.append(target.name)
    if recipe.bytecode:
        names.append(target.name)
    if recipe.local:
        names.append(target.name)
    names += [target.name for _ in recipe.copies]
    if recipe.folders and recipe.early:
        names.append(target.name)
    if target.kind == "service" and recipe.code:
        names.append(target.name)
    names += [target.name for _ in recipe.steps]
    if recipe.folders and not recipe.early:
        names.append(target.name)
    return names
