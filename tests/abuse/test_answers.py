"""Every answer that a server can give to slimbake's own questions ends: in bytes, in time, in one
error, and nowhere else than where it was asked.
"""

import gzip
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict
from tests.unit.registries import ACCOUNT, registry

from slimbake.inside import answers, fetch
from slimbake.inside.answers import AnswerError, follow
from slimbake.inside.fetch import FetchError, download, opener
from slimbake.inside.step import StepError
from slimbake.registry import ImageRepository
from slimbake.registry.documents import descriptor_of
from slimbake.registry.errors import RegistryError
from slimbake.registry.session import AnswerRefused, Auth, Credentials, Host, Session

MB = 1_000_000
OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = b"Connection: close\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PIECE = b"x" * 10_000
PAUSE = b""  # a piece that is none: the server waits a moment
BOMB = gzip.compress(bytes(20 * MB))

Script = Iterator[bytes]


def said(*parts: bytes) -> Callable[[str], Script]:
    """An answer of these parts, and no more."""
    return lambda _: iter(parts)


def on(*parts: bytes, then: bytes, slow: bool = False) -> Callable[[str], Script]:
    """An answer that begins like this, and goes on without an end."""

    def script(_: str) -> Script:
        yield from parts
        for piece in repeat(then):
            yield piece
            if slow:
                yield PAUSE

    return script


def length(value: bytes) -> Callable[[str], Script]:
    return said(OK + b"Content-Length: " + value + b"\r\n" + CLOSE, b"{}")


def encoded(name: bytes, body: bytes) -> Callable[[str], Script]:
    size = b"Content-Length: %d\r\n" % len(body)
    return said(OK + size + b"Content-Encoding: " + name + b"\r\n" + CLOSE, body)


def redirect(to: str, status: int = 302, body: bytes = b"") -> Callable[[str], Script]:
    def script(here: str) -> Script:
        yield b"HTTP/1.1 %d Elsewhere\r\n" % status
        yield f"Location: {to.replace('HERE', here)}\r\n".encode("latin-1") + CLOSE
        yield from repeat(body) if body else ()

    return script


def chain(_: str) -> Script:
    yield b"HTTP/1.1 302 On\r\nLocation: /v2/a/" + str(time.monotonic_ns()).encode() + b"\r\n"
    yield b"Content-Length: 0\r\n" + CLOSE


