"""A survey seen by layer and by package. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slimbake.images.detail import Contents, Survey
from slimbake.images.sizes import chains, total


@dataclass(frozen=True, slots=True)
class Row:
    """A layer or package of the fleet, in bytes; where nothing else is said, distinct layers count
    once.
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
    """Each package, weights, code, and what belongs to none by its folder; the largest first."""
    amounts: dict[tuple[str, str, str], list[tuple[str, int, int]]] = {}
    places = _places(survey)
    for diff in places:
        for part in survey.contents[diff].parts:
            name = (part.owner.kind, part.owner.name, part.owner.version)
            amounts.setdefault(name, []).append((diff, part.uncompressed, part.files))
    rows = (_row(name, amount, places) for name, amount in amounts.items())
    return tuple(sorted(rows, key=lambda row: (-row.uncompressed, row.kind, row.name, row.what)))


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
