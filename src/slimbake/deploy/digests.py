"""What was released, as what deploys it reads it: images by their digests. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slimbake.errors import UsageError
from slimbake.render.documents import document


@dataclass(frozen=True, slots=True)
class Deployed:
    """One service's image on a registry."""

    repository: str
    tag: str
    digest: str

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
        }
        for service, each in images.items()
    }
    return json.dumps(said, indent=2) + "\n"


def _env(images: Images) -> str:
    """Variables for a shell, or for a compose file's `${API_IMAGE}`."""
    names = {service: service.upper().replace("-", "_") for service in images}
    return "".join(f"{names[s]}_IMAGE={each.reference}\n" for s, each in images.items())


def _kustomize(images: Images) -> str:
    """The `images` of a kustomization.yaml, which knows them by their repositories."""
    if len({each.repository for each in images.values()}) < len(images):
        raise UsageError("kustomize knows one image of a repository", "name one variant of each")
    listed = [{"name": each.repository, "digest": each.digest} for each in images.values()]
    return document({"images": listed})


def _helm(images: Images) -> str:
    """A file of values, by service."""
    return document(
        {
            service: {
                "image": {"repository": each.repository, "tag": each.tag, "digest": each.digest}
            }
            for service, each in images.items()
        }
    )


def _compose(images: Images) -> str:
    """A compose file on top of others: `--file compose.yaml --file digests.yaml`."""
    return document({"services": {s: {"image": each.reference} for s, each in images.items()}})


FORMATS: dict[str, Callable[[Images], str]] = {
    "json": _json,
    "env": _env,
    "kustomize": _kustomize,
    "helm": _helm,
    "compose": _compose,
}
