"""A fleet with the layers that its locks share: bases that nobody wrote. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from slimbake.config.model import Requirements
from slimbake.config.naming import base_layer
from slimbake.fleet.layering.sharing import SharedLayer, Sharing
from slimbake.fleet.model import Base, Fleet, Package, Service
from slimbake.host.sources import Source

# What PyTorch's indexes have a build of for each kind of machine.
TORCH = frozenset({"torch", "torchaudio", "torchvision"})


def with_layers(
    fleet: Fleet, sharing: Sharing, sources: Mapping[str, tuple[Source, ...]] = {}
) -> Fleet:
    """The fleet with these layers above the bases of its manifest, less those of services that are
    gone. `sources`: lock -> what its packages are built from that have no wheel.
    """
    if {base.name for base in fleet.bases} & sharing.by_name.keys():
        return fleet  # the manifest is newer than the locks
    chains = {name: sharing.chain(top) for name, top in sharing.services.items()}
    holders: dict[str, list[Service]] = {}
    for service in fleet.services:
        for shared in chains.get(service.name, ()):
            holders.setdefault(shared.name, []).append(service)
    users: dict[str, tuple[str, ...]] = {}  # of equal layers, whichever place each lies in
    for shared in sharing.layers:
        names = (service.name for service in holders.get(shared.name, ()))
        users[shared.lock] = (*users.get(shared.lock, ()), *names)
    built = {package.name: package for package in fleet.packages if package.source}

    def packages(lock: str) -> tuple[Package, ...]:
        return tuple(built[source.name] for source in sources.get(lock, ()) if source.name in built)

    bases: dict[str, Base] = {}
    for shared in sharing.layers:
        if services := holders.get(shared.name):
            parent = bases.get(shared.below) or services[0].base
            base = _base(shared, services, parent, packages(base_layer(shared.lock)))
            bases[shared.name] = replace(
                base, layer=replace(base.layer, services=users[shared.lock])
            )
    services = []
    for service in fleet.services:
        stands = (*service.bases, *(bases[shared.name] for shared in chains.get(service.name, ())))
        layer = replace(service.layer, chain=tuple(base.layer for base in stands))
        services.append(replace(service, layer=layer, bases=stands))
    return replace(fleet, bases=(*fleet.bases, *bases.values()), services=tuple(services))


def _base(
    shared: SharedLayer, services: list[Service], parent: Base | None, packages: tuple[Package, ...]
) -> Base:
    """What its services say of their own packages, all of them say alike."""
    one = services[0]
    layer = replace(
        one.layer,
        name=base_layer(shared.name),
        kind="base",
        lock=base_layer(shared.lock),
        chain=parent.layer.closure if parent else (),
        platforms=tuple(sorted({platform for s in services for platform in s.layer.platforms})),
        asks=Requirements(tuple(sorted(shared.packages))),
        torch=one.layer.torch if shared.packages & TORCH else "",
        onnx=False,
    )
    return Base(
        name=shared.name,
        layer=layer,
        entry=shared.name,
        variant="",
        copied=False,
        packages=packages,
        system=(),
        optimize=one.optimize,
        removal=one.removal,
    )
