"""What was released, as what deploys it reads it: images by their digests. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slimbake.config.naming import WEIGHTS_FOLDER
from slimbake.errors import UsageError
from slimbake.render.documents import document


@dataclass(frozen=True, slots=True)
class Deployed:
    """One service's image on a registry."""

    repository: str
    tag: str
    digest: str
    weights: Deployed | None = None  # the image that its containers mount

    @property
    def reference(self) -> str:
        """By its digest: no tag that moves changes what is deployed."""
        return f"{self.repository}@{self.digest}"


Images = Mapping[str, Deployed]  # by service


def _json(images: Images) -> str:
    said = {
        service: {
            "image": each.reference,
            "repository": each.repository,
            "tag": each.tag,
            "digest": each.digest,
            **({"weights": each.weights.reference} if each.weights else {}),
        }
        for service, each in images.items()
    }
    return json.dumps(said, indent=2) + "\n"


def _env(images: Images) -> str:
    """Variables for a shell, or for a compose file's `${API_IMAGE}`."""
    names = {service: service.upper().replace("-", "_") for service in images}
    lines = (
        f"{names[service]}_IMAGE={each.reference}\n"
        + (f"{names[service]}_WEIGHTS={each.weights.reference}\n" if each.weights else "")
        for service, each in images.items()
    )
    return "".join(lines)


def _kustomize(images: Images) -> str:
    """The `images` of a kustomization.yaml, which knows them by their repositories."""
    if len({each.repository for each in images.values()}) < len(images):
        raise UsageError("kustomize knows one image of a repository", "name one variant of each")
    listed = [{"name": each.repository, "digest": each.digest} for each in images.values()]
    return document({"images": listed})


def _helm(images: Images) -> str:
    """A file of values, by service."""

    def values(image: Deployed) -> dict[str, str]:
        return {"repository": image.repository, "tag": image.tag, "digest": image.digest}

    return document(
        {
            service: {
                "image": values(each),
                **({"weights": values(each.weights)} if each.weights else {}),
            }
            for service, each in images.items()
        }
    )


def _kubernetes(images: Images) -> str:
    """By service, what the `spec` of its pods says of images: weights are an image volume."""
    return document({service: _pod(service, each) for service, each in images.items()})


def _pod(service: str, image: Deployed) -> dict[str, Any]:
    container: dict[str, Any] = {"name": service, "image": image.reference}
    if not image.weights:
        return {"containers": [container]}
    place = {"name": "weights", "mountPath": WEIGHTS_FOLDER, "readOnly": True}
    volume = {"reference": image.weights.reference, "pullPolicy": "IfNotPresent"}
    return {
        "containers": [{**container, "volumeMounts": [place]}],
        "volumes": [{"name": "weights", "image": volume}],
    }


FORMATS: dict[str, Callable[[Images], str]] = {
    "digests": _json,
    "env": _env,
    "kustomize": _kustomize,
    "helm": _helm,
    "kubernetes": _kubernetes,
}
