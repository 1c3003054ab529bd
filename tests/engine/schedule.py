"""Which engine tests run beside each other, and which of them begin first."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

# On the example fleet as it lies here: one project, one lock, one set of ports. All others have
# fleets of their own.
EXAMPLE = ("bake", "exports", "fleet", "fleet_images", "sbom", "search", "sizes", "verify")
# The longest, by what they took on two cores in November 2026; what begins last ought to be short.
FIRST = ("platforms", "workflow", "parity", "prove", "reproducible")


def place(path: str) -> tuple[int, str]:
    """Where a module of engine tests stands in the order of all."""
    name = PurePosixPath(path).stem.removeprefix("test_")
    if name in FIRST:
        return FIRST.index(name), path
    return (len(FIRST) if name in EXAMPLE else len(FIRST) + 1), path


class Beside(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Modules beside each other, each in one worker and in its own order; those of the example in
    the same one.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "example" if PurePosixPath(path).stem.removeprefix("test_") in EXAMPLE else path
