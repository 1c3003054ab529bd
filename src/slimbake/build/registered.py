"""What a registry has of a fleet by fingerprint: asked before a bake, said of what is pushed after
it.
"""

from __future__ import annotations

import os
from pathlib import Path

from slimbake.build.bake import references
from slimbake.build.command import Surroundings
from slimbake.build.released import part, released
from slimbake.build.retag import Held, held
from slimbake.console import Console
from slimbake.fingerprint import fingerprints
from slimbake.plan.model import Plan


class Registered:
    """A fleet's images on one registry, by the fingerprints that services had before the build."""

    def __init__(
        self,
        root: Path,
        services: tuple[str, ...],
        registry: str,
        console: Console,
        platform: str = "",
    ) -> None:
        """`services`: or bases; `platform`: the only one that they are built for, "" = as planned."""
        self.held: tuple[Held, ...] = ()
        self._root, self._services, self._registry, self._console = (
            root,
            services,
            registry,
            console,
        )
        self._platform = platform
        self._known: tuple[Plan, Surroundings, dict[str, str]] | None = None

    def know(self, plan: Plan, around: Surroundings) -> None:
        """Take the fingerprints of now. `around`: without this machine's folders, which no other
        machine has.
        """
        self._known = plan, around, self._fingerprints(plan, around)

    def left(self, provenance: bool) -> tuple[str, ...]:
        """The services that the registry does not have, or that are in doubt; what it has is in
        `held` then.
        """
        if self._known is None:
            return self._services
        plan, around, found = self._known
        self.held = held(
            plan,
            self._services,
            found,
            self._registry,
            self._console,
            around.ca_bundle,
            provenance=provenance,
        )
        there = {image.target for image in self.held}
        if there:
            self._console.say(
                f"on the registry: {', '.join(name for name in self._services if name in there)}"
            )
        return tuple(name for name in self._services if name not in there)

    def names(self, version: str) -> dict[str, str]:
        """What the images that are held are to be called in a version, by service."""
        if self._known is None:
            return {}
        plan = self._known[0]
        return {
            i.target: references(plan.target(i.target), self._registry, version) for i in self.held
        }

    def unedited(self) -> dict[str, str]:
        """The fingerprints that still hold: what was edited meanwhile may or may not be in its
        image.
        """
        if self._known is None:
            return {}
        plan, around, before = self._known
        after = self._fingerprints(plan, around)
        return {name: value for name, value in before.items() if after.get(name) == value}

    def _fingerprints(self, plan: Plan, around: Surroundings) -> dict[str, str]:
        # An image is the same under whichever name it is pushed.
        variables = {
            name: value for name, value in os.environ.items() if name not in {"REGISTRY", "TAG"}
        }
        try:
            found = released(plan, fingerprints(plan, self._root, around, variables))
        except OSError:  # something is being moved about just now
            return {}
        # Of an image for several platforms, the part for one is another image.
        return (
            {name: part(value, self._platform) for name, value in found.items()}
            if self._platform
            else found
        )
