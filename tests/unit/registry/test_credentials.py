"""Which account Docker's configuration has for a registry, and what of a helper counts as none."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from slimbake.registry.address import endpoint, host
from slimbake.registry.session import Credentials, credentials

HUB = "https://index.docker.io/v1/"


def entry(name: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture(autouse=True)
def folder(no_account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def configure(folder: Path, **content: Any) -> None:
    (folder / "config.json").write_text(json.dumps(content))


def helper(folder: Path, script: str, name: str = "mine") -> None:
    """A credential helper that reads a registry's name on its stdin."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f'#!/bin/sh\nread -r registry || [ -n "$registry" ]\n{script}\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    "key", ["r.example:5000", "https://r.example:5000", "https://r.example:5000/v1/"]
)
def test_an_account_is_kept_under_a_registry_s_name_or_address(folder: Path, key: str) -> None:
    configure(folder, auths={"other.example": entry("no", "no"), key: entry("someone", "a:b")})
    assert credentials("r.example:5000") == Credentials("someone", "a:b")
    assert credentials("r.example") is None


def test_the_name_itself_is_before_an_address(folder: Path) -> None:
    configure(
        folder, auths={"https://r.example/v1/": entry("old", "x"), "r.example": entry("new", "y")}
    )
    assert credentials("r.example") == Credentials("new", "y")


def stored(auth: bytes | str) -> str:
    """A configuration with this entry."""
    text = auth if isinstance(auth, str) else base64.b64encode(auth).decode()
    return json.dumps({"auths": {"r.example": {"auth": text}}})


@pytest.mark.parametrize(
    "text",
    [
        *("", "garbage", "[]", '{"auths": []}', '{"auths": {"r.example": 5}}', '{"auths": null}'),
        *(stored(auth) for auth in ("", "!", b"nocolon", b"a:")),
        '{"credsStore": "nowhere"}',
    ],
)
def test_a_configuration_without_a_password_has_no_account(folder: Path, text: str) -> None:
    assert credentials("r.example") is None
    (folder / "config.json").write_text(text)
    assert credentials("r.example") is None


def test_a_registry_s_own_helper_is_asked_before_the_one_for_all(folder: Path) -> None:
    helper(folder, """echo "{\\"Username\\": \\"$registry\\", \\"Secret\\": \\"s\\"}" """)
    helper(folder, """echo '{"Username": "all", "Secret": "t"}'""", "all")
    configure(
        folder,
        credHelpers={"r.example": "mine"},
        credsStore="all",
        auths={"r.example": entry("file", "f")},
    )
    assert credentials("r.example") == Credentials("r.example", "s")
    assert credentials("other.example") == Credentials("all", "t")


def test_docker_hub_is_asked_for_under_its_old_address(folder: Path) -> None:
    helper(folder, """echo "{\\"Username\\": \\"$registry\\", \\"Secret\\": \\"s\\"}" """)
    configure(folder, credsStore="mine")
    assert credentials(endpoint("atlas/api").login) == Credentials(HUB, "s")


@pytest.mark.parametrize(
    "script",
    [
        "echo credentials not found in native keychain; exit 1",
        "echo garbage",
        "echo '[]'",
        "echo '{}'",
        """echo '{"Username": 5, "Secret": "x"}'""",
        "kill -9 $$",
    ],
)
def test_a_helper_that_gives_no_password_gives_no_account(folder: Path, script: str) -> None:
    helper(folder, script)
    configure(folder, credsStore="mine")
    assert credentials("r.example") is None


def test_an_identity_token_is_known_as_one(folder: Path) -> None:
    configure(folder, auths={"r.example": {**entry("someone", ""), "identitytoken": "t"}})
    assert credentials("r.example") == Credentials("<token>", "t", identity=True)
    helper(folder, """echo '{"Username": "<token>", "Secret": "u"}'""")
    configure(folder, credsStore="mine")
    assert credentials("r.example") == Credentials("<token>", "u", identity=True)


def test_a_helper_that_hangs_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimbake.registry.session._HELPER_SECONDS", 0.2)
    helper(folder, "exec sleep 1000")
    configure(folder, credsStore="mine")
    assert credentials("r.example") is None


def test_an_account_does_not_print_its_password() -> None:
    assert "secret" not in repr(Credentials("someone", "secret"))


@pytest.mark.parametrize(
    ("name", "at", "url"),
    [
        ("api", "docker.io", "https://registry-1.docker.io/v2/library/api"),
        ("atlas/api", "docker.io", "https://registry-1.docker.io/v2/atlas/api"),
        ("docker.io/api", "docker.io", "https://registry-1.docker.io/v2/library/api"),
        ("index.docker.io/atlas/api", "docker.io", "https://registry-1.docker.io/v2/atlas/api"),
        ("docker.io/atlas/deep/api", "docker.io", "https://registry-1.docker.io/v2/atlas/deep/api"),
        ("Registry/api", "Registry", "https://Registry/v2/api"),
        ("r.example/api", "r.example", "https://r.example/v2/api"),
        ("localhost/a/b", "localhost", "http://localhost/v2/a/b"),
        ("localhost:5000/a/b", "localhost:5000", "http://localhost:5000/v2/a/b"),
        ("[::1]:5000/api", "[::1]:5000", "http://[::1]:5000/v2/api"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "http://127.0.0.1:5000/v2/a/b"),
    ],
)
def test_a_repository_is_asked_for_where_docker_asks(name: str, at: str, url: str) -> None:
    assert (host(name), endpoint(name).url) == (at, url)
    assert endpoint(name).login == (HUB if at == "docker.io" else at)
