"""What an image on a registry says of the fingerprint that it was released for.

A tag is no proof: whoever may push may move `fp-...` onto another image, and tools that copy or
clean up do so by accident. So the push also attaches a statement to the image, an OCI referrer that
holds its whole fingerprint, and a tag whose image has no such statement counts as a doubt: the
service is built.

- Not a label of the image: the fingerprint covers the smoke and the budget, which are no part of
  the image. A smoke
  that was edited would give an unchanged image another digest, and every SBOM hangs on that.
- Not an annotation of the manifest, for the same reason; and an engine does not push one that it
  did not make.
- A referrer leaves the image as it is. One image may have several, for each fingerprint that led to
  it.

It is a statement, not a signature: it finds accidents, and images that somebody put there without a
thought of us. Against a person who may push and wants to deceive, only signed images help; such a
person can move the release tags as well. It costs a call for the list of referrers and one for each
statement, so it is read only of an image that has the tag.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimbake.fingerprint.model import fingerprint_tag
from slimbake.registry import ImageRepository
from slimbake.registry.documents import StoredManifest

KIND = "application/vnd.slimbake.fingerprint"


def mark(
    repository: ImageRepository,
    image: StoredManifest,
    fingerprint: str,
    annotations: Mapping[str, str],
) -> None:
    """Say of an image in a repository that it was released for a fingerprint, then give it the tag
    of that.

    Once, however often; no blob of the image is moved. Raises RegistryError.
    """
    repository.attach(image.descriptor, KIND, "fingerprint", fingerprint.encode(), annotations)
    repository.put(fingerprint_tag(fingerprint), image)


def stated(repository: ImageRepository, digest: str, fingerprint: str) -> bool:
    """Whether an image says that it was released for exactly that fingerprint. Raises
    RegistryError.
    """
    return repository.attached(digest, KIND, fingerprint.encode())
