"""Bases and services before their scopes are known: one for each variant, and what exports need.

The first variant of an entry keeps the entry's name; the others are copies, named after the entry
and the variant.

A base `ml` with services that run on ONNX Runtime gives two more bases. These services use `ml-onnx`
in place of `ml`. Models are exported on `ml-export`, which no image holds. Both take the versions of
`ml`, since one version of ONNX Runtime, with one of numpy, has to write a graph and run it.
`ml-export` is built on the runtime alone: what exports do not need can change without a new export,
and no rule has removed anything that they need.

Pure: it starts no process and reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

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
    joined,
)
from slimbake.config.naming import CPU, EXPORT, ONNX, derived

# The packages that run a graph, and those that write one beside torch.
RUNS = ("numpy", "onnxruntime", "tokenizers")
WRITES = (
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxscript",
    "safetensors",
    "tokenizers",
    "transformers",
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
        distinct: dict[WeightsDraft, None] = {}
        for service in self.services:
            if service.weights:
                distinct[service.weights.origin] = None
                distinct[service.weights] = None
        return tuple(distinct)


def drafts(manifest: Manifest) -> Drafts:
    """Return a base or service for each variant, and the bases that exports need.

    Services and bases above a base with variants have the same variants. A variant with another
    Python or another build of torch than its base gets its own copy of that base, and of those
    below it; any other variant uses the very same bases.
    """
    return _with_exports(_Expansion(manifest).drafts())


Entry = BaseEntry | ServiceEntry


def _variant_names(chain: Sequence[Entry]) -> tuple[str, ...]:
    """The names of the variants of the last of a chain, root first.

    The lowest entry that has variants decides for all above it.
    """
    for entry in chain:
        if entry.variants:
            return tuple(variant.name for variant in entry.variants)
    return ()


def _variant_entry(entry: Entry, name: str) -> VariantEntry:
    """The variant of an entry; one that says nothing where the entry has none of that name."""
    for variant in entry.variants:
        if variant.name == name:
            return variant
    return VariantEntry(name)


class _Expansion:
    """Bases and services of a manifest, expanded to their variants."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._bases = {base.name: base for base in manifest.bases}
        self._torch_of_root = self._default_torch()
        # Copies of a base, by the name of its entry and the variant.
        self._copies: dict[str, dict[str, BaseDraft]] = {name: {} for name in self._bases}

    def drafts(self) -> Drafts:
        """Expand bases first: services may add copies of them."""
        originals = [self._original(base) for base in self._manifest.bases]
        services: list[ServiceDraft] = []
        for entry in self._manifest.services:
            services += self._variants_of_service(entry)
        bases: list[BaseDraft] = []
        for base in originals:
            bases += [base, *self._copies[base.name].values()]
        return Drafts(tuple(bases), tuple(services))

    def _default_torch(self) -> dict[str, str]:
        """The build of torch of the first variants, by the root of their bases."""
        torch_of_root: dict[str, str] = {}
        for base in self._manifest.bases:
            chain = self._chain(base.name)
            torch = base.torch
            variants = _variant_names(chain)
            if variants:
                torch = _variant_entry(base, variants[0]).torch or torch
            if torch:
                torch_of_root.setdefault(chain[0].name, torch)
        return torch_of_root

    def _chain(self, name: str | None) -> tuple[BaseEntry, ...]:
        """A base and all bases below it, root first; () for None."""
        chain: list[BaseEntry] = []
        while name:
            chain.append(self._bases[name])
            name = chain[-1].extends
        return tuple(reversed(chain))

    def _original(self, base: BaseEntry) -> BaseDraft:
        """The first variant of a base, under the base's own name. Its others become copies."""
        chain = self._chain(base.name)
        first, *others = _variant_names(chain) or ("",)
        for variant in others:
            self._copy(chain, variant)
        python = self._python(chain, first)
        return _base_draft(base, _variant_entry(base, first), python, self._image(chain))

    def _copy(
        self, chain: Sequence[BaseEntry], variant: str, service: VariantEntry | None = None
    ) -> str:
        """Copy the last base of a chain for a variant, and those below it that differ too.

        `service` is the variant of the service that the copy is for: its torch and its Python
        decide before those of the bases. Return the name of the copy.
        """
        deciding = [_variant_entry(base, variant) for base in chain]
        if service:
            deciding.insert(0, service)
        torch = next((entry.torch for entry in deciding if entry.torch), None)
        python = self._python(chain, variant)
        if service and service.python:
            python = service.python

        differs_from_root = self._differs(chain, torch, python)
        below = None
        for base in chain:
            has_variants = _variant_names(self._chain(base.name))
            if not differs_from_root and not has_variants:
                below = base.name
                continue
            name = derived(base.name, variant)
            variant_entry = _variant_entry(base, variant)
            draft = _base_draft(base, variant_entry, python, self._image(chain))
            draft = replace(
                draft, name=name, extends=below, torch=torch or draft.torch, copied=True
            )
            self._copies[base.name].setdefault(variant, draft)
            below = name
        return below or ""

    def _differs(self, chain: Sequence[BaseEntry], torch: str | None, python: str) -> bool:
        """Whether a variant has another torch or Python than the first variant of its bases."""
        first_torch = self._torch_of_root.get(chain[0].name, CPU)
        first_variant = next(iter(_variant_names(chain)), "")
        first_python = self._python(chain, first_variant)
        return (torch or first_torch, python) != (first_torch, first_python)

    def _python(self, chain: Sequence[Entry], variant: str) -> str:
        """The Python of the last of a chain, root first.

        The nearest entry that names one decides, its variant first; else the fleet.
        """
        for entry in reversed(chain):
            python = _variant_entry(entry, variant).python or entry.python
            if python:
                return python
        return self._manifest.python

    def _image(self, chain: Sequence[Entry]) -> str:
        """The image of the user's that a chain starts from; only one of its entries names one."""
        return next((entry.image for entry in chain if entry.image), self._manifest.image)

    def _variants_of_service(self, entry: ServiceEntry) -> list[ServiceDraft]:
        chain = self._chain(entry.base)
        first, *others = _variant_names((*chain, entry)) or ("",)
        services = [self._service(entry, chain, first, is_first=True)]
        for variant in others:
            services.append(self._service(entry, chain, variant, is_first=False))
        return services

    def _service(
        self, entry: ServiceEntry, chain: Sequence[BaseEntry], variant: str, *, is_first: bool
    ) -> ServiceDraft:
        variant_entry = _variant_entry(entry, variant)
        python = self._python((*chain, entry), variant)
        requirements = entry.requirements
        if entry.variants:
            added = joined([entry.requirements, variant_entry.requirements])
            # The files of all variants: they are no code of this one either.
            requirements = replace(added, files=_requirements_files(entry))
        weights = None
        if entry.weights:
            # Weights in a layer and in an image of their own are the same files.
            weights = WeightsDraft(replace(entry.weights, mount="layer"))
        return ServiceDraft(
            entry=entry,
            name=entry.name if is_first else derived(entry.name, variant),
            base=self._base_of_service(entry, chain, variant_entry, python, is_first=is_first),
            python=python,
            image=self._image((*chain, entry)),
            requirements=requirements,
            env=tuple((dict(entry.env) | dict(variant_entry.env)).items()),
            platforms=variant_entry.platforms or entry.platforms,
            budget=_budget(entry.budget, variant_entry.budget),
            torch=variant_entry.torch or entry.torch,
            inference=variant_entry.inference or entry.inference or "torch",
            precision=variant_entry.precision or entry.precision,
            parity=_parity(entry, variant_entry),
            variant=variant,
            copied=not is_first,
            weights=weights,
        )

    def _base_of_service(
        self,
        entry: ServiceEntry,
        chain: Sequence[BaseEntry],
        variant_entry: VariantEntry,
        python: str,
        *,
        is_first: bool,
    ) -> str | None:
        """The name of the base of a variant of a service, copied where it has to differ."""
        if not entry.base:
            return None
        if _variant_names(chain):
            if is_first:
                return entry.base
            return derived(entry.base, variant_entry.name)
        if self._differs(chain, variant_entry.torch, python):
            return self._copy(chain, variant_entry.name, variant_entry)
        return entry.base


