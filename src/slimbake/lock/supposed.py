"""What the locks would be with another version of a package; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from slimbake.config.model import Manifest
from slimbake.config.specs import lockable, name_of
from slimbake.errors import UsageError
from slimbake.host.machine import Machine
from slimbake.lock import auto, locked, settled
from slimbake.lock.model import Pin, families
from slimbake.lock.packages import arranged, pinned
from slimbake.lock.resolve import resolve


def supposed(
    manifest: Manifest, machine: Machine, requirement: str, say: Callable[[str], None]
) -> tuple[Manifest, dict[str, tuple[Pin, ...]]]:
    """The manifest as it would be settled and its locks, if the fleet had this requirement
    (`torch>=2.13`) too.

    Only what the requirement moves is moved. Raises UsageError where no lock holds the package, and
    as `lock` does.
    """
    name = name_of(lockable(requirement))
    locks, after = locked(manifest), settled(manifest)
    touched = False
    for family in families(manifest):
        known = pinned(family, manifest)
        if name not in known:
            continue
        touched = True
        kept = [pin for pin in known.values() if pin.name != name]
        asked = replace(family, constraints=(*family.constraints, requirement))
        pins = resolve(asked, manifest.file.parent, manifest.python, machine, kept, say)
        if family.found:
            layers = arranged(manifest, pins, {})
            after, pins = auto.applied(manifest, layers), auto.cut(manifest, layers, pins)
        locks |= pins
    if not touched:
        raise UsageError(
            f"no lock holds {name}", "`slimbake lock --explain PACKAGE` says who needs a package"
        )
    return after, locks
