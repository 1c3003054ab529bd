"""Which tests run beside each other, and which of them begin first."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# On the example fleet as it lies here: one project, one lock, one set of ports. All others have
# fleets of their own.
EXAMPLE = ("exports", "fleet", "fleet_images", "sbom", "sizes", "verify")
# The longest; what begins last ought to be short.
FIRST = ("census", "exports", "platforms", "workflow", "parity", "reproducible")
_BEGINS_WITHOUT_ENGINE = "gw0"  # of xdist's workers


def place(path: str) -> tuple[int, str]:
    """Where a module of engine tests stands in the order of all."""
    name = PurePosixPath(path).stem.removeprefix("test_")
    if name in FIRST:
        return FIRST.index(name), path
    if name in EXAMPLE:
        return len(FIRST), path
    return len(FIRST) + 1, path


class Beside(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Modules beside each other, each in one worker and in its own order; those of the example in
    the same one.

    One worker begins with what needs no engine, the others with engine tests, which often wait for
    Docker; whoever is through takes what is left.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "example" if PurePosixPath(path).stem.removeprefix("test_") in EXAMPLE else path

    def _assign_work_unit(self, node: WorkerController) -> None:
        wanted = node.gateway.id != _BEGINS_WITHOUT_ENGINE
        scopes = (scope for scope in self.workqueue if _needs_engine(scope) is wanted)
        if scope := next(scopes, None):
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


def _needs_engine(scope: str) -> bool:
    return scope == "example" or scope.startswith("tests/engine/")
