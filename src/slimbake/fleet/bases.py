"""What bases and what stands on them have from below: read once, so that each layer is given only
what it adds.
"""

from __future__ import annotations

from dataclasses import replace

from slimbake.config.model import Base, LocalPackage, Manifest, Requirements
from slimbake.fleet.variants import INDEX


def parents_first(manifest: Manifest) -> tuple[Base, ...]:
    """The bases, each after the one that it extends or exports for; otherwise in the manifest's
    order.
    """
    by_name = {base.name: base for base in manifest.bases}
    ordered: dict[str, Base] = {}

    def visit(base: Base) -> None:
        for below in filter(None, (base.extends, base.exports)):
            visit(by_name[below])
        ordered.setdefault(base.name, base)

    for base in manifest.bases:
        visit(base)
    return tuple(ordered.values())


def roots(manifest: Manifest) -> dict[str, str]:
    """The root of each base's family, by the base's name: what exports is resolved with what it
    exports for.
    """
    found: dict[str, str] = {}
    for base in parents_first(manifest):
        kin = base.extends or base.exports
        found[base.name] = found[kin] if kin else base.name
    return found


def torch_builds(manifest: Manifest) -> dict[str, str]:
    """The build of torch that each base (`base-ml`) and service has; "" = as the index has it.

    A family has one, whichever of its bases names it.
    """
    root = roots(manifest)
    named = {
        root[base.name]: base.torch for base in manifest.bases if base.torch and base.torch != INDEX
    }
    bases = {f"base-{name}": named.get(root[name], "") for name in root}
    own = {service.name: service.torch or manifest.torch or INDEX for service in manifest.services}
    services = {
        s.name: bases[f"base-{s.base}"] if s.base else own[s.name] for s in manifest.services
    }
    return bases | {name: "" if build == INDEX else build for name, build in services.items()}


def layered(manifest: Manifest) -> Manifest:
    """The manifest with each local package asked for once: what a base has, nothing above it
    installs again.
    """
    below: dict[str, frozenset[LocalPackage]] = {}
    bases = []
    for base in parents_first(manifest):
        inherited = below[base.extends] if base.extends else frozenset()
        below[base.name] = inherited.union(base.requirements.packages)
        bases.append(replace(base, requirements=_without(base.requirements, inherited)))
    services = tuple(
        replace(service, requirements=_without(service.requirements, below[service.base]))
        if service.base
        else service
        for service in manifest.services
    )
    return replace(manifest, bases=tuple(bases), services=services)


def _without(asked: Requirements, packages: frozenset[LocalPackage]) -> Requirements:
    return replace(asked, packages=tuple(p for p in asked.packages if p not in packages))
