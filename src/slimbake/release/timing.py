"""What this machine keeps of how long builds took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slimbake.host.workspace import Workspace

COSTS = (
    "costs"  # in the workspace: seconds of each target, as it was last built from its first step
)


def costs(workspace: Workspace) -> dict[str, float]:
    """Seconds by target, as they were last measured here."""

    def parse(said: Any) -> dict[str, float]:
        return {str(name): float(seconds) for name, seconds in said.items()}

    return workspace.read(COSTS, parse) or {}


def keep_costs(workspace: Workspace, seconds: Mapping[str, float]) -> None:
    """Keep what was measured now, beside what was known of others."""
    workspace.write(COSTS, {**costs(workspace), **seconds})