SCRIPTS: dict[str, Callable[[str], Script]] = {
    # Heads.
    "nothing": said(),
    "no HTTP": said(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a status without end": on(b"HTTP/1.1 200 ", then=PIECE),
    "a status that is none": said(b"HTTP/1.1 OK\r\n" + CLOSE),
    "a status of many digits": said(b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n" + CLOSE),
    "a header without end": on(OK + b"X: ", then=PIECE),
    "headers without end": on(OK, then=b"X: y\r\n" * 100),
    "a header with NUL": said(OK + b"X: \0\r\n" + CLOSE, b"{}"),
    "a header that is none": said(OK + b"X\r\n" + CLOSE, b"{}"),
    "go on, without end": on(then=b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "go on, slowly": on(then=b"HTTP/1.1 100 Continue\r\n\r\n", slow=True),
    "a status that drips": on(b"HTTP/1.1 200 O", then=b"K", slow=True),
    "headers that drip": on(OK + b"X: ", then=b"y", slow=True),
    "silence": on(then=PAUSE),
    "silence in a head": on(OK + b"X:", then=PAUSE),
    "silence in a body": on(OK + b"Content-Length: 9\r\n\r\n{", then=PAUSE),
    # Bodies.
    "a body without end": on(OK + CLOSE, then=PIECE),
    "a body that drips": on(OK + CLOSE, then=b"x", slow=True),
    "chunks without end": on(CHUNKED, then=b"2710\r\n" + PIECE + b"\r\n"),
    "chunks that drip": on(CHUNKED, then=b"1\r\nx\r\n", slow=True),
    "a chunk's size without end": on(CHUNKED, then=b"0" * 1000),
    "chunks with much beside": on(CHUNKED, then=b"1;" + PIECE + b"\r\nx\r\n"),
    "trailers without end": on(CHUNKED + b"0\r\n", then=b"X: y\r\n" * 100),
    "a trailer without end": on(CHUNKED + b"0\r\nX: ", then=PIECE),
    "a chunk of no size": said(CHUNKED + b"zz\r\nx\r\n0\r\n\r\n"),
    "a chunk below nothing": on(CHUNKED + b"-5\r\n", then=PIECE),
    "a chunk of any size": on(CHUNKED + b"f" * 15 + b"\r\n", then=PIECE),
    "a transfer of another kind": on(OK + b"Transfer-Encoding: x\r\n\r\n", then=PIECE),
    **{
        f"the length {each.decode()[:12]}": length(each)
        for each in (b"abc", b"-5", b"", b"1e3", b"0x10", b"9" * 400, b"1, 2", b"+2", b"2 2")
    },
    "a length that is Arabic": length("٣".encode()),
    "two lengths": said(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n" + CLOSE, b"{}"),
    "a great length": on(OK + b"Content-Length: 999999999999\r\n\r\n", then=PIECE),
    "an error without end": on(b"HTTP/1.1 404 No\r\n" + CLOSE, then=PIECE),
    "a refusal without end": on(b"HTTP/1.1 403 No\r\n" + CLOSE, then=PIECE),
    "busy without end": on(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n" + CLOSE, then=PIECE),
    # Bombs.
    "gzip": encoded(b"gzip", BOMB),
    "gzip, twice": encoded(b"gzip, gzip", gzip.compress(BOMB)),
    "gzip, by its other name": encoded(b"x-gzip", BOMB),
    "deflate": encoded(b"deflate", zlib.compress(bytes(20 * MB))),
    "another encoding": encoded(b"br", b"\x00" * 100),
    "gzip of a chunk": said(CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n", b"5\r\nabcde\r\n"),
    # Elsewhere.
    **{f"by {status}": redirect("ftp://HERE/x", status) for status in (301, 302, 303, 307, 308)},
    **{
        f"to {to}": redirect(to)
        for to in (
            *("file:///etc/passwd", "data:,x", "jar:http://HERE/!", "FTP://HERE/x", "http://[::1"),
            *("http://HERE:99999/", "http://", "//", "http:///x", "http://\xff/"),
            *(f"http://{'a' * 300}.example/", "http://a b/", "http://me:pw@HERE/v2/", "unix:/x"),
        )
    },
    "in a circle": redirect("/v2/a/b"),
    "on and on": chain,
    "elsewhere without end": redirect("/v2/a/b", body=PIECE),
}


class Server(socketserver.ThreadingTCPServer):
    """Answers every request by a script, but those that are to be answered well. `sent`: bytes."""

    daemon_threads, block_on_close, allow_reuse_address = True, False, True

    def __init__(
        self, script: Callable[[str], Script], honest: Callable[[str, str], bytes]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.honest, self.sent = script, honest, 0
        self.over = threading.Event()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        with suppress(OSError, ValueError, IndexError):
            path = self.rfile.readline(65536).decode("latin-1").split()[1]
            while self.rfile.readline(65536).strip():
                pass
            if good := self.server.honest(path, self.server.name):
                self.wfile.write(good)
                return
            for piece in self.server.script(self.server.name):
                if piece == PAUSE:
                    if self.server.over.wait(0.05):
                        return
                    continue
                self.wfile.write(piece)
                self.server.sent += len(piece)


@contextmanager
def server(script: str, honest: Callable[[str, str], bytes]) -> Iterator[Server]:
    with Server(SCRIPTS[script], honest) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            made.shutdown()


EMPTY = OK + b"Content-Length: 0\r\n" + CLOSE


def nothing(path: str, here: str) -> bytes:
    return b""


def root(path: str, here: str) -> bytes:
    return EMPTY if path == "/v2/" else b""


def token(path: str, here: str) -> bytes:
    if path.startswith("/v2/a/") and "manifests" in path:
        realm = f'WWW-Authenticate: Bearer realm="http://{here}/token",service="x",scope="y"\r\n'
        return b"HTTP/1.1 401 Who\r\n" + realm.encode() + b"Content-Length: 0\r\n" + CLOSE
    return root(path, here)


def exchanged(here: str, folder: Path) -> None:
    repository = ImageRepository(f"{here}/a/b")
    repository._host.login = Credentials("<token>", "identity", identity=True)
    repository._auth = Auth(repository._host)
    repository.document("latest")


def downloaded(address: str, to: Path) -> None:
    download(address, to, {DIGEST}, opener((), None), size=MB)


# Of every kind one, for readers that ask by the same session.
KINDS = (
    *("nothing", "headers without end", "go on, without end", "silence", "silence in a body"),
    *("a body without end", "a body that drips", "chunks without end", "a great length", "gzip"),
    *("an error without end", "busy without end", "by 302", "in a circle", "elsewhere without end"),
)
DIGEST = "sha256:" + "0" * 64
READERS: dict[str, tuple[Callable[[str, str], bytes], Callable[[str, Path], object]]] = {
    "a registry": (nothing, lambda here, _: ImageRepository(f"{here}/a/b")),
    "a manifest": (root, lambda here, _: ImageRepository(f"{here}/a/b").document("latest")),
    "a blob": (root, lambda here, _: ImageRepository(f"{here}/a/b").blob(DIGEST)),
    "referrers": (root, lambda here, _: ImageRepository(f"{here}/a/b").referrers(DIGEST)),
    "a token": (token, lambda here, _: ImageRepository(f"{here}/a/b").document("latest")),
    "a token for a token": (token, exchanged),
    "a file": (nothing, lambda here, to: downloaded(f"http://{here}/f", to / "f")),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(answers, "SECONDS", 0.4)
    monkeypatch.setattr(answers, "SLOWEST", 10 * MB)
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr("slimbake.registry.session.TIMEOUTS", (0.4, 0.3))
    monkeypatch.setattr("slimbake.registry.session.RETRIES", 0)
    monkeypatch.setattr("slimbake.registry.session.MOST", MB)
    monkeypatch.setattr("slimbake.registry._LARGEST", MB)


@pytest.mark.parametrize(
    ("reader", "script"),
    [
        *((reader, script) for reader in ("a manifest", "a file") for script in SCRIPTS),
        *((reader, script) for reader in READERS for script in KINDS),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_every_answer_ends(script: str, reader: str, tmp_path: Path) -> None:
    honest, read = READERS[reader]
    with server(script, honest) as asked:
        began = time.monotonic()
        try:
            read(asked.name, tmp_path)
        except (RegistryError, StepError) as error:
            assert len(str(error)) < 3000
        assert time.monotonic() - began < 15
        # Twice as much as an answer may have, a head, and what lies in sockets; twice, as it is
        # asked again with a token.
        assert asked.sent < 2 * (3 * MB + answers.HEAD + 8 * MB)
    assert not list(tmp_path.glob("*f*")), "nothing of it is kept"


WORDS = {
    "a body without end": "sends more than 1,000,000 bytes",
    "a body that drips": "bytes a second at most",
    "gzip": "in an encoding that was not asked for",
    "by 302": "neither http nor https",
    "go on, without end": "an answer without an end",
}


# What is in an encoding is no fault of a file, which has its hash.
ANSWERS = [("a manifest", script) for script in WORDS]
ANSWERS += [("a file", script) for script in WORDS if script != "gzip"]


@pytest.mark.parametrize(("reader", "script"), ANSWERS)
@pytest.mark.usefixtures("impatient")
def test_an_error_says_what_was_wrong(script: str, reader: str, tmp_path: Path) -> None:
    honest, read = READERS[reader]
    with server(script, honest) as asked, pytest.raises((RegistryError, FetchError)) as raised:
        read(asked.name, tmp_path)
    assert WORDS[script] in str(raised.value)


@pytest.mark.usefixtures("impatient")
def test_an_answer_through_a_proxy_ends() -> None:
    with server("a body without end", nothing) as proxy, Session() as session:
        for _ in range(3):
            with pytest.raises(AnswerRefused, match="sends more than 1,000,000 bytes"):
                session.get("http://x.example/", proxies={"http": f"http://{proxy.name}"})
        assert proxy.sent < 3 * 12 * MB


HTTPS = "https://index.example/a"


@pytest.mark.parametrize(
    "address", ["http://index.example/a", "HTTP://other.example", "ftp://x", "", "//x", "file:/x"]
)
def test_nothing_leads_from_tls_to_none_or_to_another_scheme(address: str) -> None:
    with pytest.raises(AnswerError):
        follow(HTTPS, address)


@pytest.mark.parametrize("address", ["https://other.example/b", "HTTPS://x/"])
def test_tls_leads_to_tls(address: str) -> None:
    follow(HTTPS, address)
    follow("http://index.example", address)


class _Silent(Host):
    """A registry, with an account, that nobody asks."""

    def __init__(self, plain: bool) -> None:
        self.plain, self.basic, self.verify = plain, False, True
        self.login = Credentials("me", "word")
        self.asked: list[str] = []
        self.session = self  # type: ignore[assignment]

    def request(self, method: str, url: str, **more: object) -> object:
        self.asked.append(url)
        raise ConnectionError

    def get(self, url: str, **more: object) -> object:
        return self.request("GET", url, **more)


REALMS = {
    ("https://auth.example/token", False): True,
    ("https://auth.example/token", True): True,
    ("http://127.0.0.1:5001/token", True): True,
    ("http://[::1]:5001/token", True): True,
    ("http://localhost:5001/token", True): True,
    ("http://127.0.0.1:5001/token", False): False,
    ("http://auth.example/token", False): False,
    ("http://auth.example/token", True): False,
    ("http://localhost:x@auth.example/token", True): False,
    ("http://127.0.0.1@auth.example/token", True): False,
    ("ftp://127.0.0.1/token", True): False,
    ("file:///etc/passwd", True): False,
    ("127.0.0.1/token", True): False,
}


@pytest.mark.parametrize(("realm", "plain"), REALMS)
def test_an_account_goes_by_tls_or_stays_on_this_machine(realm: str, plain: bool) -> None:
    headers = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    host = _Silent(plain)
    with pytest.raises((ConnectionError, ValueError)):
        Auth(host).opened(SimpleNamespace(headers=CaseInsensitiveDict(headers)))
    assert bool(host.asked) == REALMS[realm, plain]


@pytest.mark.parametrize(
    "scheme", ["http://OTHER/x", "ftp://OTHER/x", "//OTHER/x", "file:///tmp/x"]
)
def test_an_upload_elsewhere_gets_no_account(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    sent: list[dict[str, str]] = []

    def listen(path: str, here: str) -> bytes:
        heard.append(path)
        return EMPTY

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry(auth="basic") as own, server("nothing", listen) as other:
        repository = ImageRepository(f"{own.name}/a/b")
        host = repository._host
        name, _, password = ACCOUNT.partition(":")
        host.login = Credentials(name, password)
        repository._auth = Auth(host)
        ask = host.session.request

        def request(method: str, url: str, **more: Any) -> object:
            if own.name not in url:
                sent.append(dict(more["headers"]))
            return ask(method, url, **more)

        monkeypatch.setattr(host.session, "request", request)
        place = SimpleNamespace(headers={"location": scheme.replace("OTHER", other.name)})
        with suppress(RegistryError):
            repository._finish(place, descriptor_of("", b"x"), b"x")
    assert not any("Authorization" in headers for headers in sent)
    assert bool(heard) == ("http" in scheme or scheme.startswith("//"))
