"""Small manifests as values, for the stages that take them."""

import hashlib
from pathlib import Path
from typing import Any

from slimbake.config.model import BaseEntry, LocalPackage, Manifest, Requirements, ServiceEntry
from slimbake.fleet import Fleet, Layer, resolve
from slimbake.fleet.layering.sharing import Sharing
from slimbake.host.wheels import Wheel
from slimbake.host.workspace import Workspace
from slimbake.layers import Optimisation
from slimbake.lock.asked import asks as lock_asks
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin
from slimbake.plan import plan
from slimbake.plan.model import Plan
from slimbake.project import Project

COMMON = LocalPackage("common", "libs/common")
AUTH = LocalPackage("auth", "libs/auth")


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


def fleet(*services: ServiceEntry, bases: tuple[BaseEntry, ...] = (), **said: Any) -> Fleet:
    """The same, resolved."""
    return resolve(written(*services, bases=bases, **said))


def planned(*services: ServiceEntry, bases: tuple[BaseEntry, ...] = (), **said: Any) -> Plan:
    """Its plan."""
    return plan(fleet(*services, bases=bases, **said))


def unlocked(made: Fleet) -> Project:
    """A project of a fleet that nobody has locked."""
    locks = Locks({})
    return Project(made, made, locks, Optimisation(made, locks), plan(made), Workspace(None))


def questions(made: Fleet) -> dict[str, str]:
    """What each lock of a fleet answers, where none is written and nothing is shared."""
    return lock_asks(made, Sharing(), lambda _: "")


def pinned(name: str, version: str = "1", size: int = 1_000, via: tuple[str, ...] = ("",)) -> Pin:
    """A package with one wheel, whose hash says which it is."""
    digest = hashlib.sha256(f"{name} {version} {size}".encode()).hexdigest()
    return Pin(name, version, (Wheel(f"{name}-{version}-py3-none-any.whl", size, digest),), via)


def below(layer: Layer) -> str:
    """The name of the layer that one lies on; "" where it lies on the runtime."""
    return layer.chain[-1].name if layer.chain else ""
