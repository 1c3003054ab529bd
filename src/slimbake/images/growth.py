"""What an image has more of than one before it: by the target that lays it, and by package. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slimbake.console.tables import readable
from slimbake.images.detail import Contents
from slimbake.images.sizes import MeasuredLayer

Kind = Literal["uncompressed", "compressed"]


@dataclass(frozen=True, slots=True)
class BudgetedImage:
    """The last measurement of a service's image that kept its budget."""

    digest: str
    layers: tuple[MeasuredLayer, ...]
    names: tuple[str, ...]  # of the target that laid each; () = not known


@dataclass(frozen=True, slots=True)
class GrownPackage:
    name: str
    bytes: int  # uncompressed, more than before
    only: Literal["", "new", "gone"]


@dataclass(frozen=True, slots=True)
class Growth:
    """What one target has more of, or less."""

    name: str
    bytes: int
    packages: tuple[
        GrownPackage, ...
    ]  # the largest changes first; () where the layers were not read


def grown(
    before: BudgetedImage, after: BudgetedImage, kind: Kind, contents: Mapping[str, Contents] | None
) -> tuple[Growth, ...]:
    """The targets whose layers changed in bytes, the one that grew most first.

    `contents`: what is in the layers of both, by digest; None where one of them cannot be read any
    more. A layer that nobody knows a name of is named by its digest.
    """
    old, new = _by_name(before), _by_name(after)
    changes = []
    for name in dict.fromkeys((*old, *new)):
        change = _bytes(new.get(name, ()), kind) - _bytes(old.get(name, ()), kind)
        packages = (
            () if contents is None else _packages(old.get(name, ()), new.get(name, ()), contents)
        )
        if change:
            changes.append(Growth(name, change, packages))
    return tuple(sorted(changes, key=lambda growth: (-growth.bytes, growth.name)))


def _by_name(image: BudgetedImage) -> dict[str, tuple[MeasuredLayer, ...]]:
    named = len(image.names) == len(image.layers)
    names = (
        image.names
        if named
        else tuple(f"layer {layer.diff.removeprefix('sha256:')[:12]}" for layer in image.layers)
    )
    by_name: dict[str, tuple[MeasuredLayer, ...]] = {}
    for name, layer in zip(names, image.layers, strict=True):
        by_name[name] = (*by_name.get(name, ()), layer)
    return by_name


def _bytes(layers: Sequence[MeasuredLayer], kind: Kind) -> int:
    return sum(
        (layer.uncompressed if kind == "uncompressed" else layer.compressed) or 0
        for layer in layers
    )


def _packages(
    before: Sequence[MeasuredLayer],
    after: Sequence[MeasuredLayer],
    contents: Mapping[str, Contents],
) -> tuple[GrownPackage, ...]:
    old, new = _by_package(before, contents), _by_package(after, contents)
    packages = (
        GrownPackage(
            name,
            new.get(name, 0) - old.get(name, 0),
            "new" if name not in old else "gone" if name not in new else "",
        )
        for name in dict.fromkeys((*old, *new))
    )
    return tuple(
        sorted(
            (package for package in packages if package.bytes),
            key=lambda package: (-abs(package.bytes), package.name),
        )
    )


def _by_package(
    layers: Sequence[MeasuredLayer], contents: Mapping[str, Contents]
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for layer in layers:
        for part in contents[layer.diff].parts:
            sizes[part.owner.name] = sizes.get(part.owner.name, 0) + part.uncompressed
    return sizes


_SHOWN = 3  # packages of a target


def since(
    before: BudgetedImage | None, after: BudgetedImage, kind: str, changes: Sequence[Growth]
) -> str:
    """What grew since the last measurement within budget, for one limit."""
    if before is None:
        return "no earlier image within budget is known here"
    if before.digest == after.digest:
        return "the image is the last one within budget"
    reported = [_growth(change, kind) for change in changes]
    unit = " compressed" if kind == "compressed" else ""
    grew = f"{', '.join(reported)}" if reported else f"not a byte{unit} more"
    last = f"since {before.digest.removeprefix('sha256:')[:12]}, the last within budget"
    return f"{last}: {grew}"


def _growth(growth: Growth, kind: str) -> str:
    packages = growth.packages
    # its code: the target's name says it
    if {package.name for package in packages} <= {"/app", growth.name}:
        packages = ()
    shown = [_package(package) for package in packages[:_SHOWN]]
    if len(packages) > _SHOWN:
        rest = sum(package.bytes for package in packages[_SHOWN:])
        shown.append(f"{len(packages) - _SHOWN} more {readable(rest, signed=True)}")
    inside = ", ".join(shown)
    if inside and kind == "compressed":
        inside = f"uncompressed: {inside}"
    return f"{readable(growth.bytes, signed=True)} {growth.name}" + (
        f" ({inside})" if inside else ""
    )


def _package(package: GrownPackage) -> str:
    return " ".join(
        filter(None, (package.name, readable(package.bytes, signed=True), package.only))
    )
