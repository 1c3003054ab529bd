"""What a pipeline released and signs, and who signs it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from slimbake.config.model import Sign
from slimbake.registry.documents import platform_manifests
from slimbake.release.on_registry import OnRegistry
from slimbake.release.sbom import file_name
from slimbake.render.workflow import GITHUB, GITLAB

_GITHUB_ISSUER = "https://token.actions.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class Signer:
    """The pipeline of a repository, as certificates of keyless signatures name it."""

    issuer: str  # who says so of it
    identity: str  # a regular expression


@dataclass(frozen=True, slots=True)
class Subject:
    """What is signed: an image for one platform, or the index of several."""

    service: str
    platform: str  # "" = the only one, or the index
    repository: str
    digest: str
    sbom: str = ""  # the file of its SBOM; "" = none is attached to it

    @property
    def image(self) -> str:
        """By its digest."""
        return f"{self.repository}@{self.digest}"


def signer(provider: Literal["github", "gitlab"], source: str, branch: str) -> Signer:
    """The pipeline that pushes, of a repository; ValueError where `source` is no address of one.

    `source`: https://HOST/OWNER/NAME, or what Git calls a remote; `branch`: the one that pushes.
    """
    address = re.sub(r"^(?:\w+@)?([\w.-]+):(?!//)", r"https://\1/", source.strip())
    parts = urlsplit(address)
    path = parts.path.strip("/").removesuffix(".git")
    if not parts.hostname or "/" not in path:
        raise ValueError(source)
    # the port of SSH is not that of the pages
    web = parts.scheme in ("http", "https")
    server = f"https://{parts.netloc.rpartition('@')[2] if web else parts.hostname}"
    if provider == "github":
        issuer = _GITHUB_ISSUER if server == "https://github.com" else f"{server}/_services/token"
        file, tags = f"/{GITHUB}", "v.*"
    else:
        issuer, file, tags = server, f"//{GITLAB}", ".*"
    refs = f"refs/(heads/{re.escape(branch)}|tags/{tags})"
    return Signer(issuer, f"^{re.escape(f'{server}/{path}{file}')}@{refs}$")


def subjects(
    images: Iterable[OnRegistry], sboms: Mapping[str, Mapping[str, str]]
) -> tuple[Subject, ...]:
    """What is signed of these images. `sboms`: service -> platform -> what is attached to it."""
    return tuple(each for image in images for each in _subjects(image, sboms[image.target]))


def _subjects(image: OnRegistry, sboms: Mapping[str, str]) -> Iterator[Subject]:
    manifests = platform_manifests(image.document)
    if "" not in manifests:
        yield Subject(image.target, "", image.repository, image.digest)
    for platform, each in manifests.items():
        name = f"{image.target}.{platform.replace('/', '_')}" if platform else image.target
        sbom = file_name(name) if platform in sboms else ""
        yield Subject(image.target, platform, image.repository, each.digest, sbom)


def released_json(sign: Sign, found: Iterable[Subject], by: Signer) -> dict[str, Any]:
    """For the job that signs."""
    images = [
        {
            "service": each.service,
            "platform": each.platform,
            "image": each.image,
            "repository": each.repository,
            "digest": each.digest,
            "sbom": each.sbom,
        }
        for each in found
    ]
    return {"sign": sign, "identity": by.identity, "issuer": by.issuer, "images": images}
