"""A plan whose targets stand on images that a registry holds already, in place of targets that
would be built. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from slimbake.plan.model import Plan, Target

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
