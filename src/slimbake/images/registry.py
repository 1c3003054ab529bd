"""An image on a registry, read over HTTP with Docker's own credentials."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from slimbake.errors import SetupError, UsageError
from slimbake.images import layout
from slimbake.images.model import Address, StoredImage, short_name
from slimbake.loopback import is_loopback

if TYPE_CHECKING:
    from oras.container import Container
    from oras.provider import Registry

_DOCUMENTS = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
_TIMEOUT = 20  # seconds for an answer to begin


class Repository:
    """A repository on a registry: its documents are kept, its layers are streams."""

    def __init__(self, reference: str) -> None:
        from oras.container import Container

        try:
            self._container: Container = Container(reference)
        except ValueError:
            raise UsageError(f"'{reference}' is no image reference", "such as registry://HOST/NAME:TAG") from None
        self._host = str(self._container.registry)
        insecure = is_loopback(self._host)
        scheme = _scheme(self._host, insecure)
        self._client = _client(insecure, scheme)
        configuration = Path(os.environ.get("DOCKER_CONFIG", ""), "config.json")
        known = [str(configuration)] if "DOCKER_CONFIG" in os.environ and configuration.is_file() else None
        self._client.auth.load_configs(self._container, known)
        has = scheme == "basic" and hasattr(self._client.auth, "_basic_auth")
        self._given: dict[str, str] = self._client.auth.get_auth_header() if has else {}
        self._documents: dict[str, bytes] = {}

    def close(self) -> None:
        """End the connection."""
        self._client.session.close()

    def resolve(self) -> str:
        """The digest of what the reference names now; its content is kept."""
        return self._document(self._container.digest or self._container.tag)

    @contextlib.contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """A document that is kept, or a blob as a stream."""
        import urllib3

        if digest in self._documents:
            yield io.BytesIO(self._documents[digest])
            return
        with self._get(self._container.get_blob_url(digest), self._given, stream=True) as answer:
            if answer.status_code == 404:  # not a blob, so a manifest that an index lists
                self._document(digest)
                yield io.BytesIO(self._documents[digest])
                return
            self._check(answer, digest)
            answer.raw.decode_content = False
            answer.raw.auto_close = False  # at its end it is asked once more
            try:
                yield answer.raw
            except urllib3.exceptions.HTTPError as error:
                raise SetupError(f"{self._host} broke off in the middle of {digest}: {error}") from None

    def _document(self, tag: str) -> str:
        accept = {"Accept": ", ".join(_DOCUMENTS)}
        # Not as a stream: with it oras learns what to say of itself, and leaves the refusal before that unread.
        with self._get(self._container.manifest_url(tag), self._given | accept, stream=False) as answer:
            self._check(answer, tag)
            content: bytes = answer.content
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if tag.startswith("sha256:") and tag != digest:
            raise SetupError(f"{self._host} answers {tag} with other content ({digest})")
        self._documents[digest] = content
        return digest

    @contextlib.contextmanager
    def _get(self, url: str, headers: dict[str, str], stream: bool) -> Iterator[Any]:
        import requests

        address = f"{self._client.prefix}://{url}"
        try:
            answer = self._client.do_request(address, "GET", headers=headers, stream=stream)
        except (requests.RequestException, ValueError, AttributeError) as error:
            raise SetupError(f"{self._host} does not answer as a registry does: {error}", _HINT) from None
        with answer:
            yield answer

    def _check(self, answer: Any, what: str) -> None:
        if answer.status_code == 404:
            raise UsageError(f"{self._host} has no {self._container.api_prefix}:{what}")
        if answer.status_code != 200:
            raise SetupError(f"{self._host} answers {answer.status_code} to {self._container.api_prefix}:{what}", _HINT)


_HINT = "`docker login` stores credentials, which are read from Docker's configuration"


def _client(insecure: bool, scheme: str) -> Registry:
    """A client that asks once: oras itself asks five times in two minutes, also where it only lacks a password."""
    from oras.provider import Registry

    logging.getLogger("oras.logger").setLevel(logging.CRITICAL)  # what goes wrong is told by us

    class Client(Registry):  # type: ignore[misc]  # oras has no types
        do_request = inspect.unwrap(Registry.do_request)

    return Client(insecure=insecure, auth_backend=scheme)


def _scheme(host: str, insecure: bool) -> str:
    """How the registry wants to be asked: oras takes another class for each."""
    import requests

    try:
        answer = requests.get(f"{'http' if insecure else 'https'}://{host}/v2/", timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise SetupError(
            f"the registry {host} cannot be reached: {error}", "is it up, and is a proxy needed?"
        ) from None
    return "basic" if answer.headers.get("WWW-Authenticate", "").lower().startswith("basic") else "token"


def image(repository: Repository, address: Address, platform: str) -> StoredImage:
    """The image that a reference names."""
    return layout.image(repository, repository.resolve(), {}, short_name(address.place), platform)
