"""One repository of a registry: reads manifests, and attaches artifacts to them as the OCI's referrers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

from slimbake.errors import BuildError
from slimbake.loopback import is_loopback

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER = "application/vnd.docker.distribution.manifest"
_DOCUMENTS = (MANIFEST, INDEX, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json")
_EMPTY = "application/vnd.oci.empty.v1+json"
_HUB, _HUB_HOST, _HUB_LOGIN = "docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"  # Docker's own names
_LOGIN = "`docker login` gives it an account that may push"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest calls a blob or another manifest by."""

    media_type: str
    digest: str
    size: int  # bytes of what it stands for

    def as_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index: what it is called by, and its bytes, which are its identity."""

    descriptor: Descriptor
    content: bytes


def host(name: str) -> str:
    """The registry that an image's name begins with, as Docker reads it."""
    first, slash, _ = name.partition("/")
    return first if slash and (first == "localhost" or "." in first or ":" in first) else _HUB


class Repository:
    """One repository, with the credentials of Docker's configuration."""

    def __init__(self, name: str, ca_bundle: str = "") -> None:
        """`name`: of an image without its tag; `ca_bundle`: a file, "" for requests' own."""
        self._name = name
        at = host(name)
        path = name.removeprefix(f"{at}/")
        if at == _HUB:
            path = path if "/" in path else f"library/{path}"
        self._plain = is_loopback(at)
        self._url = f"{'http' if self._plain else 'https'}://{_HUB_HOST if at == _HUB else at}/v2/{path}"
        self._client = self._connect(_HUB_LOGIN if at == _HUB else at, ca_bundle)

    def _connect(self, login: str, ca_bundle: str) -> Any:
        import oras.container
        import oras.provider
        import requests

        class Client(oras.provider.Registry):  # type: ignore[misc]  # it has no types
            do_request = oras.provider.Registry.do_request.__wrapped__  # its retries sleep two minutes over a password

        verify: str | bool = ca_bundle or True
        session = requests.Session()
        session.trust_env = not self._plain  # no proxy leads to this machine's loopback
        try:
            asked = session.get(f"{self._url.partition('/v2/')[0]}/v2/", verify=verify, timeout=30)
        except requests.RequestException as error:
            raise BuildError(f"{self._name}: the registry does not answer\n{error}") from None
        basic = asked.headers.get("www-authenticate", "").lower().startswith("basic")
        client = Client(insecure=self._plain, tls_verify=verify, auth_backend="basic" if basic else "token")
        client.session.trust_env = not self._plain
        # The library looks for credentials under a registry's own name, and only in the home folder.
        account = oras.container.Container("any/name")
        account.registry = login
        configuration = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser() / "config.json"
        client.auth.load_configs(account, [str(configuration)] if configuration.is_file() else None)
        return client

    def manifest(self, reference: str) -> tuple[Descriptor, dict[str, Any]] | None:
        """The manifest or index under a tag or digest; None where there is none. Raises BuildError."""
        found = self.document(reference)
        return (found.descriptor, dict(json.loads(found.content))) if found else None

    def document(self, reference: str) -> Document | None:
        """The manifest or index under a tag or digest, as it is stored; None where there is none."""
        answer = self._ask("GET", f"manifests/{reference}", {"Accept": ", ".join(_DOCUMENTS)}, allowed=(404,))
        if answer.status_code == 404:
            return None
        media_type = answer.headers.get("content-type", MANIFEST).partition(";")[0]
        return Document(_descriptor(media_type, answer.content), answer.content)

    def put(self, tag: str, found: Document) -> None:
        """Have a tag name a document that the repository holds."""
        self._ask("PUT", f"manifests/{tag}", {"Content-Type": found.descriptor.media_type}, found.content)

    @contextlib.contextmanager
    def blob(self, digest: str) -> Iterator[IO[bytes]]:
        """A blob as a stream, as it is stored. Raises BuildError where there is none, and where it breaks off."""
        import urllib3

        given = {} if hasattr(self._client.auth, "token") else self._client.auth.get_auth_header()
        with self._ask("GET", f"blobs/{digest}", given, stream=True) as answer:
            answer.raw.decode_content = False
            answer.raw.auto_close = False  # at its end a reader asks once more
            try:
                yield answer.raw
            except urllib3.exceptions.HTTPError as error:
                raise BuildError(f"{self._name}: the registry broke off in the middle of {digest}\n{error}") from None

    def close(self) -> None:
        """End the connection."""
        self._client.session.close()

    def attach(self, subject: Descriptor, kind: str, title: str, content: bytes, annotations: Mapping[str, str]) -> str:
        """Attach an artifact to a manifest, and give the artifact's digest; one with that content stays as it is.

        `kind`: its media type; `title`: its file name. Raises BuildError with the registry's words.
        """
        layer = _descriptor(kind, content)
        others = self.referrers(subject.digest)
        for other in others:
            found = self.manifest(other["digest"]) if other.get("artifactType") == kind else None
            if found and [each["digest"] for each in found[1].get("layers", [])] == [layer.digest]:
                return found[0].digest
        config = _descriptor(_EMPTY, b"{}")
        self._upload(layer, content)
        self._upload(config, b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": config.as_json(),
            "layers": [{**layer.as_json(), "annotations": {"org.opencontainers.image.title": title}}],
            "subject": subject.as_json(),
            "annotations": dict(annotations),
        }
        made, answer = self._put(manifest)
        if "oci-subject" not in answer.headers:  # the registry does not keep the list of referrers: then its clients do
            entry = {**made.as_json(), "artifactType": kind, "annotations": dict(annotations)}
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
            self._put(index, _fallback(subject.digest))
        return made.digest

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """The descriptors of what is attached to a manifest: from the registry's list, or from the fallback tag."""
        answer = self._ask("GET", f"referrers/{digest}", {"Accept": INDEX}, allowed=(400, 404, 405))
        if answer.status_code == 200 and answer.headers.get("content-type", "").startswith(INDEX):
            return list(answer.json().get("manifests") or [])
        found = self.manifest(_fallback(digest))
        return list(found[1].get("manifests") or []) if found else []

    def _upload(self, blob: Descriptor, content: bytes) -> None:
        place = self._ask("POST", "blobs/uploads/").headers["location"]
        place = urljoin(self._url, place)
        place += f"{'&' if '?' in place else '?'}digest={blob.digest}"
        self._ask("PUT", place, {"Content-Type": "application/octet-stream"}, content)

    def _put(self, manifest: Mapping[str, Any], tag: str = "") -> tuple[Descriptor, Any]:
        content = json.dumps(manifest, separators=(",", ":")).encode()
        made = _descriptor(manifest["mediaType"], content)
        return made, self._ask("PUT", f"manifests/{tag or made.digest}", {"Content-Type": made.media_type}, content)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] = {}, data: bytes | None = None,
        allowed: tuple[int, ...] = (), stream: bool = False,
    ) -> Any:  # fmt: skip
        import requests

        url = path if "://" in path else f"{self._url}/{path}"
        auth = self._client.auth
        try:
            answer = self._client.do_request(url, method, data=data, headers=dict(headers), stream=stream)
            if answer.status_code == 401 and getattr(auth, "token", None):
                auth.token = None  # it was for reading: the library asks for one that may write only without it
                answer = self._client.do_request(url, method, data=data, headers=dict(headers), stream=stream)
        except (requests.RequestException, ValueError, AttributeError) as error:  # the last two: no credentials
            raise BuildError(f"{self._name}: the registry refuses {method} {path}\n{error}", _LOGIN) from None
        if answer.ok or answer.status_code in allowed:
            return answer
        raise BuildError(
            f"{self._name}: the registry answers {method} {path} with {answer.status_code}\n{answer.text}".strip(),
            _LOGIN if answer.status_code in {401, 403} else "",
        )


def _descriptor(media_type: str, content: bytes) -> Descriptor:
    return Descriptor(media_type, "sha256:" + hashlib.sha256(content).hexdigest(), len(content))


def _fallback(digest: str) -> str:
    """The tag under which clients keep the list of a manifest's referrers where the registry does not."""
    return digest.replace(":", "-")
