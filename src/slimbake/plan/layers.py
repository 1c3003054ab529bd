"""Which target lays each layer of a service's image. Pure."""

from __future__ import annotations

from slimbake.plan.model import Plan, Target


def layers(plan: Plan, service: str) -> tuple[str, ...]:
    """The name of the target that lays each layer, bottom first: runtime, bases, weights, the
    service itself.

    () where a Dockerfile or a template of the user's own lays some of them: their number is not
    known here.
    """
    found: list[str] = []
    for target in plan.held((service,)):
        if target.kind == "runtime":
            found += (target.name, target.name)  # its files, and the folder that it works in
        elif target.kind in ("base", "service"):
            if target.recipe is None or target.recipe.template.startswith("./"):
                return ()
            found += _own(target)
    return tuple(found)


def _own(target: Target) -> list[str]:
    """In the order of the templates `base` and `service`."""
    recipe = target.recipe
    assert recipe is not None  # noqa: S101 - for the type checker
    weights = dict(target.contexts).get("weights", "").removeprefix("target:")
    steps: tuple[tuple[object, str], ...] = (
        (recipe.shared_weights, weights),
        (recipe.system, target.name),
        (recipe.install, target.name),
        (recipe.own_weights, weights),
        (target.kind == "service", target.name),  # its code
        (recipe.volumes, target.name),
    )
    return [name for there, name in steps if there]
