"""Which target a build step belongs to: buildx names a shared step after any dependant, the plan
knows. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from slimbake.plan.model import Plan

_NAME = re.compile(r"^\[(?P<label>[^\] ]+)(?: (?P<stage>[^\]]+))?\] (?P<text>.*)$", re.DOTALL)
_PROGRAM = re.compile(r'"/(?:build|check|export)\.pyz", (?P<words>".*)\]$')


@dataclass(frozen=True, slots=True)
class BuildStep:
    """One step of the build as a person knows it."""

    target: str  # "" = of no target: buildx itself
    title: str
    instruction: str


class Steps:
    """The steps of a plan's Dockerfiles, by their text."""

    def __init__(self, plan: Plan, dockerfiles: Mapping[str, str]) -> None:
        """`dockerfiles`: path -> text, of the targets that are built."""
        self._plan = plan
        self._names = {target.name for target in plan.targets}
        self._owners: dict[str, list[str]] = {}
        for target in plan.targets:
            for instruction in _instructions(dockerfiles.get(target.dockerfile, "")):
                self._owners.setdefault(instruction, []).append(target.name)

    def step(self, name: str, only: str = "") -> BuildStep:
        """A step by BuildKit's name for it. `only`: the target that is built alone, which buildx
        then leaves out.
        """
        match = _NAME.match(name)
        if not match:
            return BuildStep("", name, "")
        label, text = match["label"], match["text"]
        if label not in self._names:
            label, match_stage = only, f"{label} {match['stage'] or ''}"
        else:
            match_stage = match["stage"] or ""
        if label not in self._names or label == "internal":
            return BuildStep("", text, "")
        if match_stage.startswith(("internal", "context")):
            return BuildStep(
                label, f"{match_stage}: {text}" if match_stage.startswith("context") else text, ""
            )
        below = {target.name for target in self._plan.needed((label,))}
        owners = [owner for owner in self._owners.get(text, ()) if owner in below]
        return BuildStep(owners[0] if owners else label, title(text), text if owners else "")


def title(instruction: str) -> str:
    """An instruction in a few words: the program that it runs, or its first line."""
    if program := _PROGRAM.search(instruction):
        return " ".join(json.loads(f"[{program['words']}]"))
    return " ".join(instruction.split())


def _instructions(dockerfile: str) -> list[str]:
    """The instructions as BuildKit names them: continued lines put together, comments left out."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", "").splitlines()
