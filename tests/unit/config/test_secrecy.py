"""What looks like a secret, by its name or by its value: it is warned of, and `init` leaves it in the compose file."""

import pytest

from slimbake.config.secrecy import looks_secret

MIXED = "aB3" * 12
SECRETS = {
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n",
    "an encrypted key": "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "GitHub": "ghs_0123456789abcdef",
    "GitLab": "glpat-0123456789abcdef",
    "a package index": "pypi-AgEIcHlwaS5vcmcC",
    "a model hub": "hf_abcdefghijklmnop",
    "a payment": "sk_live_0123456789abcdef",
    "Amazon": "ASIA0123456789ABCDEF",
    "Google": "AIzaSyA0123456789abcdef",
    "a signed token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "a header": "Bearer abcdefgh12345678",
    "another header": "Authorization: Basic YWxhZGRpbjpvcGVu",
    "a webhook": "https://hooks.slack.com/services/T0/B0/x",
    "an address": "amqp://user:word@broker:5672/vhost",
    "an address without a user": "redis://:word@cache:6379/0",
    "an address of a token": "https://0123456789abcdef0123@o1.ingest.example/2",
    "words of a driver": "host=db user=app password=word dbname=app",
    "words with semicolons": "Server=db;User Id=app;Password=word".replace("Password", "password"),
    "long and mixed": MIXED,
}
PLAIN = {
    "nothing": "",
    "a switch": "true",
    "a place": "/run/secrets/key",
    "an address": "postgres://db:5432/app",
    "a mail": "somebody@example.com",
    "a model": "sentence-transformers/all-MiniLM-L6-v2",
    "a commit": "0123456789abcdef0123456789abcdef01234567",
    "a sentence": "Bearer of bad news, basic as it is",
    "a public key": "-----BEGIN PUBLIC KEY-----",
    "options": "--workers=2 --bind=0.0.0.0:8000",
    "a list": "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p",
    "a skill": "sk-learn",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_value(kind: str) -> None:
    assert looks_secret("SETTING", SECRETS[kind])


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_plain_is_none(kind: str) -> None:
    assert not looks_secret("SETTING", PLAIN[kind])


@pytest.mark.parametrize("name", ["SSH_PASSPHRASE", "SENTRY_DSN", "ALERT_WEBHOOK", "BEARER"])
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert looks_secret(name, "x")


# Long enough that a step for each pair of characters takes hours: no time is compared.
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece",
    (
        *("a", "_", "://", "://a:", "://a@", "a://b:c", "eyJ", "eyJa", "-----BEGIN ", "Bearer "),
        *("aA1", "password=", "sk-", "AKIA", "a.", " ", "\n", "${", "/a", "hooks.slack.com/"),
    ),
)
def test_a_long_value_is_read_once(piece: str) -> None:
    looks_secret("A", piece * (1_000_000 // len(piece)) + "!")
