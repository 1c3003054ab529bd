"""What precedes every build: an engine, locks and generated files up to date, and what this machine
brings.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from slimbake.console import Console
from slimbake.console.tables import counted
from slimbake.docker import orphaned, remove_dangling, remove_owned
from slimbake.docker.engine import DockerEngine, expect_engine, not_run
from slimbake.errors import SetupError, StaleFiles
from slimbake.externals.resolve import resolve_externals
from slimbake.host.files import checkout, exclusively
from slimbake.host.machine import Machine, machine
from slimbake.host.workspace import Workspace
from slimbake.lock.locks import expect_fresh, locked_pins
from slimbake.lock.wheelhouse import fetch, fetch_debian
from slimbake.lock.wheelhouse.store import Held, store
from slimbake.plan.graph import relinked
from slimbake.plan.model import Plan, Target
from slimbake.project import Project, reread
from slimbake.release.command import Surroundings
from slimbake.release.surroundings import find_links, surroundings
from slimbake.render.generated import drift, laid_out, update


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A project that is held while it is built on this machine."""

    project: Project  # with what the locks, fresh by now, say
    engine: DockerEngine
    machine: Machine
    around: Surroundings
    console: Console
    built: threading.Event = field(default_factory=threading.Event)  # set by the first build

    @property
    def plan(self) -> Plan:
        return self.project.plan

    @property
    def root(self) -> Path:
        return self.project.root

    @property
    def workspace(self) -> Workspace:
        return self.project.workspace

    def with_pushed(self, pushed: Mapping[str, str]) -> Site:
        """The site where these images are taken too, target -> REPOSITORY@DIGEST, and not built."""
        around = replace(self.around, pushed={**self.around.pushed, **pushed})
        return replace(self, around=around)

    def stocked(self, names: Collection[str]) -> Site:
        """The site with the wheels and Debian packages that these targets and their checks need.

        Raises SetupError.
        """
        fleet, locks = self.project.fleet, self.project.locks
        plan = relinked(self.plan, self.around.pushed)
        targets = plan.needed(plan.with_checks(tuple(names)))
        if fleet.manifest.packages == "index":
            links = find_links(targets, locked_pins(fleet, locks), self.machine)
            return replace(self, around=replace(self.around, find_links=links))
        stock = store()
        known = (fleet, locks, self.machine, stock, self.console)
        locks_of_wheels = {target.lock for target in targets if target.takes_wheels}
        locks_of_debs = {target.system_lock for target in targets if target.system_lock}
        wheels = fetch(*known, only=locks_of_wheels).by_lock
        debs = fetch_debian(*known, only=locks_of_debs)
        # Each target has a folder with exactly what its lock has.
        wheel_folders = {}
        deb_folders = {}
        for target in targets:
            if target.takes_wheels:
                folder = stock.folder(_wheels(target, wheels), "wheels")
                wheel_folders[target.name] = str(folder)
            if target.system_lock:
                folder = stock.folder(debs[target.system_lock], "debs")
                deb_folders[target.name] = str(folder)
        around = replace(self.around, wheels=wheel_folders, debs=deb_folders)
        return replace(self, around=around)


def _wheels(target: Target, files: Mapping[str, Iterable[Held]]) -> list[Held]:
    """The files that a step of a target installs, of those of its lock."""
    held = files.get(target.lock, ())
    layer = target.recipe.layer if target.recipe else None
    if layer is None:
        return list(held)
    hashes: set[str] = set()
    for pin in layer.pins:
        hashes.update(pin.hashes)
    return [file for file in held if f"sha256:{file.sha256}" in hashes]


