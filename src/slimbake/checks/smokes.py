"""Empty smokes: those that import next to nothing of their image, as their programs last said.

A smoke that is cached says nothing again. The workspace keeps which were empty, by their text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from slimbake.host.files import content
from slimbake.host.workspace import Workspace
from slimbake.inside.check.smoke import EMPTY
from slimbake.plan.model import Target

EMPTY_SMOKES = "empty-smokes"  # in the workspace


def note_smokes(
    workspace: Workspace, root: Path, ran: Iterable[Target], log: Iterable[tuple[str, str]]
) -> None:
    """Keep which smokes were empty. `ran`: the targets of which a step ran; `log`: the lines of a
    build, each with its target's name.
    """
    empty = {name for name, line in log if line.startswith(EMPTY)}
    smokes = {_key(root, target): target.name in empty for target in ran if target.kind == "smoke"}
    known = workspace.read(EMPTY_SMOKES, dict.fromkeys) or {}
    kept = [key for key in {**known, **smokes} if smokes.get(key, True)]
    workspace.write(
        EMPTY_SMOKES, kept[-1000:]
    )  # each time: what a killed bake had half written goes


def empty_smokes(workspace: Workspace, root: Path, targets: Iterable[Target]) -> frozenset[str]:
    """The services of which the smoke, as it is now, was empty when it last ran here."""
    known = workspace.read(EMPTY_SMOKES, dict.fromkeys) or {}
    smokes = (target for target in targets if known and target.kind == "smoke")
    return frozenset(target.service for target in smokes if _key(root, target) in known)


def _key(root: Path, target: Target) -> str:
    text = content(root, f"{target.context}/{target.smoke_files[0]}")
    return hashlib.sha256(f"{target.name}\n".encode() + text).hexdigest()
