"""Small manifests as values, for the stages that take them."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slimbake.config.model import BaseEntry, LocalPackage, Manifest, Requirements, ServiceEntry
from slimbake.fleet import Fleet, Scope, resolve
from slimbake.host.sources import Source
from slimbake.host.wheels import Wheel
from slimbake.host.workspace import Workspace
from slimbake.layers import layering
from slimbake.lock.asked import asks as lock_asks
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin
from slimbake.lock.text import lock_text
from slimbake.plan import plan
from slimbake.plan.model import Plan
from slimbake.project import Project

COMMON = LocalPackage("common", "libs/common")
AUTH = LocalPackage("auth", "libs/auth")
NO_LOCKS = Locks({})


def asks(*specs: str, packages: tuple[LocalPackage, ...] = ()) -> Requirements:
    return Requirements(specs=specs, packages=packages)


def service(name: str, **said: Any) -> ServiceEntry:
    return ServiceEntry(name=name, **({"context": f"services/{name}"} | said))


def written(*services: ServiceEntry, bases: tuple[BaseEntry, ...] = (), **said: Any) -> Manifest:
    """A manifest, as a person would have written it."""
    head: dict[str, Any] = {
        "file": Path("/repo/services.yaml"),
        "project": "atlas",
        "python": "3.11",
    }
    return Manifest(**(head | said), bases=bases, services=services)


def fleet(
    *services: ServiceEntry,
    bases: tuple[BaseEntry, ...] = (),
    sources: Mapping[str, tuple[Source, ...]] = {},
    **said: Any,
) -> Fleet:
    """The same, resolved. `sources`: lock -> what its packages are built from."""
    return resolve(written(*services, bases=bases, **said), sources)


def planned(*services: ServiceEntry, bases: tuple[BaseEntry, ...] = (), **said: Any) -> Plan:
    """Its plan."""
    return plan_of(fleet(*services, bases=bases, **said))


def plan_of(made: Fleet, locks: Locks = NO_LOCKS) -> Plan:
    """The plan of a fleet with these locks."""
    return plan(made, locks.texts, layering(made, locks))


def unlocked(made: Fleet) -> Project:
    """A project of a fleet that nobody has locked."""
    layers = layering(made, NO_LOCKS)
    return Project(made, NO_LOCKS, layers, plan_of(made), Workspace(None))


def locked(**pins_of: Iterable[Pin]) -> Locks:
    """Locks by their names, with `_` for a hyphen."""
    return Locks(
        {f"{name.replace('_', '-')}.txt": lock_text(pins) for name, pins in pins_of.items()}
    )


def questions(made: Fleet) -> dict[str, str]:
    """What each lock of a fleet answers, where none is written."""
    return lock_asks(made, lambda _: "")


def pinned(name: str, version: str = "1", size: int = 1_000, via: tuple[str, ...] = ("",)) -> Pin:
    """A package with one wheel, whose hash says which it is."""
    digest = hashlib.sha256(f"{name} {version} {size}".encode()).hexdigest()
    return Pin(name, version, (Wheel(f"{name}-{version}-py3-none-any.whl", size, digest),), via)


def below(scope: Scope) -> str:
    """The name of the scope that one stands on; "" where it stands on the runtime."""
    return scope.chain[-1].name if scope.chain else ""
