"""Build secrets that this machine does not have, found before a build could do without them."""

from __future__ import annotations

import os
from pathlib import Path

from slimbake.plan.model import Plan


def missing_secrets(plan: Plan, names: tuple[str, ...], root: Path) -> list[str]:
    """The secrets of these targets that are not there, each in words.

    buildx takes a variable that is not set for an empty secret, and a step may well build with
    that.
    """
    missing = []
    for target in plan.needed(names):
        for secret in target.secrets:
            if secret.source == "env" and secret.name not in os.environ:
                missing.append(
                    f"{secret.id} of {target.name}: the variable {secret.name} is not set"
                )
            elif secret.source == "file" and not (root / secret.name).is_file():
                missing.append(f"{secret.id} of {target.name}: there is no file {secret.name}")
    return missing
