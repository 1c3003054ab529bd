"""The account that Docker's configuration has for a registry, from the file itself or from a
credential helper.

oras reads the same file, but lets a helper hang, breaks over one that answers no JSON, and takes
what the file says where Docker asks the helper.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimbake.errors import SetupError
from slimbake.host import process

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
    if helper := _helper(configuration, registry):
        return _from_helper(helper, registry)
    entries = _mapping(configuration, "auths")
    named = [name for name in entries if registry in (name, _host(name))]
    return _from_file(_mapping(entries, min(named, key=registry.__ne__))) if named else None


def _configuration() -> Mapping[str, Any]:
    file = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _host(name: str) -> str:
    """The host of a name in the file: older versions of Docker kept an address."""
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _helper(configuration: Mapping[str, Any], name: str) -> str:
    """The helper that Docker asks for this registry, without `docker-credential-`; "" for none."""
    chosen = _mapping(configuration, "credHelpers").get(name) or configuration.get("credsStore")
    return chosen if isinstance(chosen, str) else ""


def _from_helper(helper: str, name: str) -> Credentials | None:
    try:
        done = process.execute(
            [f"docker-credential-{helper}", "get"], stdin=name, timeout=_HELPER_SECONDS
        )
        said = json.loads(done.stdout) if done.ok else {}
    except (SetupError, ValueError):
        return None
    return _account(said.get("Username"), said.get("Secret")) if isinstance(said, dict) else None


def _from_file(entry: Mapping[str, Any]) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return _account(_IDENTITY, token)
    try:
        text = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return _account(name, password.rstrip("\0")) if colon else None


def _account(name: object, password: object) -> Credentials | None:
    if isinstance(name, str) and isinstance(password, str) and name and password:
        return Credentials(name, password, name == _IDENTITY)
    return None


def _mapping(outer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = outer.get(key)
    return found if isinstance(found, dict) else {}
