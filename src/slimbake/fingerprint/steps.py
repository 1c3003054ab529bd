"""What the plan says of a target: how bake builds it, and what the steps of its Dockerfile read.
Pure.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from slimbake.fingerprint.dockerfile import Reads
from slimbake.plan.model import Plan, Recipe, Target

# Of each shipped template: the programs that its steps mount, and whether they read the build
# context.
_TEMPLATES: dict[str, tuple[tuple[str, ...], bool]] = {
    "base.Dockerfile.j2": ((), False),
    "controls.Dockerfile.j2": (("check",), True),
    "export.Dockerfile.j2": (("build", "export"), False),
    "harmed.Dockerfile.j2": (("export",), False),
    "inside.Dockerfile.j2": ((), True),
    "inventory.Dockerfile.j2": (("check",), False),
    "parity.Dockerfile.j2": (("check",), True),
    "reference.Dockerfile.j2": (("export",), True),
    "runtime.Dockerfile.j2": (("build",), False),
    "service.Dockerfile.j2": (("build",), True),
    "smoke.Dockerfile.j2": (("check",), True),
    "smoke-own.Dockerfile.j2": (("check",), True),
    "weights.Dockerfile.j2": (("build",), False),
    "wheel.Dockerfile.j2": (("build",), True),
}

# What bake knows of a target.
_SAID = {each.name for each in fields(Target)} - {
    *("kind", "service", "recipe", "suffix", "ignore", "mounted"),
}


def steps_read(target: Target) -> Reads | None:
    """What a Dockerfile that a shipped template lays out reads; None for another template's."""
    recipe = target.recipe
    if recipe is None or recipe.template not in _TEMPLATES:
        return None
    programs, context = _TEMPLATES[recipe.template]
    if not recipe.code:
        programs, context = ("build",) if recipe.folders else (), False
    files = {f"{kind}.pyz" for kind in programs} | _installed(recipe)
    if recipe.template in ("weights.Dockerfile.j2", "wheel.Dockerfile.j2"):
        files |= {f"locks/{recipe.lock}", *(("uv",) if target.online else ())}
        context = (context or not target.online) and not recipe.source
    if recipe.template == "inventory.Dockerfile.j2":
        files.add(f"locks/{target.checked_lock}")
    calibrated = bool(recipe.export and recipe.export.calibration)
    return Reads(context or calibrated, frozenset(files), ())


def _installed(recipe: Recipe) -> set[str]:
    """What the steps that install packages mount, Python's and Debian's."""
    files = {"build.pyz", f"locks/{recipe.system_lock}"} if recipe.system else set()
    if install := recipe.install:
        files |= {"build.pyz", "uv"}
        files |= (
            {f"locks/{install.lock}", f"rules/{install.rules_file}"} if install.locked else set()
        )
        files |= {f"warm/{install.lock}"} if install.locked and install.warm else set()
    return files


def settings(plan: Plan, target: Target) -> tuple[str, dict[str, str]]:
    """What bake knows of a target, and the variables that it reads, with their defaults.

    Not under which names it is pushed, nor what it knows of others.
    """
    said = {name: getattr(target, name) for name in _SAID}
    said["repository"] = bool(target.repository)
    said["secrets"] = [asdict(each) for each in target.secrets]
    kind = plan.compression
    pushed = {"COMPRESSION": kind.type, "COMPRESSION_LEVEL": str(kind.level)}
    values = pushed if target.repository else {}
    if not target.platforms:
        values = {**values, "PLATFORMS": ",".join(plan.platforms)}
    return json.dumps(said, sort_keys=True), values
