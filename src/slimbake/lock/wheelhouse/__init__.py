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
from slimbake.console.tables import counted
from slimbake.errors import SetupError
from slimbake.externals.debs import Apt
from slimbake.fleet.model import Fleet, Runtime, Scope
from slimbake.host.files import remove_halves
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.wheels import Located, Wheel, file_path, fit
from slimbake.inside.debs import Deb
from slimbake.inside.fetch import PARALLEL, FetchError, Open, download, opener
from slimbake.lock.asked import systems
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin, locked_scopes
from slimbake.lock.wheelhouse import sources as source_files
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
    """Bring every wheel of the locks into the store, verified by hash. slimbake fetches only what
    the store lacks.

    `only`: of these locks, None for all. Raises SetupError where a file cannot be fetched, or is not
    what the lock names. The store keeps what was fetched until then, and the same command continues.
    """
    requests = []
    for request in _wanted(fleet, locks):
        if only is None or request.lock in only:
            requests.append(request)
    file_of = _held(requests, store)
    missing = [request for request in requests if request not in file_of]
    if missing:
        with store.exclusively(console):
            # Another process may have brought some of it by now.
            file_of |= _held(missing, store)
            missing = [request for request in missing if request not in file_of]
            if missing:
                located = _locate(missing, fleet, machine, console)
                _bring(missing, located, store, machine, console)
                file_of |= _held(missing, store)
    files_of: dict[str, set[Held]] = {}
    for name, source in _sources(fleet, machine, store, console, only).items():
        files_of[name] = {source}
    for request in requests:
        files_of.setdefault(request.lock, set()).add(file_of[request])
    by_lock = {name: tuple(sorted(files)) for name, files in files_of.items()}
    return Wheels(by_lock, len(_once(missing)))


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
    files: dict[str, Held] = {}
    missing: dict[str, Source] = {}
    for package in fleet.packages:
        name = package.scope.name
        if package.source and (only is None or name in only):
            file = source_files.held(package.source, store)
            if file:
                files[name] = file
            else:
                missing[name] = package.source
    if not missing:
        return files
    console.say(f"fetching sources: {', '.join(source.file for source in missing.values())}")
    with store.exclusively(console):
        located: dict[str, Source] = {}
        indexed = [source for source in missing.values() if not source.address]
        if indexed:
            located = source_files.locate(indexed, _on_index(indexed, fleet, machine))
        for name, source in missing.items():
            files[name] = source_files.bring(located.get(source.name, source), machine, store)
    return files


def _on_index(sources: list[Source], fleet: Fleet, machine: Machine) -> dict[str, Source]:
    from slimbake.host.uv import NoSolution, PipCompile

    names = [source.name for source in sources]
    versions = [(source.name, source.version) for source in sources]
    with tempfile.TemporaryDirectory(prefix="slimbake-fetch-") as scratch:
        platform = fleet.platforms[0]  # sources are the same on all
        uv = PipCompile(machine, fleet.python.version, platform, Path(scratch), sources=names)
        try:
            return uv.locate(versions, "sources").sources
        except NoSolution as error:
            raise SetupError(
                f"no index has the sources that the locks name\n{error}",
                "`slimbake doctor` shows the indexes of this machine",
            ) from None


def _wanted(fleet: Fleet, locks: Locks) -> Iterator[_Wanted]:
    """The wheels of all locks, each for one platform."""
    scope_of = {scope.lock: scope for scope in locked_scopes(fleet)}
    for name, scope in scope_of.items():
        for pin in locks.pins(name):
            for wheel in pin.wheels:
                yield _Wanted(scope, name, _platform_of(wheel, scope), pin, wheel)


def _platform_of(wheel: Wheel, scope: Scope) -> str:
    """The first platform of a scope that a wheel fits; the first of all for one that fits none."""
    for platform in scope.platforms:
        if fit(wheel.file, scope.python.version, platform) is not None:
            return platform
    return scope.platforms[0]


def _held(requests: Iterable[_Wanted], store: Store) -> dict[_Wanted, Held]:
    """The files of those of these wheels that the store holds."""
    files = {}
    for request in requests:
        wheel = request.wheel
        file = store.held(wheel.sha256, wheel.file, wheel.bytes)
        if file:
            files[request] = file
    return files


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
    for (_, platform), requests in together.items():
        versions = {(request.pin.name, request.pin.version) for request in requests}
        with tempfile.TemporaryDirectory(prefix="slimbake-fetch-") as scratch:
            uv = Uv(requests[0].scope, fleet.root, platform, machine, Path(scratch))
            try:
                available = uv.locate(sorted(versions), "wheels")
            except NoSolution as error:
                hint = (
                    "`slimbake doctor` shows the indexes of this machine; `slimbake lock` asks them"
                    " again"
                )
                raise SetupError(f"no index has what the locks name\n{error}", hint) from None
            for warning in sorted(uv.warnings):
                console.say(warning)
        for request in requests:
            located[request] = _chosen(request, available.wheels[request.pin.name])
    return located


