"""Small manifests as values, for the stages that take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slimbake.config.model import BaseEntry, LocalPackage, Manifest, Requirements, ServiceEntry
from slimbake.fleet import Fleet, Layer, resolve
from slimbake.host.workspace import Workspace
from slimbake.lock.locks import Locks
from slimbake.plan import plan
from slimbake.project import Project
from slimbake.warm import Optimisation

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


def unlocked(made: Fleet) -> Project:
    """A project of a fleet that nobody has locked."""
    locks = Locks({})
    return Project(made, made, locks, Optimisation(made, locks), plan(made), Workspace(None))


def below(layer: Layer) -> str:
    """The name of the layer that one lies on; "" where it lies on the runtime."""
    return layer.chain[-1].name if layer.chain else ""
