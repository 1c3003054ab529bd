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

    def standing_on(self, pushed: Mapping[str, str]) -> Site:
        """The site where these are stood on too, target -> REPOSITORY@DIGEST, and not built."""
        around = replace(self.around, pushed={**self.around.pushed, **pushed})
        return replace(self, around=around)

    def stocked(self, names: Collection[str]) -> Site:
        """The site with the wheels and Debian packages that these targets and their checks need.

        Raises SetupError.
        """
        plan, fleet, locks = self.plan, self.project.fleet, self.project.locks
        targets = relinked(plan, self.around.pushed).needed(plan.with_checks(tuple(names)))
        if fleet.manifest.packages == "index":
            links = find_links(targets, locked_pins(fleet, locks), self.machine)
            return replace(self, around=replace(self.around, find_links=links))
        stock, machine, console = store(), self.machine, self.console
        of_wheels = {target.name: target for target in targets if target.takes_wheels}
        of_debs = {target.name: target.system_lock for target in targets if target.system_lock}
        locks_of_wheels = {target.lock for target in of_wheels.values()}
        wheels = fetch(fleet, locks, machine, stock, console, only=locks_of_wheels).by_lock
        debs = fetch_debian(fleet, locks, machine, stock, console, only={*of_debs.values()})
        folders = replace(
            self.around,  # of each target, with exactly what its lock has
            wheels={
                name: str(stock.folder(_wheels(target, wheels), "wheels"))
                for name, target in of_wheels.items()
            },
            debs={n: str(stock.folder(debs[of], "debs")) for n, of in of_debs.items()},
        )
        return replace(self, around=folders)


def _wheels(target: Target, files: Mapping[str, Iterable[Held]]) -> list[Held]:
    """The files that a step of a target installs, of those of its lock."""
    held = files.get(target.lock, ())
    layer = target.recipe.layer if target.recipe else None
    if layer is None:
        return list(held)
    hashes = {digest.partition(":")[2] for pin in layer.pins for digest in pin.hashes}
    return [file for file in held if file.sha256 in hashes]


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
    files are an error, as in CI; `pushed`: target -> REPOSITORY@DIGEST, not built here, but stood on;
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
        project = regenerated(project, console, frozen)
        plan = project.plan
        around = replace(surroundings(plan, engine, here), pushed=pushed, checkout=checkout_name)
        site = Site(
            project=project,
            engine=engine,
            machine=here,
            around=around,
            console=console,
        )
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
    wanted = {platform} if platform else built_for(plan, map(plan.target, targets))
    if reason := not_run(engine, wanted):
        raise SetupError(*reason)
    if wanted and engine.builder == "docker" and engine.platform not in wanted:
        console.say(
            f"warning: {', '.join(sorted(wanted))}: emulated on this {engine.platform} engine;"
            " `slimbake doctor` says how to build for it"
        )


def built_for(plan: Plan, targets: Iterable[Target]) -> set[str]:
    """The platforms that these targets are built for, as the bake file's variable says where they
    do not.
    """
    requested = tuple(filter(None, os.environ.get("PLATFORMS", "").split(",")))
    return {
        platform
        for target in targets
        for platform in target.platforms or requested or plan.platforms
    }


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


def regenerated(project: Project, console: Console, frozen: bool = False) -> Project:
    """The project, with generated files brought up to date.

    Raises StaleFiles where `frozen` is set and files are stale.
    """
    files = laid_out(project.plan, project.root)
    if frozen and (stale := drift(files, project.root)):
        names = ", ".join((*(file.path for file in stale.write), *stale.remove))
        raise StaleFiles(f"generated files are stale: {names}", "run `slimbake generate`")
    if not frozen:
        done = update(files, project.root)
        if done.written or done.removed:
            console.say(f"generated {counted(done.written, 'file')}")
    return project
