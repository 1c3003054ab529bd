"""Small manifests as values, for the stages that take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slimbake.config.model import Base, LocalPackage, Manifest, Requirements, Service

COMMON = LocalPackage("common", "libs/common")
AUTH = LocalPackage("auth", "libs/auth")


def asks(*specs: str, packages: tuple[LocalPackage, ...] = ()) -> Requirements:
    return Requirements(specs=specs, packages=packages)


def service(name: str, **said: Any) -> Service:
    return Service(name=name, **({"context": f"services/{name}"} | said))


def fleet(*services: Service, bases: tuple[Base, ...] = (), **said: Any) -> Manifest:
    return Manifest(
        file=Path("/repo/services.yaml"),
        **({"project": "atlas", "python": "3.11"} | said),
        bases=bases,
        services=services,
    )
