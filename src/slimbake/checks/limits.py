"""What an image holds against what its workload needs, as values. Bytes; what is unmeasured is
None, never 0. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from slimbake.images.views import is_licence

Kind = Literal["prune", "strip", "other runtime", "quantise"]

# Of an image, below which an action is not worth naming.
WORTH = 0.02
# Of what is opened, what the shared libraries of one package have to be to be called the runtime of
# its model.
MOSTLY = 0.5
INT8 = 0.75  # of fp32, what int8 saves

_PYC = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<module>[^/]+)\.cpython-\d+(\.opt-\d)?\.pyc")
_METADATA = re.compile(
    r"(^|/)[^/]+\.(dist|egg)-info/|^var/lib/dpkg/|(^|/)_slimbake[^/]*$|/ledger/[^/]+\.json\.gz$"
)
_LIBRARY = re.compile(r".*/(?:site|dist)-packages/(?P<package>[^/]+)/.*\.so(\.[^/]*)?")


@dataclass(frozen=True, slots=True)
class ObservedFile:
    """A file of an image that its workload opens, or of which something could be stripped or be
    smaller.
    """

    path: str
    bytes: int
    opened: bool
    touched: int  # bytes of pages
    strippable: int  # symbols and debugging sections
    fp32: int  # of weights


@dataclass(frozen=True, slots=True)
class Observed:
    """What a service's workload did with the files of its image."""

    files: tuple[ObservedFile, ...]
    resident: int  # bytes of pages by mincore alone, readahead included
    disturbed: int  # bytes of pages that other processes read meanwhile, or kept from being evicted

    @property
    def opened(self) -> frozenset[str]:
        return frozenset(file.path for file in self.files if file.opened)


@dataclass(frozen=True, slots=True)
class Laid:
    """A layer by its digest, and the bytes of each of its files by path."""

    diff: str
    files: Mapping[str, int]
    runtime: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """A kind of action that is left, and the bytes that it is about."""

    kind: Kind
    bytes: int
    what: str = ""  # the package whose place another runtime would take

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """One image's bytes, and what it could not go below."""

    service: str
    digest: str
    image: int  # uncompressed
    opened: int | None
    # of the smallest set that was found to work, by a search or as the image itself
    smallest: int | None
    touched: int | None  # of pages
    resident: int | None
    disturbed: int | None
    above: int  # above the runtime
    # of these, what the workloads of all services on the same layers open, licences, metadata
    used: int | None
    left: tuple[Action, ...] | None

    @property
    def ratio(self) -> float | None:
        """What is above the runtime, to what of it is used."""
        return times(self.above, self.used)

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes, and the image's ratio to each; null where unmeasured."""
        found = asdict(self)
        for name in ("opened", "smallest", "touched"):
            found[f"{name}_ratio"] = times(self.image, found[name])
        return {**found, "used_ratio": self.ratio}


def times(whole: int, part: int | None) -> float | None:
    """How many times a part goes into a whole; None where that is not known, or nothing."""
    return whole / part if part else None


def beside_prefix(layers: Iterable[Laid]) -> int:
    """The bytes of an image that are no package's: the runtime, code, weights."""
    return sum(
        n
        for layer in layers
        for path, n in layer.files.items()
        if not path.startswith("opt/slimbake/")
    )


def limits(
    images: Mapping[str, tuple[str, tuple[Laid, ...]]],
    observed: Mapping[str, Observed],
    smallest: Mapping[str, int],
) -> tuple[Limits, ...]:
    """What each image could not go below.

    `images`: service -> digest and layers, of the whole fleet: what lies in a layer is used if any
    service on it opens it. A service that was not observed leaves the use of all its layers
    unmeasured.
    """
    opened: dict[str, frozenset[str] | None] = {}
    for service, (_, layers) in images.items():
        own = observed[service].opened if service in observed else None
        for layer in layers:
            before = opened.get(layer.diff, frozenset())
            opened[layer.diff] = None if own is None or before is None else before | own
    return tuple(
        _limits(name, *image, observed.get(name), opened, smallest)
        for name, image in images.items()
    )


def is_used(path: str, opened: frozenset[str]) -> bool:
    """Whether a file is opened; licences and metadata are used, and so is the source of bytecode
    that is opened.
    """
    return path in opened or is_licence(path) or _METADATA.search(path) is not None


def with_sources(opened: Iterable[str]) -> frozenset[str]:
    """These files, and the modules whose bytecode is among them: Python loads it only while they
    are there.
    """
    paths = frozenset(opened)
    return paths | {
        f"{match['folder']}{match['module']}.py"
        for path in paths
        if (match := _PYC.fullmatch(path))
    }


def _limits(
    service: str,
    digest: str,
    layers: tuple[Laid, ...],
    found: Observed | None,
    opened: Mapping[str, frozenset[str] | None],
    smallest: Mapping[str, int],
) -> Limits:
    image = sum(sum(layer.files.values()) for layer in layers)
    upper = [layer for layer in layers if not layer.runtime]
    above = sum(sum(layer.files.values()) for layer in upper)
    used: int | None = 0
    for layer in upper:
        by = opened[layer.diff]
        used = None if by is None or used is None else used + _used(layer, with_sources(by))
    read = None if found is None else sum(file.bytes for file in found.files if file.opened)
    touched = None if found is None else sum(file.touched for file in found.files)
    # An image whose workload was observed works itself.
    worked = [
        size for size in (smallest.get(service), image if found else None) if size is not None
    ]
    left = None if found is None else _left(found, image, above if used is None else above - used)
    return Limits(
        service,
        digest,
        image,
        read,
        min(worked, default=None),
        touched,
        found.resident if found else None,
        found.disturbed if found else None,
        above,
        used,
        left,
    )


def _used(layer: Laid, opened: frozenset[str]) -> int:
    return sum(size for path, size in layer.files.items() if is_used(path, opened))


def _left(found: Observed, image: int, unused: int) -> tuple[Action, ...]:
    actions = [
        Action("prune", unused),
        Action("strip", sum(file.strippable for file in found.files)),
        *_other_runtime(found),
        Action("quantise", int(INT8 * sum(file.fp32 for file in found.files))),
    ]
    return tuple(action for action in actions if action.bytes >= WORTH * image)


def _other_runtime(found: Observed) -> Iterable[Action]:
    """Where most of what is opened are one package's shared libraries, and most of their pages are
    never touched.
    """
    groups: dict[str, list[ObservedFile]] = {}
    for file in found.files:
        if file.opened and (match := _LIBRARY.fullmatch(file.path)):
            groups.setdefault(match["package"], []).append(file)
    opened = sum(file.bytes for file in found.files if file.opened)
    for package, files in groups.items():
        size, touched = sum(file.bytes for file in files), sum(file.touched for file in files)
        if size >= MOSTLY * opened and touched < MOSTLY * size:
            yield Action("other runtime", size - touched, package)
