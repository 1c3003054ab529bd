"""Empty smokes: those that import next to nothing of their image, as their programs last said.

A smoke that is cached says nothing again. The workspace keeps what each was, by its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from slimbake.host.files import content
from slimbake.host.workspace import Workspace
from slimbake.inside.check.smoke import EMPTY
from slimbake.plan.model import Target

SMOKES = "smokes"  # in the workspace


def note_smokes(
    workspace: Workspace, root: Path, ran: Iterable[Target], log: Iterable[tuple[str, str]]
) -> None:
    """Keep which smokes were empty. `ran`: the targets of which a step ran; `log`: the lines of a
    build, each with its target's name.
    """
    empty = {name for name, line in log if line.startswith(EMPTY)}
    smokes = {}
    for target in ran:
        if target.kind == "smoke":
            smokes[_key(root, target)] = target.name in empty
    if smokes:
        remembered = {**(workspace.read(SMOKES, dict) or {}), **smokes}
        workspace.write(SMOKES, dict(list(remembered.items())[-1000:]))


def known_smokes(
    workspace: Workspace, root: Path, targets: Iterable[Target]
) -> dict[str, bool | None]:
    """Of each service, whether its smoke, as it is now, was empty when it last ran here; None where
    it never did.
    """
    remembered: dict[str, bool] = workspace.read(SMOKES, dict) or {}
    known: dict[str, bool | None] = {}
    for target in targets:
        if target.kind == "smoke":
            known[target.service] = remembered.get(_key(root, target)) if remembered else None
    return known


def _key(root: Path, target: Target) -> str:
    text = content(root, f"{target.context}/{target.smoke_files[0]}")
    return hashlib.sha256(f"{target.name}\n".encode() + text).hexdigest()
