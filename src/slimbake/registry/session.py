"""One registry: its connections, how much of an answer is read, and what opens its repositories."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError

from slimbake.errors import SetupError
from slimbake.host import process
from slimbake.inside.answers import CHUNK, Answer, AnswerError, follow
from slimbake.registry.address import Endpoint, is_loopback
from slimbake.registry.errors import RegistryError, failure_words

# The account that Docker's configuration has for a registry, from the file itself or from a
# credential helper.
#
# oras reads the same file, but lets a helper hang, breaks over one that answers no JSON, and takes
# what the file says where Docker asks the helper.

_IDENTITY = "<token>"  # Docker's name for whoever has an identity token
_HELPER_SECONDS = 30.0  # some ask a cloud for a token; none can ask a person


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name with its password, or with a token that stands for the name."""

    name: str
    password: str = field(repr=False)
    # the password is none, but a token that passwords for single repositories are given for
    identity: bool = False


def credentials(registry: str) -> Credentials | None:
    """The account for a registry, by the name that Docker's configuration has for it; None where
    there is none.

    A helper that is missing or fails counts as none: the registry then says what it thinks of that.
    """
    configuration = _configuration()
    helper = _helper(configuration, registry)
    if helper:
        return _from_helper(helper, registry)
    entries = _mapping(configuration, "auths")
    if registry in entries:
        return _from_file(_mapping(entries, registry))
    for name in entries:
        if _host(name) == registry:
            return _from_file(_mapping(entries, name))
    return None


def _configuration() -> Mapping[str, Any]:
    file = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"
    try:
        configuration = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(configuration, dict):
        return configuration
    return {}


def _host(name: str) -> str:
    """The host of a name in the file: older versions of Docker kept an address."""
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _helper(configuration: Mapping[str, Any], name: str) -> str:
    """The helper that Docker asks for this registry, without `docker-credential-`; "" for none."""
    helpers = _mapping(configuration, "credHelpers")
    return str(helpers.get(name) or configuration.get("credsStore") or "")


def _from_helper(helper: str, name: str) -> Credentials | None:
    try:
        done = process.execute(
            [f"docker-credential-{helper}", "get"], stdin=name, timeout=_HELPER_SECONDS
        )
        if not done.ok:
            return None
        answer = json.loads(done.stdout)
    except (SetupError, ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    return _account(answer.get("Username"), answer.get("Secret"))


def _from_file(entry: Mapping[str, Any]) -> Credentials | None:
    token = entry.get("identitytoken")
    if token:
        return _account(_IDENTITY, token)
    try:
        text = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, _, password = text.partition(":")
    return _account(name, password.rstrip("\0"))


def _account(name: object, password: object) -> Credentials | None:
    if isinstance(name, str) and isinstance(password, str) and name and password:
        return Credentials(name, password, name == _IDENTITY)
    return None


def _mapping(outer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = outer.get(key)
    if not isinstance(value, dict):
        return {}
    return value


CONNECTIONS = 32  # at once, to one registry
RETRIES = 3
LONGEST = 30.0  # seconds; a registry that wants more of a pause is asked before
REDIRECTS = 10
_SAID = 1000  # characters of an error that are shown
MOST = 4 << 20  # bytes of an answer: of a manifest, as OCI's specification has it, and of a token
TIMEOUTS = (10.0, 30.0)  # seconds to connect, and without a byte


class _Patience(Retry):
    """urllib3's Retry, but a read timeout is not tried again, and no pause is hours long."""

    def increment(self, *arguments: Any, **more: Any) -> Self:
        if isinstance(error := more.get("error"), ReadTimeoutError):
            raise error
        return super().increment(*arguments, **more)

    def parse_retry_after(self, retry_after: str) -> float:
        try:
            return min(LONGEST, super().parse_retry_after(retry_after))
        except (InvalidHeader, ValueError, OverflowError):
            return 0.0  # as if there were none


class AnswerRefused(requests.RequestException):
    """An answer that slimbake does not read to its end; the text says what its server does."""


def pieces(answer: requests.Response, most: int) -> Iterator[bytes]:
    """The body of an answer as it comes, of so many bytes. Raises requests' RequestException."""
    count = 0
    try:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise AnswerRefused("answers in an encoding that was not asked for")
        original = answer.raw._original_response  # which requests itself takes for its cookies
        original.allow(most)
        for piece in answer.iter_content(CHUNK):
            count += len(piece)
            if count > most:
                raise AnswerRefused(f"sends more than {most:,} bytes")
            yield piece
    except AnswerError as error:
        raise AnswerRefused(str(error)) from None
    except (ValueError, HTTPError):
        raise AnswerRefused("answers what cannot be read") from None
    finally:
        answer.close()


class _Adapter(HTTPAdapter):
    """requests' own, with connections whose answers have an end."""

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **more)
        if not known:
            _bound(manager)
        return manager

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, stream: bool = False, **more: Any
    ) -> requests.Response:
        """As requests has it; but an answer is read here, unless it is good and streamed."""
        answer = super().send(request, stream=True, **more)
        # The body of a redirect requests would read whole.
        if answer.is_redirect or not answer.ok or not stream:
            answer._content = b"".join(pieces(answer, MOST))
        return answer


