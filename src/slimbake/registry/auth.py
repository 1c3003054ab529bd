"""How one repository is opened: a password for each call, or a token that a password, or nobody's name, is given."""

from __future__ import annotations

from typing import Any

from slimbake.registry.credentials import Account


class Auth:
    """oras' own ways, through our session: the library's sets no limit to a call and sleeps minutes over a password."""

    def __init__(
        self, session: Any, verify: str | bool, account: Account | None, *, basic: bool, plain: bool
    ) -> None:  # fmt: skip
        import oras.auth

        name = "basic" if basic else "token"
        self._ways = oras.auth.get_auth_backend(name, session, insecure=plain, tls_verify=verify)
        self._basic, self._account = basic, account
        if account:
            self._ways.set_basic_auth(account.name, account.password)

    def known(self) -> dict[str, str]:
        """The headers of a call, as far as they are known before it is answered."""
        return dict(self._ways.get_auth_header()) if self._account or not self._basic else {}

    def opened(self, refusal: Any) -> dict[str, str]:
        """The headers that what was refused wants, none where nothing more can be given.

        A token that was refused may have been for reading. Raises ValueError and AttributeError where what gives out
        tokens says something else, and requests' RequestException.
        """
        if self._basic:
            return {}  # it was given already
        self._ways.token = None
        headers, changed = self._ways.authenticate_request(refusal, {})
        return dict(headers) if changed else {}
