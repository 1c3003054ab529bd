"""Bases and services while they are resolved: one for each variant, and what exports need. Pure.

The first variant of a base or service keeps the name; the others are copies, named after the entry
and the variant. A base `ml` of services that run on ONNX Runtime gives two others: `ml-onnx`, which
these services stand on in its place, and `ml-export`, which no image holds. Both take the versions
of `ml`: a graph is written and run by one version of ONNX Runtime, with one of numpy. `ml-export` is built on the runtime alone, so that a change of anything that exports do not need
exports no model again, and no rule has taken anything that they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from slimbake.config.collected import Collected
from slimbake.config.model import (
    BaseEntry,
    Budget,
    Bytecode,
    Manifest,
    Pairs,
    Parity,
    Precision,
    Removal,
    Requirements,
    ServiceEntry,
    VariantEntry,
    WeightsEntry,
)
from slimbake.config.naming import CPU, EXPORT, ONNX, derived

# What runs a graph, and what writes one beside torch.
RUNS = ("numpy", "onnxruntime", "tokenizers")
WRITES = (
    *("onnx", "onnx-ir", "onnxruntime", "onnxscript"),
    *("safetensors", "tokenizers", "transformers"),
)


NOTHING = Removal()
BY_RULE = Bytecode()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseDraft:
    """A base, before its scope is known."""

    name: str
    entry: str  # of the manifest
    extends: str | None = None
    python: str
    image: str = ""  # of the user's, that it starts from
    requirements: Requirements
    system: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()  # Debian packages that build wheels
    torch: str | None = None
    variant: str = ""
    copied: bool = False
    optimize: bool | None = None  # None: as the fleet says
    removal: Removal = NOTHING
    bytecode: Bytecode = BY_RULE
    agrees: tuple[str, ...] = ()  # bases whose versions it takes, beside those below
    exports: bool = False  # models are exported on it


@dataclass(frozen=True, slots=True)
class WeightsDraft:
    """Weights, and how they are exported."""

    entry: WeightsEntry
    base: str = ""  # on which they are exported; "" = they are taken as they came
    precision: Precision | None = None

    @property
    def origin(self) -> WeightsDraft:
        """What they are exported from; themselves, where they are no export."""
        return WeightsDraft(self.entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDraft:
    """A service of one variant: what it says in place of its entry."""

    entry: ServiceEntry
    name: str
    base: str | None
    python: str
    image: str
    requirements: Requirements
    env: Pairs
    platforms: tuple[str, ...]
    budget: Budget
    torch: str | None
    inference: Literal["torch", "onnx"]
    precision: Precision | None
    parity: Parity | None
    variant: str
    copied: bool
    weights: WeightsDraft | None

    @property
    def wheels(self) -> tuple[str, ...]:
        """Debian packages that build wheels."""
        return self.entry.wheels

    @property
    def mounts(self) -> bool:
        """Whether its weights are an image of their own, which its containers mount."""
        return self.entry.weights is not None and self.entry.weights.mount == "image"


@dataclass(frozen=True, slots=True)
class Drafts:
    """A fleet of drafts."""

    bases: tuple[BaseDraft, ...]
    services: tuple[ServiceDraft, ...]

    @property
    def weights(self) -> tuple[WeightsDraft, ...]:
        """Distinct weights in the services' order, each export after what it is made from."""
        used = (service.weights for service in self.services if service.weights)
        return tuple(dict.fromkeys(draft for one in used for draft in (one.origin, one)))


def drafts(manifest: Manifest) -> Drafts:
    """A base or service for each variant, and the bases that exports need.

    What stands on a base with variants has the same ones. A variant with another Python or build of
    torch than the family's is a family of its own, so what it uses is copied too; without one, it
    stands on the very same bases.
    """
    return _with_exports(_Expansion(manifest).drafts())


def _axis(chain: Sequence[BaseEntry | ServiceEntry]) -> tuple[str, ...]:
    """The variants of the last of a chain, root first: those of the first that has some."""
    axes = (tuple(variant.name for variant in entry.variants) for entry in chain if entry.variants)
    return next(axes, ())


def _said(entry: BaseEntry | ServiceEntry, variant: str) -> VariantEntry:
    """What an entry says of a variant: nothing, where it leaves it to what it stands on."""
    matches = (candidate for candidate in entry.variants if candidate.name == variant)
    return next(matches, VariantEntry(variant))


