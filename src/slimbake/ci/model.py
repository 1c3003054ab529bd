"""What the jobs of a run leave behind, and what images weigh from run to run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from slimbake.host.typed import typed
from slimbake.images.sizes import Image, MeasuredLayer, Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How one job ended."""

    services: tuple[str, ...]
    error: str = ""  # "" = all of it holds
    failed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()  # that the registry had already
    images: tuple[Image, ...] = ()  # what was built and measured, also of what is over its budget
    # target -> REPOSITORY@DIGEST, of what the registry has now
    pushed: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the artifact."""
        return {**asdict(self), "images": Measurement(self.images).as_json()["images"]}


def parse_record(value: Any) -> Record:
    """A record as it was written. Raises an error of `WRONG` for anything else."""
    names = {key: tuple(map(str, value[key])) for key in ("services", "failed", "held")}
    return typed(Record, {**value, **names, "images": parse_measurement(value).images})


def parse_measurement(value: Any) -> Measurement:
    """Images as measurements print them. Raises an error of `WRONG` for anything else."""
    images = []
    for name, image in value["images"].items():
        layers = tuple(typed(MeasuredLayer, layer) for layer in image["layers"])
        images.append(Image(name, str(image["digest"]), layers))
    return Measurement(tuple(images))
