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
    weights = set()
    for service in plan.services:
        if service.service in services and service.weights in images:
            weights.add(service.weights)
    if not weights:
        return plan
    volumes = {name: image_volume(images[name], plan.project) for name in sorted(weights)}
    given = []
    for service in plan.services:
        if service.service in services:
            given.append(replace(service, weights_volume=volumes.get(service.weights, "")))
        else:
            given.append(service)
    return replace(plan, services=tuple(given))
