"""The wheelhouse: every file of the locks on this machine, once, so that a build needs no network."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.externals.debs import Apt
from slimbake.fleet.model import Fleet, Runtime, Scope
from slimbake.host.files import remove_halves
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.wheels import MACHINES, Located, Wheel, file_path, fit
from slimbake.inside.debs import Deb
from slimbake.inside.fetch import PARALLEL, FetchError, Open, download, opener
from slimbake.lock.asked import systems
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin, locked_scopes
from slimbake.lock.wheelhouse import sources as kept
from slimbake.lock.wheelhouse.store import VARIABLE, Held, Store


@dataclass(frozen=True, slots=True)
class Wheels:
    """What a wheelhouse holds of a fleet's locks."""

    by_lock: dict[str, tuple[Held, ...]]  # the lock's name -> its wheels
    fetched: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A wheel that some scope installs."""

    scope: Scope = field(compare=False)
    lock: str
    platform: str
    pin: Pin
    wheel: Wheel


def fetch(
    fleet: Fleet,
    locks: Locks,
    machine: Machine,
    store: Store,
    console: Console,
    only: Collection[str] | None = None,
) -> Wheels:
    """Bring every wheel of the locks into the store, verified by hash; what is there is not asked
    for again.

    `only`: of these locks, None for all. Raises SetupError where something cannot be had, or is not
    what the lock names; what was fetched until then stays, and the same command goes on from there.
    """
    requests = tuple(
        request for request in _wanted(fleet, locks) if only is None or request.lock in only
    )
    file_of = _there(requests, store)
    missing = [request for request in requests if request not in file_of]
    if missing:
        with store.exclusively(console):
            # Another process may have brought some of it by now.
            file_of |= _there(missing, store)
            if missing := [request for request in missing if request not in file_of]:
                located = _locate(missing, fleet, machine, console)
                _bring(missing, located, store, machine, console)
                file_of |= _there(missing, store)
    by_lock: dict[str, list[Held]] = {}
    for name, source in _sources(fleet, machine, store, console, only).items():
        by_lock.setdefault(name, []).append(source)
    for requested in requests:
        by_lock.setdefault(requested.lock, []).append(file_of[requested])
    fetched = len({(request.pin.name, request.pin.version, request.wheel) for request in missing})
    return Wheels(
        {name: tuple(sorted(set(files))) for name, files in by_lock.items()},
        fetched,
    )


def _sources(
    fleet: Fleet,
    machine: Machine,
    store: Store,
    console: Console,
    only: Collection[str] | None,
) -> dict[str, Held]:
    """The sources of packages that have no wheel, by the lock of what builds them; what is missing
    is brought.
    """
    source_of = {
        package.scope.name: package.source
        for package in fleet.packages
        if package.source and (only is None or package.scope.name in only)
    }
    there = {name: kept.held(source, store) for name, source in source_of.items()}
    missing = {name: source_of[name] for name, file in there.items() if not file}
    if missing:
        console.say(f"fetching sources: {', '.join(source.file for source in missing.values())}")
        with store.exclusively(console):
            indexed = [source for source in missing.values() if not source.address]
            placed = kept.locate(indexed, _on_index(indexed, fleet, machine)) if indexed else {}
            for name, source in missing.items():
                there[name] = kept.bring(placed.get(source.name, source), machine, store)
    return {name: file for name, file in there.items() if file}


def _on_index(sources: list[Source], fleet: Fleet, machine: Machine) -> dict[str, Source]:
    from slimbake.host.uv import NoSolution, PipCompile

    names = [source.name for source in sources]
    with tempfile.TemporaryDirectory(prefix="slimbake-fetch-") as scratch:
        platform = fleet.platforms[0]  # sources are the same on all
        uv = PipCompile(machine, fleet.python.version, platform, Path(scratch), sources=names)
        try:
            return uv.locate(
                [(source.name, source.version) for source in sources], "sources"
            ).sources
        except NoSolution as error:
            raise SetupError(
                f"no index has the sources that the locks name\n{error}",
                "`slimbake doctor` shows the indexes of this machine",
            ) from None


def _wanted(fleet: Fleet, locks: Locks) -> Iterator[_Wanted]:
    for scope in {scope.lock: scope for scope in locked_scopes(fleet)}.values():
        for pin in locks.pins(scope.lock):
            for wheel in pin.wheels:
                on = [each for each in scope.platforms if _fits(wheel, scope, each)]
                if on or not any(_fits(wheel, scope, each) for each in MACHINES):
                    yield _Wanted(scope, scope.lock, (on or scope.platforms)[0], pin, wheel)


def _fits(wheel: Wheel, scope: Scope, platform: str) -> bool:
    return fit(wheel.file, scope.python.version, platform) is not None


def _there(requests: Iterable[_Wanted], store: Store) -> dict[_Wanted, Held]:
    return {
        request: file
        for request in requests
        for wheel in (request.wheel,)
        if (file := store.held(wheel.sha256, wheel.file, wheel.bytes))
    }


def _locate(
    missing: list[_Wanted], fleet: Fleet, machine: Machine, console: Console
) -> dict[_Wanted, Located]:
    """Where each wheel can be had now. Raises SetupError where the index has another file than the
    lock.
    """
    # Costs time that a full wheelhouse need not spend.
    from slimbake.host.uv import NoSolution
    from slimbake.lock.resolve import Uv

    located: dict[_Wanted, Located] = {}
    together: dict[tuple[str, str], list[_Wanted]] = {}
    for request in missing:
        together.setdefault((request.lock, request.platform), []).append(request)
    for (_, platform), here in together.items():
        with tempfile.TemporaryDirectory(prefix="slimbake-fetch-") as scratch:
            uv = Uv(here[0].scope, fleet.root, platform, machine, Path(scratch))
            try:
                available = uv.locate(
                    sorted({(request.pin.name, request.pin.version) for request in here}), "wheels"
                )
            except NoSolution as error:
                hint = (
                    "`slimbake doctor` shows the indexes of this machine; `slimbake lock` asks them"
                    " again"
                )
                raise SetupError(f"no index has what the locks name\n{error}", hint) from None
            for warning in sorted(uv.warnings):
                console.say(warning)
        for request in here:
            located[request] = _chosen(request, available.wheels[request.pin.name])
    return located


def _chosen(request: _Wanted, there: tuple[Located, ...]) -> Located:
    """The file that the lock names; an index may have got better ones since, or have others in its
    place.
    """
    name, sha256 = request.wheel.file, request.wheel.sha256
    best = min(
        there,
        key=lambda at: (at.wheel.sha256 != sha256, not at.local, at.wheel.file != name),
    )
    at = best.wheel
    if at.sha256 in {sha256, ""}:  # without one, it is compared when it is taken
        return best
    owner = str(Path(file_path(best.url)).parent) if best.local else "the index"
    raise SetupError(
        f"{name}: {owner} now has {at.file} with sha256 {at.sha256}, the lock {sha256}",
        f"if you trust the index: `slimbake lock --upgrade {request.pin.name}`",
    )


def _bring(
    missing: list[_Wanted],
    located: Mapping[_Wanted, Located],
    store: Store,
    machine: Machine,
    console: Console,
) -> None:
    once = {
        (request.pin.name, request.pin.version, request.wheel): request for request in missing
    }.values()
    needed = sum(request.wheel.bytes or 0 for request in once)
    free = shutil.disk_usage(store.root).free
    if needed > free:
        raise _full(needed, free, store)
    packages = machine.packages
    open_ = opener((*packages.extra_index_urls, packages.index_url), machine.ca_bundle)
    title = f"fetching {len(once)} wheel{'s' * (len(once) != 1)}"
    with console.bytes(title, needed) as shown, ThreadPoolExecutor(PARALLEL) as pool:
        jobs = [
            pool.submit(_one, request, located[request], store, open_, shown) for request in once
        ]
        try:
            for job in jobs:
                job.result()
        except FetchError as error:
            raise SetupError(
                str(error), "fix that, then run the same command: it continues"
            ) from None
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise _full(needed, shutil.disk_usage(store.root).free, store) from None
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _one(
    request: _Wanted,
    at: Located,
    store: Store,
    open_: Open,
    shown: Callable[[int], None],
) -> None:
    if at.local:
        store.take(Path(file_path(at.url)), request.wheel.sha256, request.wheel.file)
        shown(at.wheel.bytes or 0)
    else:
        path = store.path(request.wheel.sha256, request.wheel.file)
        if path.parent.is_dir():
            remove_halves(path.parent, (path.name,))
        wheel = request.wheel
        download(at.url, path, {wheel.sha256}, open_, shown, wheel.bytes)


def _full(needed: int, free: int, store: Store) -> SetupError:
    return SetupError(
        f"the wheelhouse needs {needed / 1e6:,.1f} MB more, and {free / 1e6:,.1f} MB are free in"
        f" {store.root}",
        f"make room, or name another folder in {VARIABLE}; files that are there stay",
    )


# Debian packages in the wheelhouse.


def fetch_debian(
    fleet: Fleet,
    locks: Locks,
    machine: Machine,
    store: Store,
    console: Console,
    only: Collection[str] | None = None,
) -> dict[str, tuple[Held, ...]]:
    """Bring every package of the system locks into the store: the lock's name -> its files.

    What is missing is fetched by the external Python image's apt, and so needs an engine. `only` as
    for wheels. Raises SetupError.
    """
    every: dict[str, tuple[Deb, ...]] = {}
    missing: dict[Runtime, set[Deb]] = {}
    for system in systems(fleet):
        name = system.scope.system_lock
        if only is None or name in only:
            every[name] = locks.debs(name)
            lacking = {deb for deb in every[name] if not _debs_held(store, deb)}
            missing.setdefault(system.scope.runtime, set()).update(lacking)
    for runtime, debs in missing.items():
        for arch in sorted({deb.arch for deb in debs} - {"all"}) or ["amd64"] * bool(debs):
            here = sorted(deb for deb in debs if deb.arch in {arch, "all"})
            size = sum(deb.size for deb in here)
            line = f"fetching {len(here)} Debian packages, {size / 1e6:,.1f} MB"
            with console.tracked("fetch") as work, work.step(f"{len(here)} Debian packages", line):
                _debs_bring(here, arch, Apt(fleet, runtime, machine, console), store)
    return {
        name: tuple(file for deb in debs if (file := _debs_held(store, deb)))
        for name, debs in every.items()
    }


def _debs_held(store: Store, deb: Deb) -> Held | None:
    return store.held(deb.sha256, deb.file, deb.size)


def _debs_bring(debs: list[Deb], arch: str, apt: Apt, store: Store) -> None:
    def take(folder: Path) -> None:
        for deb in debs:
            store.take(folder / deb.file, deb.sha256, deb.file)

    apt.download(debs, arch, take)
