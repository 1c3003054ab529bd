"""What was released, for what deploys it: images by their digests. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimbake.plan.model import Plan


def deployed(
    plan: Plan, services: Sequence[str], names: Mapping[str, str], digests: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Each service's image by its digest, which no tag that moves changes, and the image of the
    weights that its containers mount. `names`: target -> name with a tag.
    """
    images = {
        target: f"{name.rpartition(':')[0]}@{digests[target]}" for target, name in names.items()
    }
    weights = {
        each.service: images[each.weights] for each in plan.services if each.weights in images
    }
    found = {}
    for service in services:
        repository, _, tag = names[service].rpartition(":")
        found[service] = {
            "image": images[service],
            "repository": repository,
            "tag": tag,
            "digest": digests[service],
            **({"weights": weights[service]} if service in weights else {}),
        }
    return found
