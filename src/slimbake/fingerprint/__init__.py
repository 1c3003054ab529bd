"""Fingerprints: one hash of all that a target's content depends on, to know what need not be built
again.

All that is in doubt counts as a change: BuildKit then finds out, and takes what it can from its
cache. What counts, and what does not, is in docs/fingerprints.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
from slimbake.host.workspace import Workspace
from slimbake.plan.model import CHECKS, Plan
from slimbake.render import Generated

__all__ = [
    "Account",
    "ExternalDigests",
    "Input",
    "Parts",
    "accounts",
    "fingerprint_tag",
    "fingerprints",
    "of_services",
    "without",
]


def fingerprints(
    plan: Plan,
    root: Path,
    workspace: Workspace,
    externals: ExternalDigests | None = None,
    variables: Mapping[str, str] = {},
    files: Mapping[str, Generated] | None = None,
) -> dict[str, str]:
    """The fingerprint of each target by its name; a target that depends on what cannot be known
    here has none.

    Arguments and errors are those of `accounts`, which also says why.
    """
    found = accounts(plan, root, workspace, externals, variables, files)
    return {each.target: each.fingerprint for each in found if each.fingerprint}


def of_services(plan: Plan, found: Mapping[str, str]) -> dict[str, str]:
    """Of each service the one fingerprint that covers its image and its checks: an image that has
    it was checked.

    `found`: of the targets. A check stands on the image, so that its fingerprint says both.
    """
    last: dict[str, list[str]] = {service.service: [] for service in plan.services}
    for target in plan.targets:
        if target.kind in CHECKS and target.service:
            last[target.service].append(target.name)
    of = {
        service: [found.get(name, "") for name in names or [service]]
        for service, names in last.items()
    }
    return {
        service: each[0] if len(each) == 1 else digest("\0".join(each))
        for service, each in of.items()
        if all(each)
    }
