"""What changed between two states of a repository, target by target, from Git alone: no registry,
no engine.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from slimbake.config.naming import LAYER
from slimbake.console import Console
from slimbake.errors import ManifestError, SetupError, UsageError
from slimbake.fingerprint.compare import State, TargetChange, compare
from slimbake.fingerprint.gather import THIS_TREE, Commit, accounts, unpinned
from slimbake.host.files import content
from slimbake.host.git import GitRepository, Snapshot
from slimbake.host.workspace import Workspace
from slimbake.project import Project, load
from slimbake.render import Generated
from slimbake.render.generated import laid_out


def changed(file: Path, before: str, variables: Mapping[str, str] = {}) -> tuple[TargetChange, ...]:
    """Compare the targets of a commit with those of the work tree as it is, committed or not.

    `file`: the manifest in the work tree. Externals that no lock pins are taken to be the same
    under the same name. The targets are in the plan's order, with those that have gone at the end.
    Raises UsageError for what is no commit, SetupError where a clone is too shallow, ManifestError
    for faults of the work tree's own manifest.
    """
    folder = file.parent.resolve()
    repository = GitRepository(folder)
    with tempfile.TemporaryDirectory(prefix="slimbake-commit-") as scratch:
        snapshot = repository.snapshot(repository.commit(before), Path(scratch))
        old = _committed(snapshot, file.name, before, variables)
        return compare(old, _state(folder / file.name, variables))


def _committed(snapshot: Snapshot, name: str, revision: str, variables: Mapping[str, str]) -> State:
    """The state of a commit; one without the manifest has no targets."""
    if not (snapshot.root / name).exists():
        return State()
    try:
        return _state(snapshot.root / name, variables, snapshot)
    except ManifestError as error:
        hint = "\n".join(error.lines())
        for folder in snapshot.submodules:
            hint += f"\nthe submodule {folder} is not here: git submodule update --init"
        raise UsageError(f"{name} as of {revision}: {error.message}", hint) from None


def _state(file: Path, variables: Mapping[str, str], snapshot: Snapshot | None = None) -> State:
    """What the files of a commit come to, or without one those that are worked on."""
    project = load(file)
    plan, root = project.plan, project.root
    files = {file.path: file for file in laid_out(plan, root)}
    commit = THIS_TREE
    workspace = project.workspace
    if snapshot:
        # As the slimbake of that commit wrote them, for its builds had them; this one would hide
        # that it changed.
        foreign = set()
        for path, generated in files.items():
            if (root / path).is_file():
                files[path] = Generated(path, content(root, path))
                if files[path].content != generated.content:
                    foreign.add(path)
        commit = Commit(snapshot.submodules, frozenset(foreign))
        workspace = Workspace(None)
    budgets = {service.service: service.budget for service in plan.services}
    states = accounts(plan, root, workspace, unpinned(plan), variables, files, commit)
    return State(states, plan.targets, budgets)


def unchanged_since(project: Project, revision: str, console: Console) -> tuple[str, ...]:
    """The services whose image, smoke and all that these need is now what it was at a commit.

    A commit that is not here, as in a shallow clone or after a push by force, is a doubt. A base
    that is rebuilt with the lock that it had is named, with the reasons.
    """
    try:
        changes = changed(project.manifest.file, revision, os.environ)
    except (UsageError, SetupError) as error:
        console.say(f"all are built, to be sure: {error.message}")
        return ()
    for change in changes:
        if change.status != "changed":
            continue
        if project.plan.target(change.target).kind not in ("runtime", "base"):
            continue
        # What is locked is in its layers of packages.
        if not any(reason.startswith(("lock ", LAYER)) for reason in change.reasons):
            reasons = "; ".join(change.reasons)
            console.say(f"{change.target} is rebuilt without a change of its lock: {reasons}")
    touched = {change.service for change in changes if change.rebuilt}
    return tuple(name for name in project.plan.service_names if name not in touched)
