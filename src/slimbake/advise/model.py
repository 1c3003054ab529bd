"""What is known of a fleet, and what there is to do about its bytes, as values. What is unmeasured
is None. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from slimbake.catalogue.model import Pass
from slimbake.checks.limits import WORTH, Limits
from slimbake.config.document import KeyPath, Places
from slimbake.config.naming import ONNX, base_layer
from slimbake.config.report import dotted_path
from slimbake.evidence.model import Finding
from slimbake.fleet.model import Compression
from slimbake.images.sizes import total
from slimbake.lock.model import Pin, Sizes

T = TypeVar("T")
MOST = 20  # names of services that one advice lists: all of a layer's would be as many, each time
RUNTIME = "onnxruntime"

Kind = Literal["prune", "share", "swap the runtime", "quantise", "other base", "compression"]
Bound = Literal["", "at least", "at most", "about"]
Unit = Literal[
    "uncompressed", "compressed", "on a host", "on a registry", "pulled by a typical update"
]


@dataclass(frozen=True, slots=True)
class Saving:
    """Bytes that an action saves; None where nothing that was measured tells them."""

    unit: Unit
    bytes: int | None
    bound: Bound = ""  # "" = measured, as it is; "about" = an estimate


@dataclass(frozen=True, slots=True)
class AdviceStep:
    """What does it: a command, or a place of the manifest and what is to stand there."""

    command: str = ""
    place: str = ""  # services.yaml:41
    key: str = ""  # services.embedding; "" = the whole
    line: str = ""  # inference: onnx; "" where no single line does it
    note: str = ""  # what to do there, in words

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that is left to do."""

    kind: Kind
    what: str
    saves: tuple[Saving, ...]  # the first is what it is ordered by
    # of the savings: which measurement, which files; of what is unmeasured, what would measure it
    source: str
    steps: tuple[AdviceStep, ...]
    costs: tuple[str, ...]
    # other services whose images change with it: the first MOST, and how many beside them
    also: tuple[str, ...] = ()
    others: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "what": self.what,
            "saves": [asdict(each) for each in self.saves],
            "source": self.source,
            "steps": [each.as_json() for each in self.steps],
            "costs": list(self.costs),
            "also": list(self.also),
            **({"others": self.others} if self.others else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """All that is left to do for one image, or for the fleet as a whole (`service` is ""): what
    saves most first.
    """

    service: str
    uncompressed: int | None = None
    compressed: int | None = None
    advice: tuple[Advice, ...] = ()
    unmeasured: tuple[str, ...] = ()  # what could not be judged, and the command that measures it
    warnings: tuple[str, ...] = ()  # of its checks, when they last ran

    def as_json(self) -> dict[str, Any]:
        return {
            "uncompressed": self.uncompressed,
            "compressed": self.compressed,
            "advice": [each.as_json() for each in self.advice],
            "unmeasured": list(self.unmeasured),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class WeighedPart:
    """One layer of an image, under the name of the target that lays it ("" where that is not
    known). Bytes.
    """

    target: str
    diff: str
    uncompressed: int
    compressed: int | None = None
    gzip: int | None = None
    zstd: int | None = None


@dataclass(frozen=True, slots=True)
class WeighedImage:
    """What an image weighs, and the file that says so."""

    digest: str
    parts: tuple[WeighedPart, ...]
    source: str

    @property
    def uncompressed(self) -> int:
        return sum(part.uncompressed for part in self.parts)

    @property
    def compressed(self) -> int | None:
        return total(part.compressed for part in self.parts)

    def of(self, target: str) -> WeighedPart | None:
        """All that a target lays in this image, as one part; None where it lays nothing that is
        known.
        """
        found = [part for part in self.parts if part.target == target]
        if not found:
            return None
        size = sum(part.uncompressed for part in found)
        return WeighedPart(target, "", size, total(part.compressed for part in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """One service, or one variant of it, and what is known of its image."""

    service: str  # embedding-onnx
    entry: str  # embedding: its key in the manifest
    variant: str = ""
    bases: tuple[str, ...] = ()  # that it stands on, the nearest first
    inference: str = "torch"
    precision: str = "fp32"
    parity: tuple[tuple[str, float], ...] = ()  # what its answers are held to; () = nothing
    weights: str = ""  # the target that lays them, "" where it has none
    runtime: str = ""  # the nearest base that holds torch for CPUs, "" where none does
    image: WeighedImage | None = None
    limits: Limits | None = None
    startup: float | None = None  # seconds until it listens
    rss: int | None = None
    warnings: tuple[str, ...] = ()  # of its checks, when they last ran
    # module -> the files of its code with it
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Its layers of packages, as their locks are called."""
        return (*map(base_layer, self.bases), self.service)


@dataclass(frozen=True, slots=True)
class TriedPass:
    """A pass that applies to a layer, and what is known of it there."""

    carries: Pass
    finding: Finding | None = None
    stale: str = ""  # why the finding does not answer any more
    left_out: KeyPath = ()  # where the manifest leaves it out
    renewals: tuple[str, ...] = ("slimbake prove --stale",)  # the commands that make it answer


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """A layer of packages, and the passes that apply to it."""

    name: str  # base-ml
    services: tuple[str, ...]  # whose checks it has to hold before
    unchecked: tuple[str, ...] = ()  # of these, without a smoke
    off: KeyPath = ()  # where the manifest turns all passes off
    passes: tuple[TriedPass, ...] = ()


@dataclass(frozen=True, slots=True)
class Doubled:
    """A package or weights in more than one place of a host."""

    key: str
    host: int  # bytes of one copy; estimated from wheels where packages were not measured
    copies: int
    services: tuple[str, ...]
    base: str  # what all of them stand on, "" for nothing


@dataclass(frozen=True, slots=True)
class Relaid:
    """What the planner's layers would change for the fleet, in bytes; less is negative."""

    host: int
    registry: int
    pulled: int  # by a typical update
    before: tuple[int, int, int]  # the three as they are
    layers: tuple[int, int]  # of the image that has most, as they are and as they would be


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that advice is made of.

    What is looked up for each service is looked up in a mapping: a fleet has thousands.
    """

    file: str  # the manifest's name
    places: Places
    subjects: tuple[ServiceFacts, ...]
    compression: Compression
    layers: tuple[LayerFacts, ...] = ()
    # base -> the one that it extends, "" for none
    parents: Mapping[str, str] = field(default_factory=dict)
    # base -> the packages that it asks for
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pins: Mapping[str, tuple[Pin, ...]] = field(default_factory=dict)  # lock -> its packages
    packages: Sizes = field(default_factory=dict)  # measured
    doubled: tuple[Doubled, ...] = ()
    relaid: Relaid | None = None
    unlaid: str = ""  # why nothing is known of what lies in several places
    keys: frozenset[KeyPath] = frozenset()  # that the manifest has

    def at(self, path: KeyPath, line: str, note: str = "") -> AdviceStep:
        """A place of the manifest: a key, and the line that is to stand there or below it."""
        return AdviceStep(
            place=f"{self.file}:{self.places.key(path).line}",
            key=dotted_path(path),
            line=line,
            note=note,
        )

    def subject(self, service: str) -> ServiceFacts:
        """KeyError where there is none."""
        return self._by_service[service]

    @cached_property
    def _by_service(self) -> dict[str, ServiceFacts]:
        return {each.service: each for each in self.subjects}

    def variants(self, subject: ServiceFacts) -> tuple[ServiceFacts, ...]:
        """The other variants of the same entry."""
        return tuple(each for each in self._by_entry[subject.entry] if each is not subject)

    @cached_property
    def _by_entry(self) -> dict[str, list[ServiceFacts]]:
        return _grouped((each.entry, each) for each in self.subjects)

    def on(self, base: str) -> tuple[str, ...]:
        """The services that stand on a base."""
        return tuple(self._on.get(base, ()))

    @cached_property
    def _on(self) -> dict[str, list[str]]:
        return _grouped((base, each.service) for each in self.subjects for base in each.bases)

    def layers_of(self, subject: ServiceFacts) -> Iterator[LayerFacts]:
        """The layers of packages in its image of which something is known, bottom first."""
        known = (self._by_layer.get(name) for name in reversed(subject.layers[:-1]))
        return (each for each in (*known, self._by_layer.get(subject.layers[-1])) if each)

    @cached_property
    def _by_layer(self) -> dict[str, LayerFacts]:
        return {each.name: each for each in self.layers}

    @cached_property
    def exported(self) -> dict[str, ServiceFacts]:
        """By target: the first service that runs with onnx and whose measured image holds it."""
        running = (each for each in self.subjects if each.image and each.inference == ONNX)
        found: dict[str, ServiceFacts] = {}
        for each in running:
            for part in each.image.parts if each.image else ():
                found.setdefault(part.target, each)
        return found

    @cached_property
    def onnxruntime(self) -> Pin | None:
        """What the locks have of it; None where none has it."""
        every = (pin for pins in self.pins.values() for pin in pins)
        return next((pin for pin in every if pin.name == RUNTIME), None)


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def worth(size: int | None, subject: ServiceFacts) -> bool:
    """Whether bytes are worth naming beside an image; what is unmeasured is."""
    return size is None or subject.image is None or size >= WORTH * subject.image.uncompressed
