"""The fleet as values: the manifest resolved, every name and default decided once. Pure.

Paths are POSIX, relative to the repository root. Mappings are tuples of pairs. An empty tuple or
text means "has none".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from slimbake.config.model import (
    Budget,
    Bytecode,
    CompressionType,
    Manifest,
    OwnStage,
    Pairs,
    Parity,
    Precision,
    Removal,
    Requirements,
    ServiceSettings,
    StartCheck,
)
from slimbake.config.naming import (
    CPU,
    PROGRAMS,
    from_image,
    from_runtime,
    of_python,
)
from slimbake.fleet.interpreter import Interpreter
from slimbake.host.sources import Source

Platforms = tuple[str, ...]
Kind = Literal["base", "export", "service", "weights", "wheel"]


@dataclass(frozen=True, slots=True)
class Python:
    """One version of Python of a fleet, and what is called after it."""

    version: str  # 3.13
    default: str  # the fleet's own, which no name says

    @property
    def program(self) -> str:
        """What starts it in the images of `image` and `builder`."""
        return f"python{self.version}"

    @property
    def image(self) -> str:
        """The external that its runtime is made from."""
        return f"python{self.suffix}"

    @property
    def builder(self) -> str:
        """The external in which its layers are made."""
        return f"builder{self.suffix}"

    @property
    def runtime(self) -> str:
        """The target that its images start from."""
        return self.named("runtime")

    @property
    def suffix(self) -> str:
        """The end of the names of its images and files: `-3.13`."""
        if self.version == self.default:
            return ""
        return f"-{self.version}"

    def named(self, name: str) -> str:
        """The name of a target, or of a lock, that there is once for each version."""
        return of_python(name, self.version, self.default)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What images start from: slimbake's own of one version of Python, or an image of the user's
    that has one.
    """

    python: Python
    image: str = ""  # the user's, as `from` names it; "" = slimbake's own

    @property
    def name(self) -> str:
        """Its target."""
        if self.image:
            return self.python.named(from_runtime(self.image))
        return self.python.runtime

    @property
    def external(self) -> str:
        """The external that it is made from."""
        if self.image:
            return self.python.named(from_image(self.image))
        return self.python.image

    @property
    def suffix(self) -> str:
        """What tells its tag from that of the fleet's own."""
        name = self.name.removeprefix("runtime_")
        return f"-{name}" if self.image else self.python.suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is locked together: the packages of a base or of a service, a package with weights, or
    what builds a wheel.

    Its name is that of its target: nothing else puts one together, or takes one apart.
    """

    name: str
    kind: Kind  # `export`: a base that models are exported on, which no image holds
    lock: str  # the name of its lock: of exported weights, that of those they are made from
    chain: tuple[Scope, ...] = ()  # the bases below, bottom first
    services: tuple[str, ...] = ()  # whose images hold it
    python: Python
    image: str = ""  # of the user's, that its images start from; "" = slimbake's own runtime
    platforms: Platforms = ()  # what it is built for, sorted
    agrees: tuple[Scope, ...] = ()  # beside those below, whose versions it takes, too
    asks: Requirements
    torch: str = CPU  # the build of torch: "cpu", "cu128"; "cuda" = as the index has it
    onnx: bool = False  # of a service: its model runs without torch

    @property
    def closure(self) -> tuple[Scope, ...]:
        """The bases below it and itself, bottom first."""
        return (*self.chain, self)

    @property
    def runtime(self) -> Runtime:
        """What its images start from."""
        return Runtime(self.python, self.image)

    @property
    def system_lock(self) -> str:
        """The name of the lock of its Debian packages."""
        return f"{self.name}.system"

    @property
    def installs(self) -> bool:
        """Whether anything is asked for by it."""
        return bool(self.asks.specs or self.asks.packages)


@dataclass(frozen=True, slots=True)
class External:
    """An image that comes from outside."""

    name: str  # python, python-3.13, builder, uv
    image: str  # as the manifest has it, or the default
    digest: str = ""  # as its lock pins it
    version: str = ""  # of an image of `from`: of the Python that it has to have
    interpreter: Interpreter | None = None  # and that one, as its lock has it

    @property
    def reference(self) -> str:
        """The image, with its digest where that is known."""
        if self.digest and "@" not in self.image:
            return f"{self.image}@{self.digest}"
        return self.image


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that is built as a wheel once: of the repository, or one that has no wheel."""

    name: str
    path: str  # in the repository; "" = it has `source`
    scope: Scope  # it asks for what builds the wheel
    source: Source | None = None  # of what no index has as a wheel
    system: tuple[str, ...] = ()  # Debian packages that build it: a compiler, headers


@dataclass(frozen=True, slots=True)
class Export:
    """That weights are those of torch as a graph for ONNX Runtime."""

    base: Scope  # on which they are exported
    precision: Precision


@dataclass(frozen=True, slots=True)
class Weights:
    """Distinct weights: a model's files, as they came or exported."""

    name: str
    scope: Scope
    source: Literal["package", "path"]
    value: str
    export: Export | None = None
    origin: Weights | None = None  # what they are exported from

    @property
    def shared(self) -> bool:
        """Whether several services hold them."""
        return len(self.scope.services) > 1