def _base_draft(base: BaseEntry, variant_entry: VariantEntry, python: str, image: str) -> BaseDraft:
    return BaseDraft(
        name=base.name,
        entry=base.name,
        extends=base.extends,
        python=python,
        image=image,
        requirements=joined([base.requirements, variant_entry.requirements]),
        system=base.system,
        wheels=base.wheels,
        torch=variant_entry.torch or base.torch,
        variant=variant_entry.name,
        optimize=base.optimize,
        removal=base.removal,
        bytecode=base.bytecode,
    )


def _budget(budget: Budget, variant_budget: Budget) -> Budget:
    """The budget of a variant: limit by limit its own, or else the service's."""
    limits = {}
    for field in fields(Budget):
        limits[field.name] = getattr(variant_budget, field.name) or getattr(budget, field.name)
    return Budget(**limits)


def _requirements_files(entry: ServiceEntry) -> tuple[str, ...]:
    """The requirements files of a service and of all its variants."""
    files = dict.fromkeys(entry.requirements.files)
    for variant in entry.variants:
        files |= dict.fromkeys(variant.requirements.files)
    return tuple(files)


def _parity(entry: ServiceEntry, variant_entry: VariantEntry) -> Parity | None:
    """The parity of a variant: limit by limit its own, or else the service's.

    Where only another variant has a parity check, the result names that check but no texts: the
    file of the check is no code of this variant either.
    """
    own = [parity for parity in (variant_entry.parity, entry.parity) if parity]
    others = [variant.parity for variant in entry.variants if variant.parity]
    check = next((parity.check for parity in (*own, *others) if parity.check), "")
    if not check:
        return None
    texts = next((parity.texts for parity in own if parity.texts), "")
    limits: dict[str, float] = {}
    for parity in reversed(own):
        limits |= dict(parity.limits)
    return Parity(check, texts, tuple(limits.items()))


