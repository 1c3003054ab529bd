"""Variants: each becomes a base or service of its own here, so that what follows knows bases and
services alone. Pure.

The first variant of a base or service keeps the name; the others are copies, named after the entry
and the variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from slimbake.config.model import Base, Budget, Manifest, Pairs, Requirements, Service, Variant
from slimbake.config.parity import together

# the build of torch that the index of everything else has; so it is where nothing is said
INDEX = "pypi"


def derived(name: str, variant: str) -> str:
    """What the copy of an entry is called."""
    return f"{name}-{variant}"


def expanded(manifest: Manifest) -> Manifest:
    """The manifest with a base or service for each variant, and none that has several.

    What stands on a base with variants has the same ones. A variant with another build of torch
    than the family's is a family of its own, so what it stands on is copied too; without one, it
    stands on the very same bases.
    """
    return _Expansion(manifest).manifest()


def axis(chain: Sequence[Base | Service]) -> tuple[str, ...]:
    """The variants of the last of a chain, root first: those of the first that has some."""
    return next(
        (tuple(variant.name for variant in each.variants) for each in chain if each.variants), ()
    )


def said(entry: Base | Service, variant: str) -> Variant:
    """What an entry says of a variant: nothing, where it leaves it to what it stands on."""
    return next((each for each in entry.variants if each.name == variant), Variant(variant))


class _Expansion:
    def __init__(self, manifest: Manifest) -> None:
        self._whole = manifest
        self._bases = {base.name: base for base in manifest.bases}
        self._torch: dict[str, str] = {}  # root -> the build that its family has by default
        for base in manifest.bases:
            chain = self._chain(base.name)
            if torch := next((said(base, v).torch for v in axis(chain)[:1]), None) or base.torch:
                self._torch.setdefault(chain[0].name, torch)
        self._copies: dict[str, dict[str, Base]] = {name: {} for name in self._bases}

    def manifest(self) -> Manifest:
        plain = [self._plain(base) for base in self._whole.bases]
        services = [made for service in self._whole.services for made in self._services(service)]
        bases = [made for base in plain for made in (base, *self._copies[base.name].values())]
        return replace(self._whole, bases=tuple(bases), services=tuple(services))

    def _chain(self, name: str | None) -> tuple[Base, ...]:
        """A base and all that it stands on, root first."""
        chain: list[Base] = []
        while name:
            chain.append(self._bases[name])
            name = chain[-1].extends
        return tuple(reversed(chain))

    def _plain(self, base: Base) -> Base:
        """A base under its own name: its first variant. Copies are made of the others."""
        chain = self._chain(base.name)
        first, *rest = axis(chain) or ("",)
        for variant in rest:
            self._copy(chain, variant)
        return _base(base, said(base, first))

    def _copy(self, chain: Sequence[Base], variant: str, torch: str | None = None) -> str:
        """Copy a base for a variant, with as much of what it stands on as needed; the copy's name."""
        torch = torch or next(filter(None, (said(base, variant).torch for base in chain)), None)
        own_family = (torch or INDEX) != self._family_torch(chain) and torch is not None
        parent = None
        for base in chain:
            shared = not own_family and not axis(self._chain(base.name))
            if not shared:
                name = derived(base.name, variant)
                made = _base(base, said(base, variant), copy_of=base.name)
                made = replace(made, name=name, extends=parent, torch=torch or made.torch)
                self._copies[base.name].setdefault(variant, made)
            parent = base.name if shared else name
        return parent or ""

    def _family_torch(self, chain: Sequence[Base]) -> str:
        return self._torch.get(chain[0].name, INDEX)

    def _services(self, service: Service) -> list[Service]:
        chain = self._chain(service.base)
        names = axis((*chain, service))
        if not names:
            return [service]
        return [
            self._service(service, chain, variant, first=variant == names[0]) for variant in names
        ]

    def _service(
        self, service: Service, chain: Sequence[Base], variant: str, *, first: bool
    ) -> Service:
        own = said(service, variant)
        base = service.base
        if base and axis(chain):
            base = base if first else derived(base, variant)
        elif base and own.torch and own.torch != self._family_torch(chain):
            base = self._copy(chain, variant, own.torch)
        return replace(
            service,
            name=service.name if first else derived(service.name, variant),
            base=base,
            # What another variant is read from is no code either.
            requirements=replace(
                _added(service.requirements, own.requirements), files=_files(service)
            ),
            env=_over(service.env, own.env),
            platforms=own.platforms or service.platforms,
            budget=_limits(service.budget, own.budget),
            torch=own.torch or service.torch,
            inference=own.inference or service.inference,
            precision=own.precision or service.precision,
            parity=together(service, own),
            variants=(),
            variant=variant,
            copy_of="" if first else service.name,
        )


def _base(base: Base, own: Variant, copy_of: str = "") -> Base:
    requirements = _added(base.requirements, own.requirements)
    torch = own.torch or base.torch
    return replace(
        base, requirements=requirements, torch=torch, variants=(), variant=own.name, copy_of=copy_of
    )


def _added(asked: Requirements, more: Requirements) -> Requirements:
    return Requirements(
        *(
            tuple(dict.fromkeys((*own, *further)))
            for own, further in (
                (asked.specs, more.specs),
                (asked.packages, more.packages),
                (asked.files, more.files),
            )
        )
    )


def _limits(budget: Budget, own: Budget) -> Budget:
    return Budget(*(getattr(own, f.name) or getattr(budget, f.name) for f in fields(Budget)))


def _files(service: Service) -> tuple[str, ...]:
    every = (service.requirements, *(variant.requirements for variant in service.variants))
    return tuple(dict.fromkeys(file for each in every for file in each.files))


def _over(pairs: Pairs, more: Pairs) -> Pairs:
    return tuple({**dict(pairs), **dict(more)}.items())
