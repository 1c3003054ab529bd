"""Health checks by curl and wget, and the requests of Python that they become."""

from __future__ import annotations

from typing import Any
from urllib.request import Request

import pytest

from slimbake.adopt.fetches import Fetch, fetch_of
from slimbake.adopt.model import Command, Place

URL = "http://localhost:80/ok"


def fetched(text: str) -> Fetch:
    found = fetch_of(Command((text,), True, Place("Dockerfile", 9)))
    assert found is not None
    return found


def asked(code: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a check hands to urlopen."""
    seen: list[Any] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda what, **_: seen.append(what))
    exec(compile(code, "check", "exec"), {})  # noqa: S102 - init wrote it
    return seen[0]


@pytest.mark.parametrize(
    "text",
    [
        "curl -fsSL --connect-timeout 3 -o /dev/null http://localhost:80/ok || exit 1",
        "curl --fail localhost:80/ok || false",
        "curl -fs http://localhost:80/ok > /dev/null 2>&1 || (echo bad; exit 1)",
        "wget -qO- http://localhost:80/ok",
        "wget -nv -t1 --spider --tries=1 --wait 2 http://localhost:80/ok || exit 1",
        "timeout 5 curl -f --retry 2 'http://localhost:80/ok'",
        "if curl -sf http://localhost:80/ok; then exit 0; else exit 1; fi",
        "curl -f http://localhost:80/ok || exit 1; exit 0",
        "curl -f http://localhost:80/ok && exit 0 || exit 1",
        "sh -c 'wget -q -O /dev/null http://localhost:80/ok'",
        "bash -lc 'curl -f http://localhost:80/ok'",
        "bash -eo pipefail -c 'curl -f http://localhost:80/ok || exit 1'",
        "timeout --foreground -k 1 -s TERM 5 /usr/bin/curl -f http://localhost:80/ok",
        "env -i A=b busybox wget -q http://localhost:80/ok",
        "command curl -f http://localhost:80/ok",
    ],
)
def test_options_that_leave_the_request_as_it_is_are_dropped(text: str) -> None:
    assert fetched(text) == Fetch(f"import urllib.request as r; r.urlopen({URL!r})")


@pytest.mark.parametrize(
    "text", ["curl -fm2.5 {}", "curl --max-time 2.5 {}", "wget -qT 2.5 {}", "wget --timeout=2.5 {}"]
)
def test_a_time_limit_of_the_request_stays(text: str) -> None:
    code = f"import urllib.request as r; r.urlopen({URL!r}, timeout=2.5)"
    assert fetched(text.format(URL)) == Fetch(code)


@pytest.mark.parametrize(
    ("text", "method", "headers", "data"),
    [
        (
            f"curl -fsSH 'Host: shop.example' --header \"X-Token: abc\" {URL}",
            "GET",
            {"Host": "shop.example", "X-token": "abc"},
            None,
        ),
        (f"curl -XPUT {URL}", "PUT", {}, None),
        (f"curl -f -d a=1 --data-raw 'b=$2' {URL}", "POST", {}, b"a=1&b=$2"),
        (f"curl -sI {URL}", "HEAD", {}, None),
        ("wget http://a:b@localhost:80/ok", "GET", {"Authorization": "Basic YTpi"}, None),
        (f"curl -u a:b -A probe {URL}", "GET", {"Authorization": "Basic YTpi"}, None),
        (f"wget -q --user=a --password b {URL}", "GET", {"Authorization": "Basic YTpi"}, None),
        (f"wget --method=DELETE --header='A: b' {URL}", "DELETE", {"A": "b"}, None),
        (f"wget --post-data='{{\"é\": 1}}' -O- {URL}", "POST", {}, '{"é": 1}'.encode()),
        (f'curl -H "Host: $NAME" -d $NAME {URL}', "POST", {"Host": "me"}, b"me"),
    ],
)
def test_a_request_keeps_its_headers_method_and_data(
    text: str, method: str, headers: dict[str, str], data: bytes | None, monkeypatch: Any
) -> None:
    monkeypatch.setenv("NAME", "me")
    made = asked(fetched(text).code, monkeypatch)
    assert isinstance(made, Request)
    assert fetched(text).lost == ()
    assert (made.full_url, made.get_method(), made.data) == (URL, method, data)
    assert headers.items() <= made.headers.items()


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (f"curl -fs {URL} | grep -q ok", ["| grep -q ok"]),
        (f"curl -fs {URL} || kill 1", ["|| kill 1"]),
        (f"curl -fs {URL} || true", ["|| true"]),
        (f"curl -fs {URL} || exit 0", ["|| exit 0"]),
        (f"curl -fs {URL}; exit 0", ["exit 0"]),
        (f"if [ -f x ]; then curl {URL} || exit 1; fi", ["[ -f x ]"]),
        (f"if curl -fs {URL}; then exit 1; else exit 0; fi", ["then exit 1", "else exit 0"]),
        (f"curl -fs {URL} && exit 1", ["&& exit 1"]),
        (f"pgrep app && curl -f {URL} && test -f /tmp/ok", ["pgrep app", "&& test -f /tmp/ok"]),
        (f"[ \"$(curl -so /dev/null -w '%{{http_code}}' {URL})\" = 200 ]", ['[ "$(...)" = 200 ]']),
    ],
)
def test_what_a_check_does_with_the_answer_is_named(text: str, lost: list[str]) -> None:
    found = fetched(text)
    assert f"r.urlopen({URL!r})" in found.code
    assert [*found.lost] == lost


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("curl -fsk https://localhost/ok", ["-k"]),
        (
            "curl --unix-socket /tmp/g.sock http://localhost/ok",
            ["--unix-socket /tmp/g.sock"],
        ),
        (f"curl -d @file {URL}", ["-d @file"]),
        ("curl http://localhost:${PORT:-$OTHER}/ok", []),
        ("PORT=1; curl -f http://localhost:${PORT:-80}/ok", []),
        (f"curl -u $NAME:$WORD {URL}", []),
        ("PORT=${PORT:-8000}; curl -f http://localhost:$PORT/ok", []),
        ("export PORT=80 && curl -f http://localhost:$PORT/ok", []),
        ("wget --no-check-certificate https://localhost/ok", ["--no-check-certificate"]),
    ],
)
def test_a_request_that_python_cannot_make_is_none(text: str, lost: list[str]) -> None:
    assert fetched(text) == Fetch("", tuple(lost))


@pytest.mark.parametrize(
    ("option", "code"),
    [
        (
            "http://127.0.0.1:${PORT:-8000}/healthz",
            "r.urlopen('http://127.0.0.1:' + (os.environ.get('PORT') or '8000') + '/healthz')",
        ),
        (
            '"http://$HOST:${PORT-80}"',
            "r.urlopen(os.path.expandvars('http://$HOST:') + os.environ.get('PORT', '80'))",
        ),
        (
            '-H "Host: ${NAME:-a}" -d "${BODY:-b c}" http://localhost',
            "r.urlopen(r.Request('http://localhost',"
            " data=bytes((os.environ.get('BODY') or 'b c'), 'utf-8'),"
            " headers={'Host': (os.environ.get('NAME') or 'a')}))",
        ),
    ],
)
def test_a_variable_with_a_default_is_read_by_python(option: str, code: str) -> None:
    assert fetched(f"curl -fsS {option} || exit 1") == Fetch(
        f"import os, urllib.request as r; {code}"
    )


@pytest.mark.parametrize(("value", "port"), [(None, 8000), ("", 8000), ("9", 9)])
def test_a_default_is_taken_where_the_variable_is_empty(
    value: str | None, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORT", raising=False)
    if value is not None:
        monkeypatch.setenv("PORT", value)
    code = fetched("curl http://127.0.0.1:${PORT:-8000}/ok").code
    assert asked(code, monkeypatch) == f"http://127.0.0.1:{port}/ok"


def test_a_check_without_a_fetch_is_no_request() -> None:
    assert fetch_of(Command(("celery", "inspect", "ping"), False, Place("Dockerfile"))) is None
    assert fetch_of(Command(("python check.py || exit 1",), True, Place("Dockerfile"))) is None
    assert fetch_of(Command((), True, Place("compose.yaml"))) is None
    assert fetch_of(Command(("command -v curl",), True, Place("Dockerfile"))) is None


def test_operators_in_a_list_of_words_are_read_as_they_are_meant() -> None:
    words = ("curl", "-f", URL, "||", "exit", "1")
    found = fetch_of(Command(words, False, Place("Dockerfile")))
    shell = ("bash", "-o", "pipefail", "-c", f"curl -f {URL}")
    assert fetch_of(Command(shell, False, Place("Dockerfile"))) == found
    assert found == Fetch(f"import urllib.request as r; r.urlopen({URL!r})")


@pytest.mark.parametrize(
    ("option", "secret"),
    [
        ("-H 'X-Token: a'", "X-Token"),
        ('-H "X-Token: $TOKEN"', ""),
        ("-H 'Host: a'", ""),
        ("-u a:b", "Authorization"),
        ("-d password=hunter2", "password"),
        ('-d \'{"api_key": "a", "b": 1}\'', "api_key"),
        ('-d "a=1&token=$TOKEN"', ""),
    ],
)
def test_a_secret_in_a_check_is_seen(option: str, secret: str) -> None:
    assert fetched(f"curl {option} {URL}").secret == secret


def test_a_secret_in_the_address_of_a_check_is_seen() -> None:
    assert fetched(f'curl "{URL}?a=1&token=abc"').secret == "token"  # noqa: S105
    assert fetched(f'curl "{URL}?a=1&token=$T"').secret == ""
