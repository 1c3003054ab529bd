"""Pictures of the example: its layers, sizes, sharing, start-up and memory, build time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import svg
from .cells import mb
from .inputs import ONNX, Inputs, by_hand
from .inputs import sharing as shared

_HAND = "hand-written Dockerfile"
_MADE = "Figures: {}. MB = 1,000,000 bytes."


def sizes(inputs: Inputs) -> str:
    """Three images, beside hand-written ones and their variants without torch."""
    groups = []
    for image in inputs.writeup["images"]:
        bars = [
            svg.Bar(_HAND, _mega(by_hand(inputs).get("images", {}).get(image))),
            svg.Bar("slimbake", _mega(inputs.images.get(image)), "ours"),
        ]
        if f"{image}{ONNX}" in inputs.services:
            onnx = _mega(inputs.images.get(f"{image}{ONNX}"))
            bars.append(svg.Bar("slimbake, ONNX, int8", onnx, "onnx"))
        groups.append((image, bars))
    return svg.chart(
        "Sizes of images: hand-written, slimbake",
        [svg.Panel("Size of an image, uncompressed, with its model", "MB", groups)],
        _MADE.format("bake/sizes.json, bench/results/bake.json"),
    )


def sharing(inputs: Inputs) -> str:
    """Eight images together, each alone and as they share layers."""
    fleet, hand = shared(inputs, inputs.defaults), by_hand(inputs)
    groups = [
        (
            heading,
            [
                svg.Bar(_HAND, _scaled(hand.get(f"unique_on_{place}"), 1e-6)),
                svg.Bar("slimbake", _scaled(fleet[place].get("shared"), 1e-6), "ours"),
            ],
        )
        for place, heading in (
            ("host", "on a host, uncompressed"),
            ("registry", "on a registry, compressed"),
        )
    ]
    return svg.chart(
        "Bytes of the example's eight images together",
        [svg.Panel("Eight images, layers shared on both sides", "MB", groups)],
        _MADE.format("bake/sizes.json, bench/results/bake.json"),
    )


def builds(inputs: Inputs) -> str:
    """Cold bakes and bakes that change nothing, beside hand-written Dockerfiles."""
    sides = inputs.bake.get("sides", {})
    panels = [
        svg.Panel(
            title,
            "s",
            [
                (
                    "",
                    [
                        svg.Bar(label, sides.get(side, {}).get(key, {}).get("median"), kind)
                        for side, label, kind in (
                            ("one by one", "docker build, one by one", "other"),
                            ("parallel", "the same, in parallel by bake", "other"),
                            ("slimbake", "slimbake bake, with checks", "ours"),
                        )
                    ],
                )
            ],
            1,
        )
        for title, key in (("Cold build of eight images", "cold"), ("Nothing changed", "noop"))
    ]
    return svg.chart(
        "Build time of eight images",
        panels,
        _MADE.format("bench/results/bake.json, medians, 2 cores"),
    )


def layers(inputs: Inputs) -> str:
    """Which layer stands on which: a box in the box of the layer below it, and the services as
    small boxes. A model has the name of the first service that has it.
    """
    images = inputs.images
    chains = {name: [each for each in of["layers"] if _shown(each)] for name, of in images.items()}
    boxes, y = _boxes(chains, inputs, 0, 20, 52, svg.WIDTH - 40)
    notes = [
        "Each box stands on the box around it, and is stored and pulled once.",
        "Not to scale.",
    ]
    notes += [] if images else ["unmeasured: `slimbake sizes --record`"]
    notes[-1] += " " + _MADE.format("bake/sizes.json")
    for note in notes:
        y += 18
        boxes.append(svg.words(20, y, note, "small"))
    title = svg.words(20, 38, "Layers of the example's images", "title")
    return svg.page(y + 16, "Runtime, bases, models and services as layers", [title, *boxes])


_LETTER = 8.2  # pixels, at most
_MODEL = "box2"


def _shown(layer: Mapping[str, Any]) -> bool:
    return bool(layer["uncompressed"] >= 1_000_000)


def _boxes(
    chains: Mapping[str, Sequence[Mapping[str, Any]]],
    inputs: Inputs,
    level: int,
    x: float,
    y: float,
    width: float,
) -> tuple[list[str], float]:
    """The boxes of these images from a level on, in a place so wide, and where they end."""
    drawn, left = [], x
    for name in (name for name, chain in chains.items() if len(chain) == level):
        wide = 18 + _LETTER * len(name)
        if left + wide > x + width:
            left, y = x, y + 32
        drawn += [svg.box((left, y, wide, 26), "box4"), svg.words(left + 9, y + 18, name)]
        left += wide + 6
    y += 32 if drawn else 0
    above: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = {}
    for name, chain in chains.items():
        if len(chain) > level:
            above.setdefault(chain[level]["diff"], {})[name] = chain
    for images in above.values():
        inner, end = _boxes(images, inputs, level + 1, x + 10, y + 32, width - 20)
        layer = next(iter(images.values()))[level]
        name, kind = _named(layer, images, inputs, level)
        size = f"{mb(layer['uncompressed'])} MB"
        drawn.append(svg.box((x, y, width, end - y + 4), kind))
        drawn.append(svg.words(x + 10, y + 20, name, "strong"))
        drawn.append(svg.words(x + width - 10, y + 20, size, "small", "end"))
        drawn += inner
        y = end + 12
    return drawn, y


def _named(
    layer: Mapping[str, Any], below: Mapping[str, Any], inputs: Inputs, level: int
) -> tuple[str, str]:
    """What a layer is called, and its colour."""
    if level == 0:
        return "runtime: CPython", "box3"
    if layer["holds"] == "/weights":
        return f"model of {next(iter(below))}", _MODEL
    first = [name for name, chain in below.items() if len(chain) == level + 1] or list(below)
    return f"base {inputs.bases.get(first[0], '')}", "box1"


def _mega(image: Mapping[str, Any] | None) -> float | None:
    """Uncompressed megabytes of an image that was measured."""
    return _scaled(image and image["uncompressed"], 1e-6)


def _scaled(value: Any, scale: float) -> float | None:
    return None if value is None else value * scale
