"""What the plan says of a target: how bake builds it. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from slimbake.plan.model import Plan, Target

# What bake knows of a target.
_SAID = {field.name for field in fields(Target)} - {
    *("kind", "service", "python", "runtime", "recipe", "suffix", "ignore", "mounted"),
}


def settings(plan: Plan, target: Target) -> tuple[str, dict[str, str]]:
    """What bake knows of a target, and the variables that it reads, with their defaults.

    Not under which names it is pushed, nor what it knows of others.
    """
    attributes = {name: getattr(target, name) for name in _SAID}
    attributes["repository"] = bool(target.repository)
    attributes["secrets"] = [asdict(secret) for secret in target.secrets]
    kind = plan.compression
    pushed = {"COMPRESSION": kind.type, "COMPRESSION_LEVEL": str(kind.level)}
    values = pushed if target.repository else {}
    if not target.platforms:
        values = {**values, "PLATFORMS": ",".join(plan.platforms)}
    return json.dumps(attributes, sort_keys=True), values
