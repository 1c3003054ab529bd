"""What was last built and checked here, by fingerprint: while the engine holds it, it need not be
built again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from slimbake.build.bake import Built, Result
from slimbake.build.command import Surroundings
from slimbake.fingerprint import fingerprints, of_services
from slimbake.host.files import write_atomically
from slimbake.plan.model import Plan


class Baked:
    """A project's record: of each service the fingerprint of its image and smoke, and the image's
    id.
    """

    def __init__(self, plan: Plan, root: Path, around: Surroundings, file: Path) -> None:
        """`file`: where the record is kept; one that cannot be read is empty."""
        self._plan, self._root, self._around, self._file = plan, root, around, file
        self._before = self._fingerprints()
        self._known = _read(file)

    def unchanged(
        self, services: Iterable[str], held: Mapping[str, tuple[str, ...]]
    ) -> tuple[Built, ...]:
        """The services whose last image still is what would be built. `held`: the engine's images
        and their names.
        """
        found = ((name, *self._known[name]) for name in services if name in self._known)
        return tuple(
            Built(name, image, held[image])
            for name, fingerprint, image in found
            if image in held and fingerprint == self._before.get(name)
        )

    def keep(self, result: Result) -> None:
        """Record what was built and checked; not what was edited meanwhile, which may or may not be
        in its image.
        """
        after = self._fingerprints()
        for image in result.built:
            self._known.pop(image.name, None)
            if (fingerprint := self._before.get(image.name)) and fingerprint == after.get(
                image.name
            ):
                self._known[image.name] = fingerprint, image.digest
        live = {service.service for service in self._plan.services}
        kept = {name: self._known[name] for name in sorted(self._known) if name in live}
        write_atomically(self._file, (json.dumps(kept, indent=1) + "\n").encode())

    def _fingerprints(self) -> dict[str, str]:
        """Of each service that has one."""
        try:
            return of_services(
                self._plan, fingerprints(self._plan, self._root, self._around, os.environ)
            )
        except OSError:  # something is being moved about just now
            return {}


def images(file: Path) -> dict[str, str]:
    """The id of each service's image as it was last built and checked here; none where the record
    cannot be read.
    """
    return {name: image for name, (_, image) in _read(file).items()}


def _read(file: Path) -> dict[str, tuple[str, str]]:
    try:
        known = json.loads(file.read_text("utf-8"))
        return {
            str(name): (str(fingerprint), str(image))
            for name, (fingerprint, image) in known.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