class _Expansion:
    def __init__(self, manifest: Manifest) -> None:
        self._whole = manifest
        self._bases = {base.name: base for base in manifest.bases}
        self._torch: dict[str, str] = {}  # root -> the build that its family has by default
        for base in manifest.bases:
            chain = self._chain(base.name)
            first = (_said(base, variant).torch for variant in _axis(chain)[:1])
            if torch := next(first, None) or base.torch:
                self._torch.setdefault(chain[0].name, torch)
        self._copies: dict[str, dict[str, BaseDraft]] = {name: {} for name in self._bases}

    def drafts(self) -> Drafts:
        first = [self._plain(base) for base in self._whole.bases]
        services = [draft for entry in self._whole.services for draft in self._services(entry)]
        bases = [draft for base in first for draft in (base, *self._copies[base.name].values())]
        return Drafts(tuple(bases), tuple(services))

    def _chain(self, name: str | None) -> tuple[BaseEntry, ...]:
        """A base and all that it stands on, root first."""
        chain: list[BaseEntry] = []
        while name:
            chain.append(self._bases[name])
            name = chain[-1].extends
        return tuple(reversed(chain))

    def _plain(self, base: BaseEntry) -> BaseDraft:
        """A base under its own name: its first variant. Copies are made of the others."""
        chain = self._chain(base.name)
        first, *rest = _axis(chain) or ("",)
        for variant in rest:
            self._copy(chain, variant)
        return _base_draft(base, _said(base, first), self._python(chain, first), self._image(chain))

    def _copy(
        self, chain: Sequence[BaseEntry], variant: str, own: VariantEntry | None = None
    ) -> str:
        """Copy a base for a variant, with as much of what it uses as needed; its name. `own`: of a
        service, what decides then.
        """
        said = [*([own] if own else []), *(_said(base, variant) for base in chain)]
        torch = next((entry.torch for entry in said if entry.torch), None)
        python = (own and own.python) or self._python(chain, variant)
        own_family = self._is_other(chain, torch, python)
        parent = None
        for base in chain:
            if not own_family and not _axis(self._chain(base.name)):
                parent = base.name
                continue
            base_draft = _base_draft(base, _said(base, variant), python, self._image(chain))
            name = derived(base.name, variant)
            base_draft = replace(
                base_draft, name=name, extends=parent, torch=torch or base_draft.torch, copied=True
            )
            self._copies[base.name].setdefault(variant, base_draft)
            parent = name
        return parent or ""

    def _is_other(self, chain: Sequence[BaseEntry], torch: str | None, python: str) -> bool:
        """Whether a variant has another torch or Python than the family that it stands on."""
        family_torch = self._family_torch(chain)
        family_python = self._python(chain, next(iter(_axis(chain)), ""))
        return (torch or family_torch, python) != (family_torch, family_python)

    def _python(self, chain: Sequence[BaseEntry | ServiceEntry], variant: str) -> str:
        """The Python of the last of a chain, root first: as it says, or what it stands on, or the
        fleet.
        """
        for entry in reversed(chain):
            if python := _said(entry, variant).python or entry.python:
                return python
        return self._whole.python

    def _image(self, chain: Sequence[BaseEntry | ServiceEntry]) -> str:
        """The image of the user's that a chain starts from: all of it has the same."""
        return next((entry.image for entry in chain if entry.image), self._whole.image)

    def _family_torch(self, chain: Sequence[BaseEntry]) -> str:
        return self._torch.get(chain[0].name, CPU)

    def _services(self, entry: ServiceEntry) -> Iterator[ServiceDraft]:
        chain = self._chain(entry.base)
        names = _axis((*chain, entry)) or ("",)
        for variant in names:
            yield self._service(entry, chain, variant, first=variant == names[0])

    def _service(
        self, entry: ServiceEntry, chain: Sequence[BaseEntry], variant: str, *, first: bool
    ) -> ServiceDraft:
        variant_entry = _said(entry, variant)
        base = entry.base
        python = self._python((*chain, entry), variant)
        if base and _axis(chain):
            base = base if first else derived(base, variant)
        elif base and self._is_other(chain, variant_entry.torch, python):
            base = self._copy(chain, variant, variant_entry)
        requirements = entry.requirements
        if entry.variants:
            # What another variant is read from is no code either.
            both = _added(entry.requirements, variant_entry.requirements)
            requirements = replace(both, files=_files(entry))
        return ServiceDraft(
            entry=entry,
            name=entry.name if first else derived(entry.name, variant),
            base=base,
            python=python,
            image=self._image((*chain, entry)),
            requirements=requirements,
            env=_over(entry.env, variant_entry.env),
            platforms=variant_entry.platforms or entry.platforms,
            budget=_limits(entry.budget, variant_entry.budget),
            torch=variant_entry.torch or entry.torch,
            inference=variant_entry.inference or entry.inference or "torch",
            precision=variant_entry.precision or entry.precision,
            parity=_parity(entry, variant_entry),
            variant=variant,
            copied=not first,
            # the same files, wherever they lie
            weights=WeightsDraft(replace(entry.weights, mount="layer")) if entry.weights else None,
        )


