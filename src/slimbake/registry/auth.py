"""How one repository is opened: a password for each call, or a token that a password, or nobody's
name, is given.
"""

from __future__ import annotations

from typing import Any

from slimbake.registry.credentials import Account


class Auth:
    """oras' own ways, through our session: the library's sets no limit to a call and sleeps minutes
    over a password.
    """

    def __init__(
        self, session: Any, verify: str | bool, account: Account | None, *, basic: bool, plain: bool
    ) -> None:
        import oras.auth

        name = "basic" if basic else "token"
        self._ways = oras.auth.get_auth_backend(name, session, insecure=plain, tls_verify=verify)
        self._session, self._verify = session, verify
        self._basic, self._account = basic, account
        if account and not account.identity:
            self._ways.set_basic_auth(account.name, account.password)

    def known(self) -> dict[str, str]:
        """The headers of a call, as far as they are known before it is answered."""
        if self._basic and (self._account is None or self._account.identity):
            return {}
        return dict(self._ways.get_auth_header())

    def opened(self, refusal: Any) -> dict[str, str]:
        """The headers that what was refused wants, none where nothing more can be given.

        A token that was refused may have been for reading. Raises ValueError and AttributeError
        where what gives out tokens says something else, and requests' RequestException.
        """
        if self._basic:
            return {}  # it was given already
        self._ways.token = None
        if self._account and self._account.identity:
            return self._exchanged(refusal, self._account.password)
        headers, changed = self._ways.authenticate_request(refusal, {})
        return dict(headers) if changed else {}

    def _exchanged(self, refusal: Any, identity: str) -> dict[str, str]:
        """A token of the repository for an identity token, as OAuth 2 has it and Docker does."""
        from oras.auth.utils import parse_auth_header

        wanted = parse_auth_header(refusal.headers.get("www-authenticate", ""))
        form = {"grant_type": "refresh_token", "client_id": "slimbake", "refresh_token": identity}
        form |= {name: value for name in ("service", "scope") if (value := getattr(wanted, name))}
        given = self._session.post(wanted.realm, data=form, verify=self._verify)
        token = given.json().get("access_token") if given.ok else None
        self._ways.token = token
        return dict(self._ways.get_auth_header())
