"""What a fleet carries without need: whiteouts, contents that lie in two layers, bytes above the
lower bound. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slimbake.images.detail import Survey

_LICENCE = re.compile(
    r"(^|/)(common-licenses|licenses?)/|(^|/)(licen[cs]e|copying|notice|copyright)[^/]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Copy:
    layer: str  # digest of the layer's tar
    path: str
    images: tuple[str, ...]  # that stand on the layer


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file's content that lies in more than one layer."""

    digest: str
    uncompressed: int  # of one copy
    copies: tuple[Copy, ...]
    reason: str  # why it cannot be otherwise as the fleet is; "" = it should not be

    @property
    def waste(self) -> int:
        """Bytes beyond one copy for each layer; a layer with two copies is the package's own
        affair.
        """
        return self.uncompressed * (len({copy.layer for copy in self.copies}) - 1)


@dataclass(frozen=True, slots=True)
class Distance:
    """Bytes now, and the lower bound."""

    now: int | None
    bound: int

    @property
    def above(self) -> float | None:
        """By how much it is above the bound: 0.03 is 3 %."""
        return None if self.now is None or not self.bound else self.now / self.bound - 1


@dataclass(frozen=True, slots=True)
class Findings:
    whiteouts: tuple[Copy, ...]
    duplicates: tuple[Duplicate, ...]  # the largest waste first
    registry: Distance | None = None  # as stored, against one tar
    # the same layers by the compressor of the bound: only what lies where differs
    layers: Distance | None = None
    host: Distance | None = None

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes; null where unmeasured."""
        found = asdict(self)
        for made, duplicate in zip(found["duplicates"], self.duplicates, strict=True):
            made["waste"] = duplicate.waste
        for key, distance in (
            ("registry", self.registry),
            ("layers", self.layers),
            ("host", self.host),
        ):
            if distance:
                found[key]["above"] = distance.above
        return found


def findings(survey: Survey) -> Findings:
    """What is to be said about a survey."""
    users: dict[str, tuple[str, ...]] = {}
    for image in survey.measurement.images:
        for diff in dict.fromkeys(layer.diff for layer in image.layers):
            users[diff] = (*users.get(diff, ()), image.name)
    whiteouts = tuple(
        Copy(d, path, users[d]) for d, found in survey.contents.items() for path in found.whiteouts
    )
    bound = survey.bound
    if bound is None:
        return Findings(whiteouts, _duplicates(survey, users))
    return Findings(
        whiteouts,
        _duplicates(survey, users),
        registry=Distance(survey.measurement.registry, bound.compressed),
        layers=Distance(bound.layers, bound.compressed),
        host=Distance(survey.measurement.host, bound.uncompressed),
    )


def _duplicates(survey: Survey, users: Mapping[str, tuple[str, ...]]) -> tuple[Duplicate, ...]:
    copies: dict[str, list[Copy]] = {}
    sizes: dict[str, int] = {}
    for diff, found in survey.contents.items():
        for file in found.large:
            copies.setdefault(file.digest, []).append(Copy(diff, file.path, users[diff]))
            sizes[file.digest] = file.uncompressed
    doubled = (
        Duplicate(digest, sizes[digest], tuple(each), _reason(each))
        for digest, each in copies.items()
        if len({copy.layer for copy in each}) > 1
    )
    return tuple(sorted(doubled, key=lambda each: (-each.waste, each.digest)))


def is_licence(path: str) -> bool:
    """Whether a file is a licence or a notice, which has to come with what it is about."""
    return _LICENCE.search(path) is not None


def _reason(copies: list[Copy]) -> str:
    if all(is_licence(copy.path) for copy in copies):
        return "a licence, which each package has to carry"
    by_layer = {copy.layer: set(copy.images) for copy in copies}
    together = [
        one & other for one in by_layer.values() for other in by_layer.values() if one is not other
    ]
    if not any(together) and len({copy.path for copy in copies}) == 1:
        return (
            "in layers that no image has both of: a base that their images share would hold it once"
        )
    return ""