@dataclass(frozen=True, slots=True)
class Compression:
    """How scopes are compressed; the level is that of its type."""

    type: CompressionType
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Packages that several services share by the manifest's decision, and an image of them."""

    name: str
    scope: Scope
    entry: str  # the name of the manifest's entry that it was made from
    variant: str  # which of its variants, "" where it has none
    copied: bool  # it is not the first variant
    packages: tuple[Package, ...]  # that it installs: what bases below it have is left out
    system: tuple[str, ...]
    optimize: bool
    removal: Removal
    bytecode: Bytecode

    @property
    def place(self) -> str:
        """The key path of its entry in the manifest."""
        return f"bases.{self.entry}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(ServiceSettings):
    """One image."""

    name: str
    scope: Scope
    entry: str
    variant: str
    copied: bool
    bases: tuple[Base, ...]  # bottom first
    packages: tuple[Package, ...]
    context: str  # without code of its own: PROGRAMS, of which nothing is sent
    env: Pairs
    weights: Weights | None
    mounts: bool  # its containers mount them as an image; else its own image holds them
    inference: Literal["torch", "onnx"]
    precision: Precision | None
    parity: Parity | None
    start: StartCheck
    budget: Budget
    platforms: Platforms  # () = what the fleet is built for
    system: tuple[str, ...]
    optimize: bool

    @property
    def place(self) -> str:
        """The key path of its entry in the manifest."""
        return f"services.{self.entry}"

    @property
    def base(self) -> Base | None:
        """The base right below it; None where it has none."""
        return self.bases[-1] if self.bases else None

    @property
    def has_code(self) -> bool:
        """Whether its image holds a folder of the repository, beside packages."""
        return self.context != PROGRAMS

    @property
    def checks(self) -> tuple[str, ...]:
        """The files that only check its image, relative to the root."""
        parity, texts = (self.parity.check, self.parity.texts) if self.parity else ("", "")
        reference = self.reference or ("reference.json" if self.smoke else "")
        named = (self.smoke, self.verify, reference, parity)
        return (*(self.below(file) for file in named if file), *((texts,) if texts else ()))

    def below(self, path: str) -> str:
        """A path that is relative to the context, relative to the root."""
        if self.context == ".":
            return path
        return f"{self.context}/{path}"

    @property
    def laid(self) -> Weights | None:
        """The weights that its image holds."""
        return None if self.mounts else self.weights


def installs(owner: Base | Service) -> bool:
    """Whether its lock may name packages: those that it asks for, or that its own packages need."""
    return owner.scope.installs or bool(owner.packages)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All of it. Everything after this stage is made from these values, and from locks."""

    manifest: Manifest
    project: str
    pythons: tuple[Python, ...]  # in use, the fleet's own first
    registry: str  # the project where the manifest names none: nothing is pushed there
    platforms: Platforms  # what services are built for that say nothing, in the manifest's order
    externals: tuple[External, ...]
    compression: Compression
    bases: tuple[Base, ...]  # each after those below it
    weights: tuple[Weights, ...]  # each export after what it is made from
    packages: tuple[Package, ...]  # by name
    services: tuple[Service, ...]

    @property
    def python(self) -> Python:
        """Its own, that of all that say no other."""
        return self.pythons[0]

    @cached_property
    def runtimes(self) -> tuple[Runtime, ...]:
        """What images start from: slimbake's own for each Python, then images of the user's."""
        own = (Runtime(python) for python in self.pythons)
        owners: tuple[Base | Service, ...] = (*self.bases, *self.services)
        return tuple(dict.fromkeys((*own, *(owner.scope.runtime for owner in owners))))

    def interpreter(self, runtime: Runtime) -> Interpreter | None:
        """The Python of an image of the user's; None where no lock has it, and of slimbake's own."""
        if runtime.image:
            return self.external(runtime.external).interpreter
        return None

    @property
    def root(self) -> Path:
        """The repository: the manifest's folder."""
        return self.manifest.file.parent

    @cached_property
    def scopes(self) -> dict[str, Scope]:
        """Every scope by its name: bases, services, weights, wheels."""
        bases, services = [b.scope for b in self.bases], [s.scope for s in self.services]
        others = [*(w.scope for w in self.weights), *(p.scope for p in self.packages)]
        return {scope.name: scope for scope in (*bases, *services, *others)}

    def service(self, name: str) -> Service:
        """The service of that name; KeyError where there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Service]:
        return {service.name: service for service in self.services}

    def external(self, name: str) -> External:
        """The external of that name; KeyError where there is none."""
        return {external.name: external for external in self.externals}[name]

    @cached_property
    def stages(self) -> tuple[OwnStage, ...]:
        """The stages of Dockerfiles of the user's own that services take files of, each once."""
        copies = (each for service in self.services for each in service.copy)
        return tuple(dict.fromkeys(each.stage for each in copies if each.stage))

    @cached_property
    def mounted(self) -> frozenset[str]:
        """The scopes of the weights that are images of their own."""
        return frozenset(s.weights.scope.name for s in self.services if s.weights and s.mounts)

    @cached_property
    def removes(self) -> frozenset[str]:
        """The scopes in whose image the manifest removes something, by name."""
        every: tuple[Base | Service, ...] = (*self.bases, *self.services)
        removing = {owner.scope.name for owner in every if owner.removal.remove}
        return frozenset(
            owner.scope.name
            for owner in every
            if not removing.isdisjoint(scope.name for scope in owner.scope.closure)
        )

    @cached_property
    def every_platform(self) -> Platforms:
        """What anything of the fleet is built for, sorted."""
        platforms = (platform for service in self.services for platform in service.scope.platforms)
        return tuple(sorted({*self.manifest.platforms, *platforms}))