def _bound(manager: Any) -> None:
    """Have the connections of one of urllib3's managers read their answers as `Answer`."""
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("Bounded", (pool.ConnectionCls,), {"response_class": Answer})
        pools[scheme] = type("Bounded", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = pools


class Session(requests.Session):
    """requests' own, which several threads may use; what asks for a token goes through it too."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = REDIRECTS
        self.headers["Accept-Encoding"] = "identity"
        retry = _Patience(
            RETRIES,
            connect=0,  # a connection that is refused is refused again
            other=0,
            allowed_methods=None,  # a body is bytes: an upload can be sent again
            status_forcelist=(429, *range(500, 505)),
            backoff_factor=0.5,
            backoff_jitter=0.5,
            backoff_max=LONGEST,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(pool_maxsize=CONNECTIONS, max_retries=retry))
        # Of a cookie, some registries take us for a browser.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, *arguments: Any, **more: Any) -> requests.Response:
        """As requests has it, with our limits: AnswerRefused is one of its RequestExceptions."""
        try:
            return super().request(*arguments, **{"timeout": TIMEOUTS, **more})
        except requests.RequestException:
            raise
        except AnswerError as error:
            raise AnswerRefused(str(error)) from None
        except (ValueError, HTTPError):  # requests lets some of urllib3's and of Python's through
            raise AnswerRefused("answers what cannot be read") from None

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer leads to. Raises AnswerError for another scheme, and from TLS to none."""
        target = super().get_redirect_target(resp)
        if target is not None:
            before = str(resp.url)
            follow(before, urljoin(before, target))
        return target


class Host:
    """One registry, as it is asked from here: its connections and the account for it."""

    def __init__(self, at: Endpoint, ca_bundle: str = "") -> None:
        """`ca_bundle`: a file, "" for requests' own. Raises RegistryError where nobody answers."""
        self.session = Session()
        self.session.trust_env = not at.plain  # no proxy leads to this machine's loopback
        self.verify: str | bool = ca_bundle or True
        self.plain = at.plain
        try:
            answer = self.session.get(at.root, verify=self.verify)
        except requests.RequestException as error:
            self.session.close()
            raise RegistryError(
                f"{at.host}: the registry does not answer\n"
                # without the classes around
                + str(error).rpartition("): ")[2].removesuffix('"))')[:_SAID],
                why=failure_words(error),
            ) from None
        self.basic = answer.headers.get("www-authenticate", "").lower().startswith("basic")
        self.login = credentials(at.login)

    def close(self) -> None:
        """End the connections."""
        self.session.close()


class Auth:
    """oras' own ways, through our session: the library's sets no limit to a call and sleeps minutes
    over a password.
    """

    def __init__(self, host: Host) -> None:
        """Opens one repository: a token is for one of them only."""
        import oras.auth

        name = "basic" if host.basic else "token"
        self._ways = oras.auth.get_auth_backend(
            name, host.session, insecure=host.plain, tls_verify=host.verify
        )
        self._host, self._login = host, host.login
        if self._login and not self._login.identity:
            self._ways.set_basic_auth(self._login.name, self._login.password)

    def known(self) -> dict[str, str]:
        """The headers of a call, as far as they are known before it is answered."""
        if self._host.basic and (self._login is None or self._login.identity):
            return {}
        return dict(self._ways.get_auth_header())

    def opened(self, refusal: Any) -> dict[str, str]:
        """The headers that what was refused wants, none where nothing more can be given.

        A token that was refused may have been for reading. Raises ValueError and AttributeError
        where what gives out tokens says something else or is asked without TLS, and requests'
        RequestException.
        """
        from oras.auth.utils import parse_auth_header

        if self._host.basic:
            return {}  # it was given already
        self._ways.token = None
        challenge = parse_auth_header(refusal.headers.get("www-authenticate", ""))
        if challenge.realm and not self._may_know(challenge.realm):
            raise ValueError("the address that gives out its tokens has no TLS")
        if self._login and self._login.identity:
            return self._exchanged(challenge, self._login.password)
        headers, changed = self._ways.authenticate_request(refusal, {})
        if not changed:
            return {}
        return dict(headers)

    def _may_know(self, realm: str) -> bool:
        """Whether an address may get the account: by TLS, or where all is on this machine."""
        parts = urlsplit(realm)
        if parts.scheme == "https":
            return True
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{host}]"
        return parts.scheme == "http" and is_loopback(host) and self._host.plain

    def _exchanged(self, challenge: Any, identity: str) -> dict[str, str]:
        """A token of the repository for an identity token, as OAuth 2 has it and Docker does."""
        form = {"grant_type": "refresh_token", "client_id": "slimbake", "refresh_token": identity}
        if challenge.service:
            form["service"] = challenge.service
        if challenge.scope:
            form["scope"] = challenge.scope
        # A redirect could have the form sent on to another host.
        given = self._host.session.post(
            challenge.realm, data=form, verify=self._host.verify, allow_redirects=False
        )
        self._ways.token = None
        if given.status_code == 200:
            self._ways.token = given.json().get("access_token")
        return dict(self._ways.get_auth_header())
