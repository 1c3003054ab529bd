"""One registry: a pool of connections for all of its repositories, time limits, and patience with
its bad moments.
"""

from __future__ import annotations

import datetime
import random
from http.cookiejar import DefaultCookiePolicy
from time import monotonic, sleep
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from slimbake.registry.address import Address
from slimbake.registry.auth import Auth
from slimbake.registry.credentials import account
from slimbake.registry.errors import RegistryError, said
from slimbake.registry.patience import AGAIN, Patience, pause

PATIENCE = Patience()
CONNECTIONS = 32  # at once, to one registry


class Session(requests.Session):
    """requests' own, which several threads may use; what asks for a token goes through it too."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience, self._not_before = patience, 0.0
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        # Of a cookie, some registries take us for a browser.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, *words: Any, **more: Any) -> requests.Response:
        """As requests has it, again where that may help; the last answer, whatever it is."""
        more.setdefault("timeout", (self._patience.connect, self._patience.read))
        tried = 0
        while True:
            sleep(max(0.0, self._not_before - monotonic()))
            tried += 1
            try:
                answer = super().request(*words, **more)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                wait = self._pause(tried, "") if _broke_off(error) else None
                if wait is None:
                    raise
            else:
                after = answer.headers.get("retry-after", "")
                wait = self._pause(tried, after) if answer.status_code in AGAIN else None
                if wait is None:
                    return answer
                answer.close()
                if after:  # said to one, and meant for all
                    self._not_before = max(self._not_before, monotonic() + wait)
            sleep(wait)

    def _pause(self, tried: int, retry_after: str) -> float | None:
        now = datetime.datetime.now(datetime.UTC)
        return pause(self._patience, tried, retry_after, now, random.random())  # noqa: S311 - nothing to guess


def _broke_off(error: Exception) -> bool:
    """Whether a connection was there and was cut: one that is refused is refused again."""
    cut = isinstance(error.args[0] if error.args else None, urllib3.exceptions.ProtocolError)
    return cut or isinstance(error, requests.exceptions.ChunkedEncodingError)


class Host:
    """One registry, as it is asked from here: its connections and the account for it."""

    def __init__(self, at: Address, ca_bundle: str = "", patience: Patience = PATIENCE) -> None:
        """`ca_bundle`: a file, "" for requests' own. Raises RegistryError where nobody answers."""
        self.session = Session(patience)
        self.session.trust_env = not at.plain  # no proxy leads to this machine's loopback
        self.verify: str | bool = ca_bundle or True
        self._plain = at.plain
        try:
            asked = self.session.get(at.root, verify=self.verify)
        except requests.RequestException as error:
            self.session.close()
            raise RegistryError(
                f"{at.host}: the registry does not answer\n{error}", why=said(error)
            ) from None
        self._basic = asked.headers.get("www-authenticate", "").lower().startswith("basic")
        self._account = account(at.login)

    def auth(self) -> Auth:
        """What opens one repository: a token is for one of them only."""
        return Auth(self.session, self.verify, self._account, basic=self._basic, plain=self._plain)

    def close(self) -> None:
        """End the connections."""
        self.session.close()
