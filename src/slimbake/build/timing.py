"""What this machine keeps of how long builds took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimbake.host.workspace import Workspace

# In the workspace: seconds of each target, as it was last built from its first step; and when the
# targets of the last bake ran.
COSTS, TIMELINE = "costs", "timeline"


def costs(workspace: Workspace) -> dict[str, float]:
    """Seconds by target, as they were last measured here."""

    def parse(said: Any) -> dict[str, float]:
        return {str(name): float(seconds) for name, seconds in said.items()}

    return workspace.read(COSTS, parse) or {}


def keep_costs(
    workspace: Workspace,
    seconds: Mapping[str, float],
    ran: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Keep what was measured now, beside what was known of others; `ran`: when the targets of this
    build ran, in place of what was known of another.
    """
    if seconds:
        workspace.write(COSTS, {**costs(workspace), **seconds})
    if ran:
        workspace.write(TIMELINE, ran)


def timeline(workspace: Workspace) -> dict[str, tuple[float, float]]:
    """When each target of the last bake began and was done: seconds from the first one on."""

    def parse(said: Any) -> dict[str, tuple[float, float]]:
        return {str(name): (float(begins), float(ends)) for name, (begins, ends) in said.items()}

    return workspace.read(TIMELINE, parse) or {}
