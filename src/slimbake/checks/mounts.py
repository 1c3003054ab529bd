"""Gives containers the weights that they mount: a volume of the engine with the files of an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from slimbake.docker.volumes import image_volume
from slimbake.plan.model import Plan


def mounted(plan: Plan, images: Mapping[str, str], services: Collection[str]) -> Plan:
    """The plan in which these services have their volumes.

    `images`: target -> the name or id of its image; what a service mounts and has none there, it
    does without. Raises SetupError.
    """
    weights = {s.weights for s in plan.services if s.service in services and s.weights in images}
    if not weights:
        return plan
    volumes = {name: image_volume(images[name], plan.project) for name in sorted(weights)}
    given = (
        replace(service, weights_volume=volumes.get(service.weights, ""))
        if service.service in services
        else service
        for service in plan.services
    )
    return replace(plan, services=tuple(given))
