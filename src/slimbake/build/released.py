"""What a pushed image is known by: one fingerprint of all that it was made from and held to. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from slimbake.plan.model import CHECKS, Plan


def released_fingerprints(plan: Plan, found: Mapping[str, str]) -> dict[str, str]:
    """Of each image that is pushed its fingerprint, by its target; where one cannot be known there
    is none.

    `found`: target -> fingerprint. A service has one of its image, its checks and its budget
    together. The budget is in it since a pushed image held to one: a tighter one is to be checked,
    which needs the image here, though it changes nothing in the image.
    """
    made = {t.name: found[t.name] for t in plan.targets if t.shared and t.name in found}
    for service in plan.services:
        checks = (t.name for t in plan.targets if t.kind in CHECKS and t.service == service.service)
        names = (service.service, *checks)
        if all(name in found for name in names):
            words = [*(found[name] for name in names), asdict(service.budget)]
            made[service.service] = (
                "sha256:" + hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
            )
    return made


def platform_fingerprint(fingerprint: str, platform: str) -> str:
    """The fingerprint of an image that is built for one of its platforms alone."""
    return "sha256:" + hashlib.sha256(f"{fingerprint} {platform}".encode()).hexdigest()


def fingerprint_tag(fingerprint: str) -> str:
    """The tag under which an image is pushed for its fingerprint."""
    return "fp-" + fingerprint.removeprefix("sha256:")[:40]
