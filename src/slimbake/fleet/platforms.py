"""What each part of a fleet is built for: what is shared, for all that anything on it is built for.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from slimbake.config.model import Base, LocalPackage, Manifest, Service, Weights
from slimbake.fleet.bases import parents_first
from slimbake.fleet.sources import origin

DEFAULT_PLATFORMS = ("linux/amd64",)

Platforms = tuple[str, ...]


def of_fleet(manifest: Manifest) -> Platforms:
    """What is built for where a service says nothing, in the manifest's order."""
    return manifest.platforms or DEFAULT_PLATFORMS


def of_all(manifest: Manifest) -> Platforms:
    """What anything of the fleet is built for."""
    return tuple(
        sorted(
            {*manifest.platforms, *(p for s in manifest.services for p in of_service(s, manifest))}
        )
    )


def of_service(service: Service, manifest: Manifest) -> Platforms:
    return tuple(sorted(service.platforms or of_fleet(manifest)))


def of_bases(manifest: Manifest) -> dict[str, Platforms]:
    """Of each base by its name; one that nothing stands on is the fleet's."""
    found: dict[str, Platforms] = {}
    for base in reversed(parents_first(manifest)):
        above = [
            of_service(service, manifest)
            for service in manifest.services
            if service.base == base.name
        ]
        above += [
            of_service(service, manifest)
            for service in manifest.services
            if _exported_on(service, base)
        ]
        above += [found[other.name] for other in manifest.bases if other.extends == base.name]
        found[base.name] = _together(above, manifest)
    return found


def _exported_on(service: Service, base: Base) -> bool:
    return bool(
        service.weights and service.weights.export and service.weights.export.base == base.name
    )


def of_weights(weights: Weights, manifest: Manifest) -> Platforms:
    """Of weights that are no export; those that are exported from them need them too."""
    users = (s for s in manifest.services if s.weights and origin(s.weights) == weights)
    return _together((of_service(s, manifest) for s in users), manifest)


def of_package(package: LocalPackage, manifest: Manifest) -> Platforms:
    bases = of_bases(manifest)
    asked = [bases[base.name] for base in manifest.bases if package in base.requirements.packages]
    asked += [
        of_service(s, manifest) for s in manifest.services if package in s.requirements.packages
    ]
    return _together(asked, manifest)


def _together(several: Iterable[Platforms], manifest: Manifest) -> Platforms:
    return tuple(
        sorted({each for platforms in several for each in platforms} or of_fleet(manifest))
    )
