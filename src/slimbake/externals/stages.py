"""Stages of a Dockerfile that end with an image in which a Python runs slimbake's programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stages:
    """The last one is named `ready`. They use a context `inside`, which has make.pyz."""

    text: str
    contexts: Mapping[str, str]  # name -> image, as bake takes it


def stages_of(image: str) -> Stages:
    """An image that has a Python. `image`: as bake takes it."""
    return Stages("\nFROM image AS ready\n", {"image": image})


def linked_stages(image: str, python: str, program: str) -> Stages:
    """An image without Python, with slimbake's own in it, as templates/from.Dockerfile.j2 has it.

    `python`: the image that it is made from, in which `program` is the Python.
    """
    make = json.dumps([program, "/inside/make.pyz", "make-interpreter", "/out"])
    text = f"""
FROM python AS interpreter
RUN --network=none --mount=type=bind,from=inside,target=/inside {make}
FROM image AS ready
COPY --from=interpreter /out /
"""
    return Stages(text, {"image": image, "python": python})
