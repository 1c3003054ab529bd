"""A repository as it is now: read once, decided once, and handed to every command."""

from __future__ import annotations

import os.path
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slimbake.config import manifest
from slimbake.config.model import Manifest
from slimbake.config.naming import BAKE, DOCKERFILES, LAYERS, LOCKS, PROGRAMS
from slimbake.console import QUIET, Console
from slimbake.errors import UsageError, first_of
from slimbake.fleet import Fleet, resolve, with_digests
from slimbake.host.git import tracked
from slimbake.host.kernel import folds_case
from slimbake.host.workspace import Workspace
from slimbake.layers import layering
from slimbake.layers.model import Layering
from slimbake.lock.locks import EXTERNALS, Locks, Stale, expect_fresh, read_locks
from slimbake.lock.model import with_settled
from slimbake.plan import plan
from slimbake.plan.model import Plan

_WRITTEN = (BAKE, LOCKS, DOCKERFILES, LAYERS, PROGRAMS, ".github/workflows")


@dataclass(frozen=True)
class Project:
    """What a manifest and its locks come to."""

    fleet: Fleet  # with the digests that the locks hold
    locks: Locks
    layering: Layering
    plan: Plan
    workspace: Workspace

    @property
    def manifest(self) -> Manifest:
        """As it is written."""
        return self.fleet.manifest

    @property
    def root(self) -> Path:
        """The repository: the manifest's folder."""
        return self.fleet.root

    @cached_property
    def stale_locks(self) -> tuple[Stale, ...]:
        """The locks that do not answer what the manifest asks now."""
        from slimbake.lock.asked import stale  # what resolves, for whoever locks

        return stale(self.fleet, self.locks)

    def lock_names(self, targets: tuple[str, ...]) -> set[str]:
        """The names of all locks that say what these targets are made of."""
        needed = self.plan.needed(targets)
        names = {EXTERNALS, *(e.lock for e in needed), *(e.system_lock for e in needed)}
        return with_settled(self.fleet, names)

    def stale_for(self, targets: tuple[str, ...]) -> tuple[Stale, ...]:
        """The stale locks that a bake of these targets, with their checks, would read."""
        names = self.lock_names(self.plan.with_checks(targets))
        return tuple(stale for stale in self.stale_locks if stale.name in names)

    def expect_distinct_files(self) -> None:
        """Raise UsageError where Git has two files whose names differ in case alone, a build copies
        them, and the disk has one file for both: its images would differ from those of other disks.
        """
        if not folds_case(self.manifest.file):
            return
        folders = {target.context for target in self.plan.targets if target.context}
        seen: dict[str, str] = {}
        for path in tracked(self.root):
            if "." not in folders and not any(path.startswith(f"{name}/") for name in folders):
                continue
            other = seen.setdefault(path.casefold(), path)
            if other != path:
                raise UsageError(
                    f"{other} and {path} differ in case alone, and this disk has one file for both",
                    f"rename one: `git mv {path} ...`, on a disk that tells them apart",
                )

    def expect_fresh_locks(self) -> None:
        """Raise StaleFiles where a lock is stale, with the command after which all files are fresh."""
        file = os.path.relpath(self.manifest.file)
        option = "" if file == "services.yaml" else f" -f {shlex.quote(file)}"
        command = f"slimbake lock{option} && slimbake generate{option}"
        expect_fresh(self.stale_locks, command)


def load(file: Path, console: Console = QUIET) -> Project:
    """Read a manifest, and what belongs to it; `console` says what is odd about them.

    Raises ManifestError with every problem, and UsageError for a link through which slimbake would write outside of the repository.
    """
    written = manifest(file)
    _expect_within(str(file.parent))
    for warning in first_of(written.warnings, "warnings"):
        console.say(f"warning: {warning}")
    return _project(written, Workspace(file.parent, console))


def _expect_within(root: str) -> None:
    inside = os.path.realpath(root).rstrip("/") + "/"
    for folder in _WRITTEN:
        if not (real := os.path.realpath(f"{root}/{folder}")).startswith(inside):
            raise UsageError(
                f"{folder} leads out of the repository, to {real}, and slimbake writes there",
                "remove the link",
            )


def reread(project: Project) -> Project:
    """The project as its locks are now; the manifest is not read again."""
    return _project(project.manifest, project.workspace)


def _project(written: Manifest, workspace: Workspace) -> Project:
    locks = read_locks(written.file.parent)
    fleet = with_digests(resolve(written, locks.sources), locks.digests, locks.interpreters)
    layers = layering(fleet, locks)
    decided = plan(fleet, locks.texts, layers)
    return Project(fleet, locks, layers, decided, workspace)
