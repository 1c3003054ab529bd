"""Fingerprints: one hash of all that a target's content depends on, to know what need not be built
again.

All that is in doubt counts as a change: BuildKit then finds out, and takes what it can from its
cache. What counts, and what does not, is in docs/fingerprints.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimbake.fingerprint.gather import accounts
from slimbake.fingerprint.model import (
    Account,
    ExternalDigests,
    Input,
    Parts,
    digest,
    fingerprint_tag,
    without,
)
from slimbake.plan.model import CHECKS, Plan

__all__ = [
    "Account",
    "ExternalDigests",
    "Input",
    "Parts",
    "accounts",
    "fingerprint_tag",
    "of_services",
    "without",
]


def of_services(plan: Plan, fingerprints: Mapping[str, str]) -> dict[str, str]:
    """Of each service the one fingerprint that covers its image and its checks: an image that has
    it was checked.

    `fingerprints`: of the targets.
    """
    names = {service.service: [service.service] for service in plan.services}
    for target in plan.targets:
        if target.kind in CHECKS and target.service:
            names[target.service].append(target.name)
    covered = {}
    for service, target_names in names.items():
        known = [fingerprints.get(name) or "" for name in target_names]
        if all(known):
            covered[service] = digest("\0".join(known))
    return covered
