"""One repository of a registry: reads manifests, puts images together from blobs of others, and
attaches artifacts to them as the OCI's referrers.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from slimbake.host.typed import WRONG
from slimbake.inside.answers import AnswerError, follow
from slimbake.registry.address import endpoint
from slimbake.registry.documents import (
    CONFIG,
    DOCUMENTS,
    INDEX,
    MANIFEST,
    Descriptor,
    StoredManifest,
    descriptor_of,
    is_digest,
    stored_manifest,
)
from slimbake.registry.errors import RegistryError, failure_words

if TYPE_CHECKING:  # requests costs 0.1 s
    from slimbake.registry.session import Host

_EMPTY = "application/vnd.oci.empty.v1+json"
_LOGIN = "`docker login` gives it an account that may push"
_LARGEST = 64 << 20  # bytes of a blob that is held as a whole: a configuration, an SBOM
_SAID = 1000  # bytes of an answer, or of an error, that are shown
_AGAIN = "once the registry answers, the same command goes on from here"


class ImageRepository:
    """One repository, with the credentials of Docker's configuration. Every call raises
    RegistryError.
    """

    def __init__(self, name: str, ca_bundle: str = "", host: Host | None = None) -> None:
        """`name`: of an image without its tag; `ca_bundle`: a file, "" for requests' own; `host`:
        the connections to use, which other repositories share.
        """
        from slimbake.registry.session import Auth, Host

        self._name = name
        self._endpoint = endpoint(name)
        self._url = self._endpoint.url
        self._host = host or Host(self._endpoint, ca_bundle)
        self._auth = Auth(self._host)

    def document(self, reference: str) -> StoredManifest | None:
        """The manifest or index under a tag or digest, as stored; None where there is none."""
        answer = self._ask(
            "GET", f"manifests/{reference}", {"Accept": ", ".join(DOCUMENTS)}, allowed=(404,)
        )
        if answer.status_code == 404:
            return None
        media_type = _media_type(answer, MANIFEST)
        if answer.status_code != 200 or media_type not in DOCUMENTS:
            what = f"answers with {answer.status_code} and no manifest"
            raise self._unusable(reference, what, "answers with no manifest")
        manifest = stored_manifest(media_type, answer.content)
        if is_digest(reference) and reference != manifest.descriptor.digest:
            raise self._unusable(
                reference,
                f"answers with {manifest.descriptor.digest}",
                "answers with another image",
            )
        return manifest

    def put(self, tag: str, manifest: StoredManifest) -> None:
        """Have a tag name a document that the repository holds."""
        answer = self._put(manifest, tag)
        given = answer.headers.get("docker-content-digest", manifest.descriptor.digest)
        # A redirect may have made a GET of it, which a 200 answers too.
        if answer.request.method != "PUT" or given != manifest.descriptor.digest:
            raise self._unusable(
                tag, f"did not take {manifest.descriptor.digest}", "does not take a tag"
            )

    def blob(self, digest: str) -> bytes:
        """A small blob."""
        content = b"".join(self._pieces(digest, _LARGEST))
        if descriptor_of("", content).digest != digest:
            raise self._unusable(digest, "gives other bytes", "gives other bytes")
        return content

    def take(self, blob: Descriptor, other: ImageRepository) -> None:
        """Hold a blob that another repository holds: where both are of one registry nothing is
        moved, else it is copied.
        """
        if self._ask("HEAD", f"blobs/{blob.digest}", allowed=(404,)).status_code == 200:
            return
        query = ""
        if other._endpoint.host == self._endpoint.host:
            query = "?" + urlencode({"mount": blob.digest, "from": other._endpoint.path})
        place = self._ask("POST", f"blobs/uploads/{query}")
        if place.status_code == 201:
            return
        with tempfile.TemporaryFile() as file:
            other._download(blob, file)
            self._finish(place, blob, file)

    def put_image(self, config: bytes, layer: Descriptor, tag: str) -> None:
        """Put an image with one layer, which the repository holds, under a tag."""
        described = descriptor_of(CONFIG, config)
        self._upload(described, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described.as_json(),
            "layers": [layer.as_json()],
        }
        self.put(tag, _written(manifest))

    def attach(
        self,
        subject: Descriptor,
        kind: str,
        title: str,
        content: bytes,
        annotations: Mapping[str, str],
    ) -> str:
        """Attach an artifact to a manifest, and give the artifact's digest; one with that content
        stays as it is.

        `kind`: its media type; `title`: its file name.
        """
        layer = descriptor_of(kind, content)
        others = self.referrers(subject.digest)
        digest = self._holding(others, layer)
        if digest:
            return digest
        config = descriptor_of(_EMPTY, b"{}")
        self._upload(layer, content)
        self._upload(config, b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": config.as_json(),
            "layers": [
                {**layer.as_json(), "annotations": {"org.opencontainers.image.title": title}}
            ],
            "subject": subject.as_json(),
            "annotations": dict(annotations),
        }
        artifact = _written(manifest)
        answer = self._put(artifact)
        # the registry does not keep the list of referrers: then its clients do
        if "oci-subject" not in answer.headers:
            entry = {
                **artifact.descriptor.as_json(),
                "artifactType": kind,
                "annotations": dict(annotations),
            }
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
            self._put(_written(index), _fallback(subject.digest))
        return artifact.descriptor.digest

    def attached(self, digest: str, kind: str, content: bytes) -> bool:
        """Whether an artifact of that kind with exactly that content is attached to a manifest."""
        return bool(self._holding(self.referrers(digest), descriptor_of(kind, content)))

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """The descriptors of what is attached to a manifest: from the registry's list, or from the
        fallback tag.
        """
        answer = self._ask("GET", f"referrers/{digest}", {"Accept": INDEX}, allowed=(400, 404, 405))
        if answer.status_code == 200 and _media_type(answer) == INDEX:
            listed = self.read(stored_manifest(INDEX, answer.content))
        else:
            manifest = self.document(_fallback(digest))
            listed = self.read(manifest) if manifest else {}
        entries = listed.get("manifests")
        if not isinstance(entries, list):
            return []
        return [entry for entry in entries if isinstance(entry, dict)]

    def _holding(self, others: list[dict[str, Any]], layer: Descriptor) -> str:
        """The digest of the one of these artifacts that holds exactly that layer; "" where none
        does.
        """
        for other in others:
            if other.get("artifactType") != layer.media_type:
                continue
            reference = str(other.get("digest"))
            manifest = self.document(reference)
            if manifest is None:
                continue
            try:
                layers = [entry["digest"] for entry in self.read(manifest).get("layers", [])]
            except WRONG:
                raise self._unusable(
                    reference, "has what is no artifact", "answers what cannot be read"
                ) from None
            if layers == [layer.digest]:
                return manifest.descriptor.digest
        return ""

    def _upload(self, blob: Descriptor, content: bytes) -> None:
        self._finish(self._ask("POST", "blobs/uploads/"), blob, content)

    def _finish(self, place: Any, blob: Descriptor, content: bytes | IO[bytes]) -> None:
        """Send a blob to where the registry's answer says."""
        location = place.headers.get("location")
        if not location:
            raise self._unusable("a place to upload to", "names none", "takes no upload")
        separator = "&" if "?" in location else "?"
        address = f"{urljoin(self._url, location)}{separator}digest={blob.digest}"
        self._ask("PUT", address, {"Content-Type": "application/octet-stream"}, content)

    def _download(self, blob: Descriptor, file: IO[bytes]) -> None:
        """Write a blob to a file, to its start."""
        digest = hashlib.sha256()
        for part in self._pieces(blob.digest, blob.size):
            digest.update(part)
            file.write(part)
        if f"sha256:{digest.hexdigest()}" != blob.digest:
            raise self._unusable(blob.digest, "gives other bytes", "gives other bytes")

    def _pieces(self, digest: str, most: int) -> Iterator[bytes]:
        """The content of a blob as it comes, of so many bytes."""
        import requests

        from slimbake.registry.session import pieces

        path = f"blobs/{digest}"
        answer = self._ask("GET", path, stream=True)
        try:
            yield from pieces(answer, most)
        except requests.RequestException as error:
            raise self._failed("GET", path, error) from None

    def _put(self, manifest: StoredManifest, tag: str = "") -> Any:
        return self._ask(
            "PUT",
            f"manifests/{tag or manifest.descriptor.digest}",
            {"Content-Type": manifest.descriptor.media_type},
            manifest.content,
        )

    def read(self, manifest: StoredManifest) -> dict[str, Any]:
        """What a manifest says."""
        try:
            return manifest.read()
        except (ValueError, RecursionError):
            raise self._unusable(
                manifest.descriptor.digest, "has what is no JSON", "answers what cannot be read"
            ) from None

    def _unusable(self, reference: str, what: str, why: str) -> RegistryError:
        return RegistryError(f"{self._name}: asked for {reference}, the registry {what}", why=why)

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = {},
        data: bytes | IO[bytes] | None = None,
        allowed: tuple[int, ...] = (),
        stream: bool = False,
    ) -> Any:
        import requests

        url = path if "://" in path else f"{self._url}/{path}"
        try:
            answer = self._send(method, url, headers, data, stream)
        except requests.RequestException as error:
            raise self._failed(method, path, error) from None
        except (ValueError, AttributeError, RecursionError) as error:  # no token
            message = f"{self._name}: the registry refuses {method} {path}\n{error}"
            raise RegistryError(message, _LOGIN, why=failure_words(error)) from None
        if answer.ok or answer.status_code in allowed:
            return answer
        text = answer.content[:_SAID].decode("utf-8", "replace")
        code = answer.status_code
        message = f"{self._name}: the registry answers {method} {path} with {code}\n{text}".strip()
        hint = _LOGIN if code in {401, 403} else ""
        raise RegistryError(message, hint, why=f"answers {code}")

    def _failed(self, method: str, path: str, error: Exception) -> RegistryError:
        why = failure_words(error)
        message = f"{self._name}: the registry {why} ({method} {path})"
        if str(error) != why:
            message += f"\n{str(error)[:_SAID]}"
        return RegistryError(message, _AGAIN, why=why)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | IO[bytes] | None,
        stream: bool,
    ) -> Any:
        """Ask, and where that is refused once more: with another token, since the one at hand may
        be for reading. An address elsewhere gets none.
        """

        def send(authorised: Mapping[str, str]) -> Any:
            if data is not None and not isinstance(data, bytes):
                data.seek(0)
            given = {**headers, **authorised}
            return self._host.session.request(
                method, url, data=data, headers=given, verify=self._host.verify, stream=stream
            )

        if not self._own(url):  # where an upload goes, by the registry's word
            return send({})
        answer = send(self._auth.known())
        if answer.status_code not in {401, 403}:
            return answer
        opened = self._auth.opened(answer)
        if not opened:
            return answer
        return send(opened)

    def _own(self, url: str) -> bool:
        """Whether an address is of this registry. Raises requests' RequestException where nothing
        is sent to it.
        """
        from slimbake.registry.session import AnswerRefused

        try:
            follow(self._url, url)
        except AnswerError as error:
            raise AnswerRefused(str(error)) from None
        return _origin(self._url) == _origin(url)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    default_port = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname, parts.port or default_port


def _written(manifest: Mapping[str, Any]) -> StoredManifest:
    return stored_manifest(
        manifest["mediaType"], json.dumps(manifest, separators=(",", ":")).encode()
    )


def _media_type(answer: Any, otherwise: str = "") -> str:
    return str(answer.headers.get("content-type", otherwise).partition(";")[0])


def _fallback(digest: str) -> str:
    """The tag under which clients keep the list of a manifest's referrers where the registry does
    not.
    """
    return digest.replace(":", "-")
