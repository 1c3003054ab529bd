"""What changed since an earlier measurement, per image and per layer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from slimbake.errors import UsageError

Figures = Mapping[str, Any]
COUNTED = ("uncompressed", "compressed", "gzip", "zstd")


@dataclass(frozen=True, slots=True)
class SizeChange:
    """A figure before and after, in bytes; None where it was not measured, or where there is no
    such image or layer.
    """

    before: int | None
    after: int | None

    @property
    def bytes(self) -> int | None:
        return None if self.before is None or self.after is None else self.after - self.before

    def as_json(self) -> dict[str, int | None]:
        return {"before": self.before, "after": self.after, "change": self.bytes}


@dataclass(frozen=True, slots=True)
class Changed:
    """An image, or a layer of one, whose figures are compared."""

    name: str  # of the image
    only: str  # "before" or "after"; "" = in both
    # digests of its tar before and after; None: the image as a whole
    layer: tuple[str | None, str | None] | None
    figures: tuple[tuple[str, SizeChange], ...]

    def as_json(self) -> dict[str, Any]:
        place = {} if self.layer is None else {"before": self.layer[0], "after": self.layer[1]}
        return {
            "only": self.only,
            **place,
            **{name: change.as_json() for name, change in self.figures},
        }


@dataclass(frozen=True, slots=True)
class Changes:
    images: tuple[Changed, ...]
    layers: tuple[Changed, ...]  # of images that are in both, those that are not the same
    together: tuple[tuple[str, SizeChange], ...]  # unique_on_registry, unique_on_host

    def as_json(self) -> dict[str, Any]:
        """For scripts: bytes before and after; null where unmeasured."""
        return {
            "images": {
                image.name: {
                    **image.as_json(),
                    "layers": [
                        layer.as_json() for layer in self.layers if layer.name == image.name
                    ],
                }
                for image in self.images
            },
            **{name: change.as_json() for name, change in self.together},
        }


def changes(before: Any, after: Any, file: str) -> Changes:
    """Compare two measurements as `slimbake sizes --json` prints them.

    Layers are told apart by the digests of their tars; where some differ at one place, they are
    paired in their order. Raises UsageError where `before`, read from `file`, is no such
    measurement.
    """
    try:
        return _changes(before, after)
    except (KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{file} is no measurement", "`slimbake sizes --json` prints one"
        ) from None


def _changes(before: Any, after: Any) -> Changes:
    names = list(dict.fromkeys((*before["images"], *after["images"])))
    images, layers = [], []
    for name in names:
        old, new = before["images"].get(name), after["images"].get(name)
        images.append(Changed(name, _only(old, new), None, _figures(old, new)))
        if old is None or new is None:  # all of its layers are new, or gone: nothing to compare
            continue
        for one, other in _pairs(old["layers"], new["layers"]):
            digests = (one["diff"] if one else None, other["diff"] if other else None)
            layers.append(Changed(name, _only(one, other), digests, _figures(one, other)))
    keys = ("unique_on_registry", "unique_on_host")
    return Changes(
        tuple(images),
        tuple(layers),
        tuple((key, SizeChange(before[key], after[key])) for key in keys),
    )


def _only(before: object, after: object) -> str:
    return "after" if before is None else "before" if after is None else ""


def _figures(before: Figures | None, after: Figures | None) -> tuple[tuple[str, SizeChange], ...]:
    old, new = before or {}, after or {}
    return tuple(
        (key, SizeChange(old.get(key), new.get(key))) for key in COUNTED if key in old or key in new
    )


def _pairs(
    before: list[Figures], after: list[Figures]
) -> list[tuple[Figures | None, Figures | None]]:
    found: list[tuple[Figures | None, Figures | None]] = []
    matcher = SequenceMatcher(
        None, [each["diff"] for each in before], [each["diff"] for each in after], autojunk=False
    )
    for kind, low, high, start, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        old, new = before[low:high], after[start:end]
        found += zip_longest(old, new)
    return found
