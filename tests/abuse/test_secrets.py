"""Secrets of a compose file: `init` writes none of them into the manifest, wherever they stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slimbake.adopt.init import InitRequest, report, start

SECRETS = {
    "a key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "an encrypted key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFHDBOBgkq\n",
    "a token of GitHub": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "a token of GitLab": "glpat-0123456789abcdefghij",
    "a token of a model hub": "hf_abcdefghijklmnopqrstuvwxyz",
    "a key of Amazon": "AKIA0123456789ABCDEF",
    "a signed token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "a header": "Authorization: Bearer abcdefghijklmnop123456",
    "a header of a name and a password": "Basic dXNlcjpwYXNzd29yZDEyMw==",
    "an address with a password": "postgres://user:hunter2@db:5432/app",
    "an address with a password alone": "redis://:hunter2@cache:6379/0",
    "an address of errors": "https://0123456789abcdef0123456789abcdef@o1.ingest.example/2",
    "a webhook": "https://hooks.slack.com/services/T00000000/B00000000/abcdefgh",
    "words of a driver": "host=db user=app password=hunter2 dbname=app",
    "a key of a model": "sk-ant-api03-abcdefghijklmnop",
    "a token of a vault": "hvs.CAESIAbcdefghijklmnop",
    "an address with a token": "https://example.com/hook?token=abcdef123456",
    "long and mixed": "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA",
    "letters and digits in turns": "dapi0a1bcd2efg3hij4klm5",
    "words of another driver": "Server=db;Uid=sa;Password=hunter2",
}
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "environment": lambda value: {"environment": {"SETTING": value}},
    "a list of variables": lambda value: {"environment": [f"SETTING={value}"]},
    "an argument of a build": lambda value: {
        "build": {"context": "api", "args": {"SETTING": value}}
    },
    "command": lambda value: {"command": ["python", "-m", "api", value]},
    "an option of a command": lambda value: {"command": ["python", "-m", "api", "--token", value]},
    "a text": lambda value: {"command": f"python -m api --token '{value}'"},
    "entrypoint": lambda value: {"entrypoint": ["python", "-m", "api", value]},
    "healthcheck": lambda value: {"healthcheck": {"test": ["CMD", "curl", "-H", value]}},
    "a shell's healthcheck": lambda value: {
        "healthcheck": {"test": f"curl -H '{value}' localhost"}
    },
    "labels": lambda value: {"labels": {"setting": value}},
    "a default": lambda value: {"environment": {"SETTING": f"${{SETTING:-{value}}}"}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_stays_in_the_compose_file(kind: str, place: str, tmp_path: Path) -> None:
    value = SECRETS[kind]
    (tmp_path / "api").mkdir()
    (tmp_path / "api/Dockerfile").write_text(
        'FROM python:3.11\nARG SETTING\nCOPY . /app\nWORKDIR /app\nCMD ["python", "-m", "api"]\n'
    )
    (tmp_path / "api/api.py").touch()
    service = {"build": "api", **PLACES[place](value)}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": {"api": service}}))
    text = start(tmp_path / "services.yaml", InitRequest()).text
    for part in value.split():
        if len(part) > 20 or part == value:
            assert part not in text, text


def test_variables_are_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api/Dockerfile").write_text('FROM python:3.11\nCMD ["python", "-m", "api"]\n')
    (tmp_path / "api/api.py").touch()
    command = ["python", "-m", "api", "--password=${PASSWORD}", "--url", "postgres://db/app"]
    service = {"build": "api", "command": command, "environment": {"LOG_LEVEL": "info"}}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": {"api": service}}))
    text = start(tmp_path / "services.yaml", InitRequest()).text
    assert "postgres://db/app" in text and "LOG_LEVEL: info" in text


LINES = {
    "an option": 'CMD ["python", "-m", "api", "--password", "hunter2"]',
    "an option with a sign": 'CMD ["python", "-m", "api", "--api-token=hunter2"]',
    "a shell's variable": "CMD PGPASSWORD=hunter2 python -m api",
    "a health check": 'HEALTHCHECK CMD curl -u me:hunter2 localhost\nCMD ["python", "-m", "api"]',
    "a RUN": 'RUN tool login --password hunter2\nCMD ["python", "-m", "api"]',
    "an address": 'RUN pip install git+https://me:hunter2@example.com/x\nCMD ["python", "-m", "api"]',
    "an option in capitals": 'CMD ["python", "-m", "api", "--DB_PASSWORD", "hunter2"]',
    "an option of a camel": 'CMD ["python", "-m", "api", "--dbPassword=hunter2"]',
    "a small text of JSON": """CMD ["python", "-m", "api", '{"password": "hunter2"}']""",
    "a header of a health check": (
        'HEALTHCHECK CMD curl -H "X-Api-Key: hunter2" localhost\nCMD ["python", "-m", "api"]'
    ),
    "a password behind a letter": (
        'HEALTHCHECK CMD redis-cli -a hunter2 ping\nCMD ["python", "-m", "api"]'
    ),
    "a file of accounts": (
        'RUN printf \'machine h login me password hunter2\' > ~/.netrc\nCMD ["python", "-m", "api"]'
    ),
    "a variable": 'ENV MYSQL_PWD=hunter2\nCMD ["python", "-m", "api"]',
    "a volume": 'VOLUME ["/data?token=hunter2x"]\nCMD ["python", "-m", "api"]',
    "a folder": 'WORKDIR /x?token=hunter2x\nCMD ["python", "-m", "api"]',
    "a file of a token": 'RUN echo hunter2 > /etc/api_token\nCMD ["python", "-m", "api"]',
    "a file written in place": 'COPY <<EOF /x\npassword=hunter2\nEOF\nCMD ["python", "-m", "api"]',
    "an image of an account": 'FROM me:hunter2@registry/x\nCMD ["python", "-m", "api"]',
}


@pytest.mark.parametrize("kind", LINES)
def test_a_secret_of_a_dockerfile_is_neither_written_nor_printed(kind: str, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api/Dockerfile").write_text(
        f"FROM python:3.12-slim\nCOPY . /app\nWORKDIR /app\n{LINES[kind]}\n"
    )
    (tmp_path / "api/api.py").touch()
    decided = start(tmp_path / "services.yaml", InitRequest())
    shown = "\n".join((decided.text, *report(decided)))
    assert "hunter2" not in shown
    assert kind == "a variable" or decided.drafts[0].outcome == "kept"


PLAIN: dict[str, dict[str, Any]] = {
    "a further context": {"build": {"context": "api", "additional_contexts": {"x": "URL"}}},
    "a working folder": {"working_dir": "/x?token=hunter2x"},
    "a signal": {"stop_signal": "TOKEN=hunter2"},
    "a volume": {"volumes": ["data:/x?token=hunter2x"]},
    "a user": {"user": "password=hunter2"},
    "an alias of an environment": {"environment": ["DB_PASSWORD: hunter2"]},
    "a nested default": {"environment": {"URL": "${A:-${B:-postgres://me:hunter2@h/d}}"}},
    "an option of Java": {"environment": {"OPTIONS": "-Dpassword=hunter2"}},
    "a Dockerfile in place": {
        "build": {"context": "api", "dockerfile_inline": "FROM python:3.12\nENV TOKEN=hunter2\n"}
    },
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_secret_of_any_key_is_neither_written_nor_printed(kind: str, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api/Dockerfile").write_text('FROM python:3.11\nCMD ["python", "-m", "api"]\n')
    (tmp_path / "api/api.py").touch()
    text = json.dumps({"services": {"api": {"build": "api", **PLAIN[kind]}}})
    (tmp_path / "compose.yaml").write_text(text.replace("URL", "https://me:hunter2@h/x.git"))
    decided = start(tmp_path / "services.yaml", InitRequest())
    assert "hunter2" not in "\n".join((decided.text, *report(decided)))