@contextlib.contextmanager
def hold(
    project: Project,
    console: Console,
    targets: tuple[str, ...],
    *,
    frozen: bool = False,
    pushed: Mapping[str, str] = {},
    platform: str = "",
) -> Iterator[Site]:
    """Hold a project while it is built: what is built is staged under one name until it is checked.

    `targets`: what is built: only their locks have to be fresh; `frozen`: stale locks and generated
    files are an error, as in CI; `pushed`: target -> REPOSITORY@DIGEST, which is not built here;
    `platform`: the only one that is built for, "" = as planned.

    Locks what of these targets was never locked, and brings generated files up to date. In the end,
    images that the build left without a name are removed. Raises SetupError, StaleFiles, UsageError.
    """
    engine, here = expect_engine(), machine()
    project.expect_distinct_files()
    _expect_platforms(project.plan, engine, targets, platform, console)
    checkout_name = checkout(project.root)
    with exclusively(f"bake-{project.manifest.project}-{checkout_name}", console):
        remove_owned(orphaned)  # containers of a command that was killed
        # Another slimbake may have locked something while this one waited.
        project = relocked(reread(project), here, console, targets, frozen, engine)
        regenerate(project, console, frozen)
        plan = project.plan
        around = replace(surroundings(plan, engine, here), pushed=pushed, checkout=checkout_name)
        site = Site(project=project, engine=engine, machine=here, around=around, console=console)
        try:
            yield site
        finally:
            if site.built.is_set():
                with contextlib.suppress(SetupError):  # an engine that ended has been reported
                    remove_dangling(plan.project)


def seen(project: Project, console: Console) -> Site:
    """A project that is only looked at: nothing is locked, written or held. Raises SetupError."""
    engine, here = expect_engine(), machine()
    around = surroundings(project.plan, engine, here)
    return Site(project=project, engine=engine, machine=here, around=around, console=console)


def _expect_platforms(
    plan: Plan, engine: DockerEngine, targets: Iterable[str], platform: str, console: Console
) -> None:
    """Raise SetupError where the builder runs no programs of a platform that is built for. Say where
    it runs all of them by emulation.
    """
    wanted = built_for(plan, map(plan.target, targets), platform)
    if reason := not_run(engine, wanted):
        raise SetupError(*reason)
    if wanted and engine.builder == "docker" and engine.platform not in wanted:
        console.say(
            f"warning: {', '.join(sorted(wanted))}: emulated on this {engine.platform} engine;"
            " `slimbake doctor` says how to build for it"
        )


def built_for(plan: Plan, targets: Iterable[Target], platform: str = "") -> set[str]:
    """The platforms that these targets are built for, as the bake file's variable says where they
    do not. `platform`: the only one that is built for, "" = as planned.
    """
    if platform:
        return {platform}
    requested = tuple(filter(None, os.environ.get("PLATFORMS", "").split(",")))
    platforms: set[str] = set()
    for target in targets:
        platforms.update(target.platforms or requested or plan.platforms)
    return platforms


def relocked(
    project: Project,
    here: Machine,
    console: Console,
    targets: tuple[str, ...],
    frozen: bool = False,
    engine: DockerEngine | None = None,
) -> Project:
    """The project with what of these targets was never locked locked. `engine`: the one that builds
    it then.

    Raises StaleFiles where a lock that somebody may have reviewed does not hold any more, or
    `frozen` is set; SetupError for an external that a build on that engine would lack.
    """
    old = project.stale_for(targets)
    expect_fresh(stale for stale in old if frozen or not stale.new)
    if not old:
        return project
    if engine:  # before the minute that locking takes
        resolve_externals(project.plan.externals, engine)
    from slimbake.lock.locking import lock  # what resolves takes 20 ms to import

    names = project.lock_names(project.plan.with_checks(targets))
    lock(project.fleet, here, console, only=names)
    return reread(project)


def regenerate(project: Project, console: Console, frozen: bool = False) -> None:
    """Bring generated files up to date.

    Raises StaleFiles where `frozen` is set and files are stale.
    """
    files = laid_out(project.plan, project.root)
    if frozen:
        stale = drift(files, project.root)
        if stale:
            names = [file.path for file in stale.write]
            names += stale.remove
            raise StaleFiles(
                f"generated files are stale: {', '.join(names)}", "run `slimbake generate`"
            )
        return
    done = update(files, project.root)
    if done.written or done.removed:
        console.say(f"generated {counted(done.written, 'file')}")
