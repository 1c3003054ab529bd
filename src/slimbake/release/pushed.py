"""The file in which one job tells the next what it pushed: target -> REPOSITORY@DIGEST."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from slimbake.errors import UsageError
from slimbake.host.files import read_json, write_atomically
from slimbake.plan.model import Plan

_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


def write_pushed(file: Path, pushed: Mapping[str, str]) -> None:
    """Write it, whole or not at all."""
    write_atomically(file, (json.dumps(pushed, indent=1) + "\n").encode())


def read_pushed(file: Path, plan: Plan) -> dict[str, str]:
    """What the file says. Raises UsageError where it is no such file, or names what is not in the
    plan.
    """
    hint = "`slimbake ci shared --digests FILE` writes one"
    said = read_json(file, lambda said: said, hint)
    shared = {target.name for target in plan.targets if target.shared}
    if not isinstance(said, dict) or not all(
        isinstance(v, str) and _REFERENCE.fullmatch(v) for v in said.values()
    ):
        raise UsageError(f"{file} holds something else than images by their digests", hint)
    if unknown := sorted(set(said) - shared):
        raise UsageError(
            f"{file} names what services of {plan.manifest} do not share: {', '.join(unknown)}",
            "build them again",
        )
    return said
