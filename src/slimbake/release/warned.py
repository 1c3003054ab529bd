"""What checks warned of when they last ran: one that comes from the cache says nothing again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from slimbake.host.workspace import Workspace
from slimbake.plan.model import CHECKS, Plan
from slimbake.release.events import Vertex

WARNING = "slimbake: warning: "  # how lines of our programs begin that a person should read
WARNED = "warned"  # in the workspace


def warned(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Target of a check -> what it warned of when it last ran here."""

    def parse(said: Any) -> dict[str, tuple[str, ...]]:
        return {str(name): tuple(map(str, lines)) for name, lines in said.items()}

    return workspace.read(WARNED, parse) or {}


def keep_warned(workspace: Workspace, plan: Plan, steps: Iterable[Vertex]) -> None:
    """Keep what the checks among these steps of a build have warned of, if they ran."""
    checks = {target.name for target in plan.targets if target.kind in CHECKS}
    ran: dict[str, list[str]] = {}
    for each in steps:
        if each.step.target in checks and each.step.instruction and each.state == "done":
            lines = (line for line in each.log if line.startswith(WARNING))
            said = ran.setdefault(each.step.target, [])
            said += [line.removeprefix(WARNING) for line in lines]
    if ran:
        known = {name: lines for name, lines in warned(workspace).items() if name in checks}
        workspace.write(WARNED, {**known, **ran})
