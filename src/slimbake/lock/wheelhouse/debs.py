"""Debian packages in the wheelhouse."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from slimbake.console import Console
from slimbake.externals.debs import Apt
from slimbake.fleet.model import Fleet
from slimbake.host.machine import Machine
from slimbake.inside.debs import Deb
from slimbake.lock.asked import systems
from slimbake.lock.locks import Locks
from slimbake.lock.wheelhouse.store import Held, Store


def fetch_debian(
    fleet: Fleet,
    locks: Locks,
    machine: Machine,
    store: Store,
    console: Console,
    rehash: bool = False,
    only: Collection[str] | None = None,
) -> dict[str, tuple[Held, ...]]:
    """Bring every package of the system locks into the store: the lock's name -> its files.

    What is missing is fetched by the external Python image's apt, and so needs an engine. `rehash`
    and `only` as for wheels. Raises SetupError.
    """
    names = [system.layer.system_lock for system in systems(fleet)]
    every = {name: locks.debs(name) for name in names if only is None or name in only}
    there = {held for debs in every.values() for deb in debs if (held := _held(store, deb))}
    for held in sorted(there) if rehash else ():
        if store.damaged(held):
            console.say(f"{held.path.name} is damaged: it is fetched anew")
    missing = {deb for debs in every.values() for deb in debs if not _held(store, deb)}
    for arch in sorted({deb.arch for deb in missing} - {"all"}) or ["amd64"] * bool(missing):
        here = sorted(deb for deb in missing if deb.arch in {arch, "all"})
        console.say(
            f"fetching {len(here)} Debian packages, {sum(deb.size for deb in here) / 1e6:,.1f} MB"
        )
        _bring(here, arch, Apt(fleet, machine, console), store)
    return {
        name: tuple(held for deb in debs if (held := _held(store, deb)))
        for name, debs in every.items()
    }


def _held(store: Store, deb: Deb) -> Held | None:
    return store.held(deb.sha256, deb.file, deb.size)


def _bring(debs: list[Deb], arch: str, apt: Apt, store: Store) -> None:
    def take(folder: Path) -> None:
        for deb in debs:
            store.take(folder / deb.file, deb.sha256, deb.file)

    apt.download(debs, arch, take)
