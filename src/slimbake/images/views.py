"""A survey seen by layer, by package and by top directory. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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
        found = asdict(self)
        for made, duplicate in zip(found["duplicates"], self.duplicates, strict=True):
            made["waste"] = duplicate.waste
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
    return Findings(whiteouts, _duplicates(survey, users))


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
