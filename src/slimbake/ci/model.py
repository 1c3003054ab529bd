"""What the jobs of a run leave behind, and what images weigh from run to run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
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


def parse_known(said: Any) -> Measurement:
    """What the images of the main branch weigh, as it was written. Raises as `parse_record` does."""
    return Measurement(known_images(said["images"]))


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
