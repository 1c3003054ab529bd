"""What `--set` says so that a shard pushes its targets, under names that nobody uses before the
smokes hold. Pure.
"""

from __future__ import annotations

from slimbake.plan.model import Plan

STAGED = "staged"
"""The tag under which an image is pushed before its smoke: nobody is to use it, and the next bake
overwrites it.
"""


def outputs(plan: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """The outputs of these targets, compressed as the plan says."""
    kind = plan.compression
    output = (
        f"type=image,push=true,oci-mediatypes=true,compression={kind.type},compression-level={kind.level},"
        "force-compression=true"
    )
    return tuple(f"{name}.output={output}" for name in names if plan.target(name).repository)
