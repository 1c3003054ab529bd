"""A survey seen by layer, by package and by top directory. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slimbake.images.detail import Contents, Part, Survey
from slimbake.images.sizes import chains, total


@dataclass(frozen=True, slots=True)
class Row:
    """A layer, package or directory of the fleet, in bytes; where nothing else is said, distinct
    layers count once.
    """

    kind: str  # layer, python, debian, weights, code, directory
    name: str  # digest, name or path
    what: str  # what is in a layer; a package's version
    uncompressed: int
    files: int
    on_registry: int | None  # of a layer: distinct blobs count once
    on_host: int  # distinct chains count once
    images: tuple[str, ...]


def by_layer(survey: Survey) -> tuple[Row, ...]:
    """Each distinct layer, in the order in which the images name them."""
    places = _places(survey)
    layers = ((diff, survey.contents[diff]) for diff in places)
    return tuple(
        _row(("layer", diff, described(layer)), [(diff, layer.uncompressed, layer.files)], places)
        for diff, layer in layers
    )


def by_package(survey: Survey) -> tuple[Row, ...]:
    """Each package, weights, code, and what belongs to none by its directory; the largest first."""
    return _by_part(survey, lambda part: (part.owner.kind, part.owner.name, part.owner.version))


def by_directory(survey: Survey) -> tuple[Row, ...]:
    """Each top directory; the largest first."""
    return _by_part(survey, lambda part: ("directory", part.directory, ""))


def described(contents: Contents) -> str:
    """What is in a layer, in a few words: its largest part, and how many others."""
    names: dict[str, None] = {}
    for part in sorted(contents.parts, key=lambda part: -part.uncompressed):
        names.setdefault(" ".join(filter(None, (part.owner.name, part.owner.version))), None)
    if not names:
        return "no files"
    first, *others = names
    return first + (f" and {len(others)} more" if others else "")


@dataclass(slots=True)
class _Place:
    """Where a layer is used."""

    blobs: dict[str, int | None]  # each that it is stored as, with its bytes
    chains: set[str]
    images: dict[str, None]


def _places(survey: Survey) -> dict[str, _Place]:
    """The places of each layer, by its digest."""
    places: dict[str, _Place] = {}
    for image in survey.measurement.images:
        for layer, chain in zip(image.layers, chains(image), strict=True):
            place = places.setdefault(layer.diff, _Place({}, set(), {}))
            place.blobs[layer.blob] = layer.compressed
            place.chains.add(chain)
            place.images[image.name] = None
    return places


def _by_part(survey: Survey, key: Callable[[Part], tuple[str, str, str]]) -> tuple[Row, ...]:
    amounts: dict[tuple[str, str, str], list[tuple[str, int, int]]] = {}
    places = _places(survey)
    for diff in places:
        for part in survey.contents[diff].parts:
            amounts.setdefault(key(part), []).append((diff, part.uncompressed, part.files))
    rows = (_row(name, amount, places) for name, amount in amounts.items())
    return tuple(sorted(rows, key=lambda row: (-row.uncompressed, row.kind, row.name, row.what)))


def _row(
    name: tuple[str, str, str], amounts: list[tuple[str, int, int]], places: Mapping[str, _Place]
) -> Row:
    """`amounts`: layer, bytes, files."""
    used = {diff: places[diff] for diff, _, _ in amounts}
    whole = name[0] == "layer"
    return Row(
        *name,
        uncompressed=sum(size for _, size, _ in amounts),
        files=sum(files for _, _, files in amounts),
        on_registry=total(b for p in used.values() for b in p.blobs.values()) if whole else None,
        on_host=sum(size * len(places[diff].chains) for diff, size, _ in amounts),
        images=tuple(dict.fromkeys(image for place in used.values() for image in place.images)),
    )


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
class Findings:
    whiteouts: tuple[Copy, ...]
    duplicates: tuple[Duplicate, ...]  # the largest waste first

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes; null where unmeasured."""
        content = asdict(self)
        for entry, duplicate in zip(content["duplicates"], self.duplicates, strict=True):
            entry["waste"] = duplicate.waste
        return content


def findings(survey: Survey) -> Findings:
    """What is to be said about a survey."""
    users: dict[str, tuple[str, ...]] = {}
    for image in survey.measurement.images:
        for diff in dict.fromkeys(layer.diff for layer in image.layers):
            users[diff] = (*users.get(diff, ()), image.name)
    whiteouts = tuple(
        Copy(d, path, users[d])
        for d, contents in survey.contents.items()
        for path in contents.whiteouts
    )
    return Findings(whiteouts, _duplicates(survey, users))


def _duplicates(survey: Survey, users: Mapping[str, tuple[str, ...]]) -> tuple[Duplicate, ...]:
    copies: dict[str, list[Copy]] = {}
    sizes: dict[str, int] = {}
    for diff, contents in survey.contents.items():
        for file in contents.large:
            copies.setdefault(file.digest, []).append(Copy(diff, file.path, users[diff]))
            sizes[file.digest] = file.uncompressed
    doubled = (
        Duplicate(digest, sizes[digest], tuple(places), _reason(places))
        for digest, places in copies.items()
        if len({copy.layer for copy in places}) > 1
    )
    return tuple(sorted(doubled, key=lambda duplicate: (-duplicate.waste, duplicate.digest)))


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
