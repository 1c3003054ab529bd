"""A survey seen by layer and by package. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slimbake.images.detail import Contents, Survey
from slimbake.images.sizes import total


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
    rows = []
    for diff in places:
        layer = survey.contents[diff]
        amounts = [(diff, layer.uncompressed, layer.files)]
        rows.append(_row(("layer", diff, described(layer)), amounts, places))
    return tuple(rows)


def by_package(survey: Survey) -> tuple[Row, ...]:
    """Each package, weights, code, and what belongs to none by its folder; the largest first."""
    amounts: dict[tuple[str, str, str], list[tuple[str, int, int]]] = {}
    places = _places(survey)
    for diff in places:
        for part in survey.contents[diff].parts:
            name = (part.owner.kind, part.owner.name, part.owner.version)
            amounts.setdefault(name, []).append((diff, part.uncompressed, part.files))
    rows = [_row(name, amount, places) for name, amount in amounts.items()]
    return tuple(sorted(rows, key=lambda row: (-row.uncompressed, row.kind, row.name, row.what)))


def described(contents: Contents) -> str:
    """What is in a layer, in a few words: its largest part, and how many others."""
    names: dict[str, None] = {}
    for part in sorted(contents.parts, key=lambda part: -part.uncompressed):
        names[f"{part.owner.name} {part.owner.version}".rstrip()] = None
    if not names:
        return "no files"
    first, *others = names
    if others:
        first += f" and {len(others)} more"
    return first


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
        for chain, layer in image.chains.items():
            place = places.setdefault(layer.diff, _Place({}, set(), {}))
            place.blobs[layer.blob] = layer.compressed
            place.chains.add(chain)
            place.images[image.name] = None
    return places


def _row(
    name: tuple[str, str, str], amounts: list[tuple[str, int, int]], places: Mapping[str, _Place]
) -> Row:
    """`amounts`: layer, bytes, files."""
    uncompressed = 0
    on_host = 0
    all_files = 0
    images: dict[str, None] = {}
    for diff, size, files in amounts:
        uncompressed += size
        on_host += size * len(places[diff].chains)
        all_files += files
        images |= places[diff].images
    on_registry = None
    if name[0] == "layer":
        on_registry = total(places[name[1]].blobs.values())
    return Row(
        *name,
        uncompressed=uncompressed,
        files=all_files,
        on_registry=on_registry,
        on_host=on_host,
        images=tuple(images),
    )
