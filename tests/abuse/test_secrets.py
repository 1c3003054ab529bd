"""Secrets of a compose file: `init` writes none of them into the manifest, wherever they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slimbake.adopt.init import InitRequest, Started, report, start

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
# Keys of a service, in which VALUE is the secret.
PLACES: dict[str, dict[str, Any]] = {
    "environment": {"environment": {"SETTING": "VALUE"}},
    "a list of variables": {"environment": ["SETTING=VALUE"]},
    "an argument of a build": {"build": {"context": "api", "args": {"SETTING": "VALUE"}}},
    "command": {"command": ["python", "-m", "api", "VALUE"]},
    "an option of a command": {"command": ["python", "-m", "api", "--token", "VALUE"]},
    "a text": {"command": "python -m api --token 'VALUE'"},
    "entrypoint": {"entrypoint": ["python", "-m", "api", "VALUE"]},
    "healthcheck": {"healthcheck": {"test": ["CMD", "curl", "-H", "VALUE"]}},
    "a shell's healthcheck": {"healthcheck": {"test": "curl -H 'VALUE' localhost"}},
    "labels": {"labels": {"setting": "VALUE"}},
    "a default": {"environment": {"SETTING": "${SETTING:-VALUE}"}},
}
HEAD = "FROM python:3.11-slim\nCOPY . /app\nWORKDIR /app\n"
CMD = 'CMD ["python", "-m", "api"]\n'


def decided(root: Path, dockerfile: str, **service: Any) -> Started:
    """What `init` decides on one service, of a compose file if keys of it are given."""
    (root / "api").mkdir()
    (root / "api/Dockerfile").write_text(dockerfile)
    (root / "api/api.py").touch()
    if service:
        said = {"services": {"api": {"build": "api", **service}}}
        (root / "compose.yaml").write_text(json.dumps(said))
    return start(root / "services.yaml", InitRequest())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_stays_in_the_compose_file(kind: str, place: str, tmp_path: Path) -> None:
    value = SECRETS[kind]
    escaped = json.dumps(value)[1:-1]
    service = json.loads(json.dumps(PLACES[place]).replace("VALUE", escaped))
    text = decided(tmp_path, f"{HEAD}ARG SETTING\n{CMD}", **service).text
    for part in value.split():
        if len(part) > 20 or part == value:
            assert part not in text, text


def test_variables_are_no_secrets(tmp_path: Path) -> None:
    command = ["python", "-m", "api", "--password=${PASSWORD}", "--url", "postgres://db/app"]
    service = {"command": command, "environment": {"LOG_LEVEL": "info"}}
    text = decided(tmp_path, HEAD + CMD, **service).text
    assert "postgres://db/app" in text and "LOG_LEVEL: info" in text


LINES = {
    "an option": 'CMD ["python", "-m", "api", "--password", "hunter2"]',
    "an option with a sign": 'CMD ["python", "-m", "api", "--api-token=hunter2"]',
    "a shell's variable": "CMD PGPASSWORD=hunter2 python -m api",
    "a health check": "HEALTHCHECK CMD curl -u me:hunter2 localhost",
    "a RUN": "RUN tool login --password hunter2",
    "an address": "RUN pip install git+https://me:hunter2@example.com/x",
    "an option in capitals": 'CMD ["python", "-m", "api", "--DB_PASSWORD", "hunter2"]',
    "an option of a camel": 'CMD ["python", "-m", "api", "--dbPassword=hunter2"]',
    "a small text of JSON": """CMD ["python", "-m", "api", '{"password": "hunter2"}']""",
    "a header of a health check": 'HEALTHCHECK CMD curl -H "X-Api-Key: hunter2" localhost',
    "a password behind a letter": "HEALTHCHECK CMD redis-cli -a hunter2 ping",
    "a file of accounts": "RUN printf 'machine h login me password hunter2' > ~/.netrc",
    "a variable": "ENV MYSQL_PWD=hunter2",
    "a volume": 'VOLUME ["/data?token=hunter2x"]',
    "a folder": "WORKDIR /x?token=hunter2x",
    "a file of a token": "RUN echo hunter2 > /etc/api_token",
    "a file written in place": "COPY <<EOF /x\npassword=hunter2\nEOF",
    "an image of an account": "FROM me:hunter2@registry/x",
}


@pytest.mark.parametrize("kind", LINES)
def test_a_secret_of_a_dockerfile_is_neither_written_nor_printed(kind: str, tmp_path: Path) -> None:
    own = "" if LINES[kind].startswith("CMD") else CMD
    found = decided(tmp_path, f"{HEAD}{LINES[kind]}\n{own}")
    assert "hunter2" not in "\n".join((found.text, *report(found)))
    assert kind == "a variable" or found.drafts[0].outcome == "kept"


PLAIN: dict[str, dict[str, Any]] = {
    "a further context": {"build": {"context": "api", "additional_contexts": {"x": "URL"}}},
    "a working folder": {"working_dir": "/x?token=hunter2x"},
    "a signal": {"stop_signal": "TOKEN=hunter2"},
    "a volume": {"volumes": ["data:/x?token=hunter2x"]},
    "a user": {"user": "password=hunter2"},
    "an alias of an environment": {"environment": ["DB_PASSWORD: hunter2"]},
    "a nested default": {"environment": {"U": "${A:-${B:-postgres://me:hunter2@h/d}}"}},
    "an option of Java": {"environment": {"OPTIONS": "-Dpassword=hunter2"}},
    "a Dockerfile in place": {
        "build": {"context": "api", "dockerfile_inline": "FROM python:3.12\nENV TOKEN=hunter2\n"}
    },
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_secret_of_any_key_is_neither_written_nor_printed(kind: str, tmp_path: Path) -> None:
    said = json.dumps(PLAIN[kind]).replace("URL", "https://me:hunter2@h/x.git")
    found = decided(tmp_path, HEAD + CMD, **json.loads(said))
    assert "hunter2" not in "\n".join((found.text, *report(found)))
