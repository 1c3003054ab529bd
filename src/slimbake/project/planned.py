"""The plan of a fleet as its locks and its evidence are now."""

from __future__ import annotations

from slimbake.config.model import Manifest
from slimbake.evidence import Dropped, carried
from slimbake.lock import lock_texts, settled
from slimbake.plan import plan
from slimbake.plan.model import Plan


def planned(manifest: Manifest) -> tuple[Plan, tuple[Dropped, ...]]:
    """The plan, with the passes that are proven; and those that are not carried any more. Raises
    ManifestError.
    """
    whole, locks = settled(manifest), lock_texts(manifest)
    found = carried(whole, locks)
    return plan(whole, locks, found.passes), found.dropped