def _base_draft(base: BaseEntry, variant_entry: VariantEntry, python: str, image: str) -> BaseDraft:
    return BaseDraft(
        name=base.name,
        entry=base.name,
        extends=base.extends,
        python=python,
        image=image,
        requirements=_added(base.requirements, variant_entry.requirements),
        system=base.system,
        wheels=base.wheels,
        torch=variant_entry.torch or base.torch,
        variant=variant_entry.name,
        optimize=base.optimize,
        removal=base.removal,
        bytecode=base.bytecode,
    )


def _added(requirements: Requirements, more: Requirements) -> Requirements:
    collected = Collected()
    collected.add(requirements)
    collected.add(more)
    return collected.value()


def _limits(budget: Budget, variant_budget: Budget) -> Budget:
    if variant_budget == Budget():
        return budget
    return Budget(
        *(getattr(variant_budget, f.name) or getattr(budget, f.name) for f in fields(Budget))
    )


def _files(entry: ServiceEntry) -> tuple[str, ...]:
    every = (entry.requirements, *(variant.requirements for variant in entry.variants))
    return tuple(dict.fromkeys(file for requirements in every for file in requirements.files))


def _over(pairs: Pairs, more: Pairs) -> Pairs:
    return tuple({**dict(pairs), **dict(more)}.items()) if more else pairs


def _parity(entry: ServiceEntry, variant_entry: VariantEntry) -> Parity | None:
    """What a variant of a service is held to: its own, key by key before the service's.

    A check that only another variant is measured with is kept without texts: it is no code of this
    one either.
    """
    reported = [parity for parity in (variant_entry.parity, entry.parity) if parity]
    others = [variant.parity for variant in entry.variants if variant.parity]
    check = next((parity.check for parity in (*reported, *others) if parity.check), "")
    if not check:
        return None
    merged = {key: value for parity in reversed(reported) for key, value in parity.limits}
    texts = next((parity.texts for parity in reported if parity.texts), "")
    return Parity(check, texts, tuple(merged.items()))


def _with_exports(fleet_drafts: Drafts) -> Drafts:
    """With all that an export needs as bases and weights.

    A base that is written under the name of the derived one to run on is taken as it is.
    """
    written = {base.name: base for base in fleet_drafts.bases}
    derived_of: dict[str, dict[str, BaseDraft]] = {name: {} for name in written}
    services = []
    for service in fleet_drafts.services:
        if service.inference == ONNX and service.base and service.weights:
            base_draft = written[service.base]
            onnx, export = derived(base_draft.name, ONNX), derived(base_draft.name, EXPORT)
            agrees: tuple[str, ...] = (base_draft.name,)
            if onnx not in written:
                derived_of[base_draft.name].setdefault(onnx, _running(base_draft))
                agrees = (base_draft.name, onnx)
            derived_of[base_draft.name].setdefault(export, _writing(base_draft, agrees))
            weights = replace(service.weights, base=export, precision=service.precision or "fp32")
            service = replace(service, base=onnx, weights=weights)
        services.append(service)
    bases = (
        draft for base in fleet_drafts.bases for draft in (base, *derived_of[base.name].values())
    )
    return Drafts(tuple(bases), tuple(services))


def _running(base: BaseDraft) -> BaseDraft:
    """The base that services stand on in place of `base`."""
    return replace(
        _derived(base, ONNX),
        requirements=Requirements(RUNS),
        system=(),
        torch=None,
        removal=Removal(),
        bytecode=BY_RULE,
        agrees=(base.name,),
    )


def _writing(base: BaseDraft, agrees: tuple[str, ...]) -> BaseDraft:
    """The base that models of `base` are exported on: what it asks for, and what writes graphs."""
    # Packages of the repository change with every edit, and no class of transformers is among them.
    specs = tuple(dict.fromkeys((*base.requirements.specs, *WRITES)))
    requirements = replace(base.requirements, packages=(), specs=specs)
    return replace(
        _derived(base, EXPORT),
        extends=None,
        image="",  # no image holds it
        requirements=requirements,
        optimize=None,
        removal=Removal(),
        bytecode=BY_RULE,
        agrees=agrees,
        exports=True,
    )


def _derived(base: BaseDraft, end: str) -> BaseDraft:
    # Of a variant, `ml-cuda-onnx` is to `ml-onnx` what `ml-cuda` is to `ml`.
    return replace(base, name=derived(base.name, end), entry=derived(base.entry, end))


def parents_first(bases: Iterable[BaseDraft]) -> tuple[BaseDraft, ...]:
    """Each base after those that it extends or agrees with; otherwise in the same order."""
    by_name = {base.name: base for base in bases}
    ordered: dict[str, BaseDraft] = {}

    def visit(base: BaseDraft) -> None:
        for parent in filter(None, (base.extends, *base.agrees)):
            visit(by_name[parent])
        ordered.setdefault(base.name, base)

    for base in by_name.values():
        visit(base)
    return tuple(ordered.values())
