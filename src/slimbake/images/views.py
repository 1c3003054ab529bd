"""A survey seen by layer, by package and by top directory. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from slimbake.images.detail import Contents, Part, Survey
from slimbake.images.sizes import Image, MeasuredLayer, chains, total


@dataclass(frozen=True, slots=True)
class Amount:
    """Bytes of some files of one layer; None where unmeasured."""

    uncompressed: int
    files: int
    gzip: int | None
    zstd: int | None
    pushed: int | None  # what they take of a registry: the blob of a layer, the zstd of a part


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
    gzip: int | None
    zstd: int | None
    on_registry: int | None  # distinct blobs count once
    on_host: int  # distinct chains count once
    images: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Sum:
    layers: dict[str, Amount] = field(default_factory=dict)
    blobs: dict[str, Amount] = field(default_factory=dict)
    chains: dict[str, Amount] = field(default_factory=dict)
    images: dict[str, None] = field(default_factory=dict)


_Key = tuple[str, str, str]


def by_layer(survey: Survey) -> tuple[Row, ...]:
    """Each distinct layer, in the order in which the images name them."""

    def whole(layer: MeasuredLayer, found: Contents) -> Iterable[tuple[_Key, Amount]]:
        amount = Amount(found.uncompressed, found.files, found.gzip, found.zstd, layer.compressed)
        yield ("layer", layer.diff, described(found)), amount

    return _grouped(survey, whole)


def by_package(survey: Survey) -> tuple[Row, ...]:
    """Each package, weights, code, and what belongs to none by its directory; the largest first."""
    return _largest_first(
        _grouped(survey, _parts(lambda p: (p.owner.kind, p.owner.name, p.owner.version)))
    )


def by_directory(survey: Survey) -> tuple[Row, ...]:
    """Each top directory; the largest first."""
    return _largest_first(_grouped(survey, _parts(lambda part: ("directory", part.directory, ""))))


def compressed_view(survey: Survey, image: Image) -> tuple[int | None, int | None]:
    """What an image's layers come to as gzip and as zstd."""
    found = [survey.contents[layer.diff] for layer in image.layers]
    return total(each.gzip for each in found), total(each.zstd for each in found)


def described(found: Contents) -> str:
    """What is in a layer, in a few words: its largest part, and how many others."""
    names: dict[str, None] = {}
    for part in sorted(found.parts, key=lambda part: -part.uncompressed):
        names.setdefault(" ".join(filter(None, (part.owner.name, part.owner.version))), None)
    if not names:
        return "no files"
    first, *others = names
    return first + (f" and {len(others)} more" if others else "")


def _parts(
    key: Callable[[Part], _Key],
) -> Callable[[MeasuredLayer, Contents], Iterable[tuple[_Key, Amount]]]:
    def split(_: MeasuredLayer, found: Contents) -> Iterable[tuple[_Key, Amount]]:
        groups: dict[_Key, list[Part]] = {}
        for part in found.parts:
            groups.setdefault(key(part), []).append(part)
        for name, parts in groups.items():
            zstd = total(part.zstd for part in parts)
            gzip = total(part.gzip for part in parts)
            size, files = (
                sum(part.uncompressed for part in parts),
                sum(part.files for part in parts),
            )
            yield name, Amount(size, files, gzip, zstd, zstd)

    return split


def _grouped(
    survey: Survey, split: Callable[[MeasuredLayer, Contents], Iterable[tuple[_Key, Amount]]]
) -> tuple[Row, ...]:
    sums: dict[_Key, _Sum] = {}
    for image in survey.measurement.images:
        for layer, chain in zip(image.layers, chains(image), strict=True):
            for key, amount in split(layer, survey.contents[layer.diff]):
                found = sums.setdefault(key, _Sum())
                found.layers[layer.diff] = found.blobs[layer.blob] = found.chains[chain] = amount
                found.images[image.name] = None
    return tuple(_row(key, found) for key, found in sums.items())


def _row(key: _Key, found: _Sum) -> Row:
    each = found.layers.values()
    return Row(
        *key,
        uncompressed=sum(amount.uncompressed for amount in each),
        files=sum(amount.files for amount in each),
        gzip=total(amount.gzip for amount in each),
        zstd=total(amount.zstd for amount in each),
        on_registry=total(amount.pushed for amount in found.blobs.values()),
        on_host=sum(amount.uncompressed for amount in found.chains.values()),
        images=tuple(found.images),
    )


def _largest_first(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.uncompressed, row.kind, row.name, row.what)))