def _chosen(request: _Wanted, files: tuple[Located, ...]) -> Located:
    """The file that the lock names. An index may have better ones by now, or others in its place."""
    name, sha256 = request.wheel.file, request.wheel.sha256

    def order(file: Located) -> tuple[bool, bool, bool]:
        return file.wheel.sha256 != sha256, not file.local, file.wheel.file != name

    best = min(files, key=order)
    wheel = best.wheel
    if wheel.sha256 in {sha256, ""}:  # without one, it is compared when it is taken
        return best
    owner = "the index"
    if best.local:
        owner = str(Path(file_path(best.url)).parent)
    raise SetupError(
        f"{name}: {owner} now has {wheel.file} with sha256 {wheel.sha256}, the lock {sha256}",
        f"if you trust the index: `slimbake lock --upgrade {request.pin.name}`",
    )


def _once(requests: Iterable[_Wanted]) -> list[_Wanted]:
    """One request for each wheel."""
    by_wheel = {}
    for request in requests:
        by_wheel[request.pin.name, request.pin.version, request.wheel] = request
    return list(by_wheel.values())


def _bring(
    missing: list[_Wanted],
    located: Mapping[_Wanted, Located],
    store: Store,
    machine: Machine,
    console: Console,
) -> None:
    once = _once(missing)
    needed = sum(request.wheel.bytes or 0 for request in once)
    free = shutil.disk_usage(store.root).free
    if needed > free:
        raise _full(needed, free, store)
    packages = machine.packages
    open_ = opener((*packages.extra_index_urls, packages.index_url), machine.ca_bundle)
    title = f"fetching {counted(len(once), 'wheel')}"
    with console.bytes(title, needed) as shown, ThreadPoolExecutor(PARALLEL) as pool:
        jobs = []
        for request in once:
            jobs.append(pool.submit(_one, request, located[request], store, open_, shown))
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
    located: Located,
    store: Store,
    open_: Open,
    shown: Callable[[int], None],
) -> None:
    """Bring one wheel into the store."""
    wheel = request.wheel
    if located.local:
        store.take(Path(file_path(located.url)), wheel.sha256, wheel.file)
        shown(located.wheel.bytes or 0)
        return
    path = store.path(wheel.sha256, wheel.file)
    if path.parent.is_dir():
        remove_halves(path.parent, (path.name,))
    download(located.url, path, {wheel.sha256}, open_, shown, wheel.bytes)


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
    debs_of: dict[str, tuple[Deb, ...]] = {}
    missing: dict[Runtime, set[Deb]] = {}
    for system in systems(fleet):
        name = system.scope.system_lock
        if only is None or name in only:
            debs_of[name] = locks.debs(name)
            lacking = {deb for deb in debs_of[name] if not _held_deb(deb, store)}
            missing.setdefault(system.scope.runtime, set()).update(lacking)
    for runtime, debs in missing.items():
        if not debs:
            continue
        for arch in sorted({deb.arch for deb in debs} - {"all"}) or ["amd64"]:
            of_arch = sorted(deb for deb in debs if deb.arch in {arch, "all"})
            size = sum(deb.size for deb in of_arch)
            step = f"{len(of_arch)} Debian packages"
            line = f"fetching {step}, {size / 1e6:,.1f} MB"
            with console.tracked("fetch") as work, work.step(step, line):
                _bring_debs(of_arch, arch, Apt(fleet, runtime, machine, console), store)
    files_of = {}
    for name, debs_of_lock in debs_of.items():
        files = [_held_deb(deb, store) for deb in debs_of_lock]
        files_of[name] = tuple(filter(None, files))
    return files_of


def _held_deb(deb: Deb, store: Store) -> Held | None:
    return store.held(deb.sha256, deb.file, deb.size)


def _bring_debs(debs: list[Deb], arch: str, apt: Apt, store: Store) -> None:
    def take(folder: Path) -> None:
        for deb in debs:
            store.take(folder / deb.file, deb.sha256, deb.file)

    apt.download(debs, arch, take)