def _with_exports(written: Drafts) -> Drafts:
    """Add the bases and weights that exports need.

    A base of the manifest that has the name of one that would be added, such as `ml-onnx`, is
    taken as it is.
    """
    base_of = {base.name: base for base in written.bases}
    added: dict[str, dict[str, BaseDraft]] = {name: {} for name in base_of}
    services = []
    for service in written.services:
        if service.inference == ONNX and service.base and service.weights:
            base = base_of[service.base]
            runs_on, exported_on = derived(base.name, ONNX), derived(base.name, EXPORT)
            agrees: tuple[str, ...] = (base.name,)
            if runs_on not in base_of:
                added[base.name].setdefault(runs_on, _running(base))
                agrees = (base.name, runs_on)
            added[base.name].setdefault(exported_on, _writing(base, agrees))
            precision = service.precision or "fp32"
            weights = replace(service.weights, base=exported_on, precision=precision)
            service = replace(service, base=runs_on, weights=weights)
        services.append(service)
    bases: list[BaseDraft] = []
    for base in written.bases:
        bases += [base, *added[base.name].values()]
    return Drafts(tuple(bases), tuple(services))


def _running(base: BaseDraft) -> BaseDraft:
    """The base that services which run on ONNX Runtime use in place of `base`."""
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
        for parent in (base.extends, *base.agrees):
            if parent:
                visit(by_name[parent])
        ordered.setdefault(base.name, base)

    for base in by_name.values():
        visit(base)
    return tuple(ordered.values())
