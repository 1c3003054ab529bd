"""What the jobs of a run leave behind, and what is known of a fleet from run to run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slimbake.images.sizes import Image, MeasuredLayer, Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How one job ended."""

    services: tuple[str, ...]
    seconds: float  # of the whole job's build, smokes and push
    error: str = ""  # "" = all of it holds
    failed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()  # that the registry had already
    images: tuple[Image, ...] = ()  # what was built and measured, also of what is over its budget

    def as_json(self) -> dict[str, Any]:
        """For the artifact."""
        images = Measurement(self.images).as_json()["images"]
        return {
            "services": list(self.services),
            "seconds": self.seconds,
            "error": self.error,
            "failed": list(self.failed),
            "held": list(self.held),
            "images": images,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a fleet: of each service the image last built on the main branch, and how
    long it took.
    """

    images: tuple[Image, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def costs(self) -> Mapping[str, float]:
        """What services cost to build, in one unit for all: seconds; where none are known, their
        own bytes.
        """
        if self.seconds:
            return self.seconds
        measured = Measurement(self.images)
        return {
            image.name: float(
                image.uncompressed - sum(layer.uncompressed for layer in measured.shared(image))
            )
            for image in self.images
        }

    def as_json(self) -> dict[str, Any]:
        """As `slimbake sizes --json` has it, so that it may be compared with; and the seconds."""
        return {**Measurement(self.images).as_json(), "seconds": dict(sorted(self.seconds.items()))}


def parse_record(said: Any) -> Record:
    """A record as it was written. Raises KeyError, TypeError, ValueError or AttributeError for
    anything else.
    """
    return Record(
        services=_names(said["services"]),
        seconds=float(said["seconds"]),
        error=str(said["error"]),
        failed=_names(said["failed"]),
        held=_names(said["held"]),
        images=known_images(said["images"]),
    )


def parse_known(said: Any) -> Known:
    """What is known, as it was written. Raises as `record` does."""
    seconds = {str(name): float(value) for name, value in said.get("seconds", {}).items()}
    return Known(images=known_images(said["images"]), seconds=seconds)


def known_images(said: Any) -> tuple[Image, ...]:
    """Images as measurements print them."""
    return tuple(
        Image(str(name), str(each["digest"]), tuple(map(_layer, each["layers"])))
        for name, each in said.items()
    )


def _names(said: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in said)


def _layer(said: Any) -> MeasuredLayer:
    compressed = said["compressed"]
    return MeasuredLayer(
        diff=str(said["diff"]),
        blob=str(said["blob"]),
        uncompressed=int(said["uncompressed"]),
        compressed=None if compressed is None else int(compressed),
        files=int(said["files"]),
    )
