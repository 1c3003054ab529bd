"""What looks like a secret, by its name or by its value: it is warned of, and `init` leaves it in the compose file."""

import pytest

from slimbake.config.secrecy import hidden, looks_secret

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
    "letters and digits in turns": "r8_Ab1cdE2fgh3Ij4kLm5no6",
    "a bot": "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "a default": "${PW:-sk_live_0123456789abcdef}",
    "a default of a secret": "${PASSWORD:-word}",
    "an option": "--requirepass word",
    "JSON": '{"password":"word"}',
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
    "a reference": "${PASSWORD}",
    "a default that is none": "${LOG_LEVEL:-info}",
    "a digest": "sha256:" + "0123456789abcdef" * 4,
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_value(kind: str) -> None:
    assert looks_secret("SETTING", SECRETS[kind])


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_plain_is_none(kind: str) -> None:
    assert not looks_secret("SETTING", PLAIN[kind])


NAMES = """SSH_PASSPHRASE SENTRY_DSN ALERT_WEBHOOK BEARER PGPASSWORD MYSQL_PWD DB_PASS ACCESSKEY API_KEYS
SMTP_PASS AUTH_TOKENS MINIO_ROOT_PASSWORD APIKEY PRIVATE_KEY CLIENT_SECRET RABBITMQ_DEFAULT_PASS BASIC_AUTH
DB_CREDENTIALS SVC_CREDS HF_TOKEN awsSecretAccessKey DB_PW GITHUB_PAT TLS_PEM CONNECTION_STRING PRIVKEY TOKENSALT LOGIN_PIN
PGPASS dbpass MYPASS SESSION_COOKIE JWT WEBHOOK_HMAC FERNET WIFI_PSK WALLET_MNEMONIC spring.datasource.password
api.key SECRETKEY SESSIONKEY"""
NO_NAMES = """TOKENIZERS_PARALLELISM KEYCLOAK_URL PASSENGER_PORT AUTHOR MONKEY COMPASS KEYSPACE BYPASS_CACHE
KEYBOARD SASL_MECHANISM MAX_LENGTH JWT_ALGORITHM COOKIE_DOMAIN SURPASS BYPASS TRESPASS"""


@pytest.mark.parametrize("name", NO_NAMES.split())
def test_other_words_are_none(name: str) -> None:
    assert not looks_secret(name, "x")


def test_a_count_of_tokens_is_none() -> None:
    assert not looks_secret("MAX_TOKENS", "512")
    assert looks_secret("DB_PASSWORD", "512")


HIDDEN = {
    "api --password hunter2": "api --password ***",
    "api --db-pass=hunter2 -v": "api --db-pass=*** -v",
    "api --token 'hunter2'": "api --token '***'",
    "sh -c 'PGPASSWORD=hunter2 psql'": "sh -c 'PGPASSWORD=*** psql'",
    "curl -u me:hunter2 http://x": "curl -u me:*** http://x",
    "redis-server --requirepass hunter2": "redis-server --requirepass ***",
    "curl https://x/y?token=hunter22": "curl https://x/y?token=***",
    "run sk-ant-api03-abcdefghijklmnop": "run ***",
    "curl -fsSu me:hunter2 x": "curl -fsSu me:*** x",
    'curl -H "X-Api-Key: hunter2"': 'curl -H "X-Api-Key: ***"',
    "curl -H 'Authorization: Token hunter2'": "curl -H 'Authorization: Token ***'",
    '{"password":"hunter2"}': '{"password":"***"}',
    "Server=db;Pwd = hunter2": "Server=db;Pwd = ***",
    "api --db_password 1-hunter2": "api --db_password ***",
    "api --dbPassword=@hunter2": "api --dbPassword=***",
    "redis-cli -a hunter2 ping": "redis-cli -a *** ping",
    "mysqladmin ping -phunter2": "mysqladmin ping -p***",
    "machine h login me password hunter2": "machine h login me password ***",
    "built from https:/me:hunter2@x": "built from https***",
    "api --secret-key hunter2": "api --secret-key ***",
    "api --api.key=hunter2": "api --api.key=***",
    "api --key 'hunter2'": "api --key '***'",
    "api --pw hunter2": "api --pw ***",
    "api --access-token:hunter2": "api --access-token:***",
    "psql me:hunter2@db/app": "psql ***",
    "psql postgres://me%3Ahunter2@db": "psql postgres***",
    "curl -H 'Cookie: session=hunter2'": "curl -H 'Cookie: session=***'",
    "aws configure set aws_secret_access_key hunter2": (
        "aws configure set aws_secret_access_key ***"
    ),
    "echo hunter2 > ~/.pgpass && id": "echo *** > ~/.pgpass && id",
    "printf '%s' hunter2 >>/run/api_token": "printf '***' hunter2 >>/run/api_token",
    "sshpass -p hunter2 ssh h": "sshpass -p *** ssh h",
    "docker login -u me -p hunter2 reg": "docker login -u me -p *** reg",
    "mongosh -u me -p hunter2": "mongosh -u me -p ***",
    "htpasswd -bc /etc/users admin hunter2": "htpasswd -bc /etc/users admin ***",
}
SHOWN = """api --password ${PASSWORD}
api --password=$PW
PGPASSWORD=$PW psql
curl -u $USER:$PW http://x
api --max-tokens 512
gunicorn --keyfile key.pem
curl -f http://localhost:8000/health
api --key /k
api --sort-key=name --partition-key user
apt-key adv --recv-keys ABCDEF
python -c "print(sorted('ab', key=len))"
docker run -p 80:80 x
set -a; echo ready > /tmp/done
pip install git+ssh://git@github.com/org/repo@v1.0
FROM ghcr.io/org/repo:1.2@sha256:0123
mailto:somebody@example.com
api --token ./file --auth {AUTH}
torch-2.4.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
Meta-Llama-3-8B-Instruct-Q4_K_M.gguf 20240101T000000Z
useradd -u 1000:1000 a
pip install --user x
uvicorn app:app --host 0.0.0.0 --port 80"""


@pytest.mark.parametrize("text", HIDDEN)
def test_a_secret_in_a_text_is_hidden(text: str) -> None:
    assert hidden(text) == HIDDEN[text]


@pytest.mark.parametrize("text", SHOWN.splitlines())
def test_variables_paths_and_numbers_in_a_text_are_none(text: str) -> None:
    assert hidden(text) == text


@pytest.mark.parametrize("name", NAMES.split())
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert looks_secret(name, "x")


PIECES = """a|_|://|://a:|://a@|a://b:c|eyJ|eyJa|-----BEGIN |Bearer |aA1|password=|A_PASSWORD=|--token
--a-|-u a:|?token=|sk-a-|sk-|AKIA|a.| |${|/a|hooks.slack.com/"""


# Long enough that a step for each pair of characters takes an hour: no time is compared.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("piece", [*PIECES.replace("\n", " |").split("|"), "\n"])
def test_a_long_value_is_read_once(piece: str) -> None:
    text = piece * (250_000 // len(piece)) + "!"
    looks_secret("A", text)
    hidden(text)
