"""The baselines' requirements: the exact versions of slimbake's own locks, so that all sides
install the same.
"""

from __future__ import annotations

import os
from pathlib import Path

from slimbake.config.naming import LOCKS
from slimbake.plan.model import Plan
from slimbake.plan.origin import locks
from slimbake.release.sbom import read_sbom_locks

REQUIREMENTS = Path("bench/baseline/requirements")


def requirements(plan: Plan, root: Path) -> dict[str, str]:
    """The text of the requirements file of each service that a bake builds; one without packages
    has none.
    """
    texts = {}
    for service in plan.group("default"):
        names = locks(plan, service)
        lock_texts = {name: (root / LOCKS / name).read_text("utf-8") for name in names}
        held = read_sbom_locks(lock_texts, os.uname().machine)
        if lines := sorted({f"{each.name}=={each.version}\n" for each in held.packages}):
            # The first line makes each file another one: api and bulk-ingester, say, have the same
            # packages, and an engine would find the one's install in its cache when it builds the
            # other.
            texts[service] = f"# All that {service} has, frozen.\n{''.join(lines)}"
    return texts


def freeze(plan: Plan, root: Path) -> tuple[str, ...]:
    """Write the requirements files; the names of those that changed."""
    changed = stale(plan, root)
    texts = requirements(plan, root)
    for name in changed:
        (root / REQUIREMENTS / f"{name}.txt").write_text(texts[name], encoding="utf-8")
    return changed


def stale(plan: Plan, root: Path) -> tuple[str, ...]:
    """The services whose requirements file holds other versions than the locks."""
    return tuple(
        name
        for name, text in requirements(plan, root).items()
        for path in [root / REQUIREMENTS / f"{name}.txt"]
        if not path.is_file() or path.read_text("utf-8") != text
    )
