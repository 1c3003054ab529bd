"""Which target carries which passes, and what it needs for them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slimbake.catalogue.model import Applied
from slimbake.config.model import External, Manifest
from slimbake.plan.model import Target
from slimbake.plan.targets import external

TOOLS = "tools"


def carrying(
    target: Target, manifest: Manifest, passes: Mapping[str, tuple[Applied, ...]]
) -> Target:
    """A target with the passes that its own layer of packages carries; `passes`: by the name of the
    layer's lock.
    """
    if target.recipe is None or target.recipe.install is None:
        return target
    told = manifest.optimize.explain is not False
    install = replace(target.recipe.install, passes=passes.get(target.lock, ()), explain=told)
    tools = (external(manifest, TOOLS),) if install.strips else ()
    return replace(
        target, recipe=replace(target.recipe, install=install), contexts=(*target.contexts, *tools)
    )


def used(externals: Sequence[External], targets: Sequence[Target]) -> tuple[External, ...]:
    """The externals less the tools that no pass needs."""
    names = {name for target in targets for name, _ in target.contexts}
    return tuple(external for external in externals if external.name != TOOLS or TOOLS in names)
