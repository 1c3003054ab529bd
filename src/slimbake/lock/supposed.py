"""What the locks would be with another version of a package; nothing is written."""

from __future__ import annotations

from dataclasses import replace

from slimbake.config.specs import lockable, name_of
from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.fleet import resolve
from slimbake.fleet.model import Fleet
from slimbake.host.machine import Machine
from slimbake.lock import auto
from slimbake.lock.locking import arranged, pinned
from slimbake.lock.locks import Locks, locked_pins
from slimbake.lock.model import Pin, families
from slimbake.lock.resolve import resolve_family


def supposed(
    asked: Fleet,
    fleet: Fleet,
    locks: Locks,
    machine: Machine,
    requirement: str,
    console: Console,
) -> tuple[Fleet, dict[str, tuple[Pin, ...]]]:
    """The fleet and its pins, if it had this requirement (`torch>=2.13`) too.

    `asked`: the fleet as its manifest alone has it; `fleet`: as its locks settle it. Only what the
    requirement moves is moved. Raises UsageError where no lock holds the package, and as `lock`
    does.
    """
    name = name_of(lockable(requirement))
    pins, touched = locked_pins(fleet, locks), False
    for family in families(asked):
        known = pinned(family, asked, locks)
        if name not in known:
            continue
        touched = True
        kept = [pin for pin in known.values() if pin.name != name]
        wanted = replace(family, constraints=(*family.constraints, requirement))
        found = resolve_family(wanted, asked.root, asked.python, machine, kept, console)
        if family.found:
            layers = arranged(asked, locks, found, {})
            fleet = resolve(asked.manifest, layers, locks.digests)
            found = auto.cut(asked, layers, found)
        pins |= found
    if not touched:
        raise UsageError(
            f"no lock holds {name}", "`slimbake lock --explain PACKAGE` says who needs a package"
        )
    return fleet, pins
