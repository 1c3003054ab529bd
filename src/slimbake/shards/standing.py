"""A plan whose shared targets lie in a registry already: what stands on them takes them from there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from slimbake.plan.model import Plan, Target

STAGED = "staged"
"""The tag under which an image is pushed before its smoke: nobody is to use it, and the next bake overwrites it."""


def standing_on(plan: Plan, pushed: Mapping[str, str]) -> Plan:
    """The plan, linked to images. `pushed`: target -> image, called by its digest."""

    def linked(target: Target) -> Target:
        contexts = tuple(
            (name, f"docker-image://{pushed[value.removeprefix('target:')]}")
            if value.startswith("target:") and value.removeprefix("target:") in pushed
            else (name, value)
            for name, value in target.contexts
        )
        return target if contexts == target.contexts else replace(target, contexts=contexts)

    return replace(plan, targets=tuple(map(linked, plan.targets)))


def overrides(plan: Plan, cut: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """What `--set` has to say so that buildx builds these targets of the bake file as the cut plan has them.

    The images are pushed under their staged names, compressed as the plan says.
    """
    kind = plan.compression
    output = (
        f"type=image,push=true,oci-mediatypes=true,compression={kind.type},compression-level={kind.level},"
        "force-compression=true"
    )
    links = [
        f"{target.name}.contexts.{name}={value}"
        for target in cut.needed(names)
        for name, value in target.contexts
        if dict(plan.target(target.name).contexts)[name] != value
    ]
    return (*links, *(f"{name}.output={output}" for name in names if plan.target(name).repository))
