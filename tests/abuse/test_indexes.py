"""An index that lies, floods or knows no SHA-256: `lock` reads no file of this machine for it, ends, and
locks what an honest one has.
"""

import gzip
import hashlib
import itertools
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.abuse.conftest import Slimbake
from tests.wheels import metadata, sdist_bytes, wheel_bytes

from slimbake.host import uv

FILE = "core-1-py3-none-any.whl"
SOURCES = "core-1.tar.gz"
JSON = "application/vnd.pypi.simple.v1+json"
MANIFEST = """\
project: toys
python: "3.11"
services:
  one: {context: one, requirements: [core], command: [python, -m, app]}
"""
WHEEL = wheel_bytes("core", "1", [])
SDIST = sdist_bytes("core", "1", [])
SETUPTOOLS = wheel_bytes("setuptools", "99", [])
BUILDER = b'<a href="/files/setuptools-99-py3-none-any.whl">setuptools-99-py3-none-any.whl</a>'
SECRET = wheel_bytes("core", "1", ["secret"])
SECRET_SDIST = sdist_bytes("core", "1", ["secret"])

Body = Callable[[], Iterator[bytes]]


@dataclass
class Liar:
    """An index with one package, whose entry and answers a test decides."""

    url: str
    entry: dict[str, Any] = field(default_factory=dict)
    page: bytes | None = None  # in place of the entry's
    bodies: dict[str, Body] = field(default_factory=dict)  # path -> what is sent
    headers: dict[str, Mapping[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def offer(self, file: str, content: bytes, **about: Any) -> None:
        """Have it offer a file, without a hash unless one is said."""
        self.entry = {"filename": file, "url": f"/files/{file}", "hashes": {}} | about
        self.bodies[f"/files/{file}"] = lambda: iter([content])


@pytest.fixture
def liar(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            if self.path == "/simple/core/":
                page = {"meta": {"api-version": "1.1"}, "name": "core", "files": [index.entry]}
                whole = index.page or json.dumps(page).encode()
                body = index.bodies.get(self.path, lambda: iter([whole]))
                kind = "text/html" if index.page else JSON
                self.send_response(200)
                for name, value in {"Content-Type": kind, **index.headers.get("page", {})}.items():
                    self.send_header(name, value)
            elif self.path in index.bodies:
                body = index.bodies[self.path]
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
            else:
                body = lambda: iter(())  # noqa: E731
                self.send_response(404)
            self.end_headers()
            with suppress(OSError):
                for piece in body() if self.command == "GET" else ():
                    self.wfile.write(piece)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    index = Liar(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "wheelhouse"))
    index.bodies["/simple/setuptools/"] = lambda: iter([BUILDER])
    index.bodies["/files/setuptools-99-py3-none-any.whl"] = lambda: iter([SETUPTOOLS])
    index.offer(FILE, WHEEL)
    yield index
    server.shutdown()
    server.server_close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "repository"
    (made / "one").mkdir(parents=True)
    (made / "services.yaml").write_text(MANIFEST)
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of this machine that no setting names, with what an index would offer."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / FILE).write_bytes(SECRET)
    (folder / SOURCES).write_bytes(SECRET_SDIST)
    (folder / "shadow").write_text("root:x\n")
    os.mkfifo(folder / "fifo")
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def locked(root: Path) -> str:
    folder = root / "bake/locks"
    return "".join(path.read_text() for path in sorted(folder.glob("*"))) if folder.is_dir() else ""


SECRETS = {sha256(SECRET), sha256(SECRET_SDIST), sha256(b"root:x\n")}


def reads_no_secret(root: Path, stderr: str, wheelhouse: Path) -> None:
    said = locked(root) + stderr
    assert not any(digest in said for digest in SECRETS)
    kept = [path for path in wheelhouse.rglob("*") if path.is_file()]
    assert not any(sha256(path.read_bytes()) in SECRETS for path in kept)


ADDRESSES = (
    *("file://SECRET/{file}", "FILE://SECRET/{file}", "file:SECRET/{file}"),
    *("file://localhost/SECRET/{file}", "file:///.//SECRET/{file}"),
    *("file://LINKS/../secret/{file}", "file://LINKS/%2e%2e/secret/{file}"),
    *("file://LINKS-not/{file}", "file://SECRET/./{file}#x", "file://SECRET/{file}?x"),
    *("file://SECRET/shadow", "file:///dev/zero", "file:///dev/null", "file:///etc/passwd"),
    *("file:///proc/self/environ", "SECRET/{file}", "//localhost/SECRET/{file}"),
    *("/../..SECRET/{file}", "{file}", "ftp://127.0.0.1/SECRET/{file}", "data:,x"),
)


@pytest.mark.parametrize("hashes", ["", "md5"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_lock_reads_no_file_that_an_index_names(
    address: str,
    hashes: str,
    liar: Liar,
    slimbake: Slimbake,
    root: Path,
    secret: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (tmp_path / "links-not").symlink_to(secret)
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    file = SOURCES if len(address) % 3 == 0 else FILE
    content = SECRET_SDIST if file == SOURCES else SECRET
    url = address.replace("SECRET", str(secret)).replace("LINKS", str(links)).format(file=file)
    liar.offer(file, WHEEL, url=url, hashes=named(hashes, content))
    done = slimbake("lock", at=root)
    assert done.code != 0
    reads_no_secret(root, done.stderr, tmp_path / "wheelhouse")


def test_the_path_of_an_address_is_none_of_this_machine(
    liar: Liar, slimbake: Slimbake, root: Path, secret: Path, tmp_path: Path
) -> None:
    """What the index serves there is another file, and that one is locked."""
    liar.entry["url"] = f"{secret}/{FILE}"
    liar.entry["hashes"] = named("md5", WHEEL)
    liar.bodies[f"{secret}/{FILE}"] = lambda: iter([WHEEL])
    done = slimbake("lock", at=root)
    assert done.code == 0, done.stderr
    assert sha256(WHEEL) in locked(root)
    reads_no_secret(root, done.stderr, tmp_path / "wheelhouse")


def test_a_folder_that_a_setting_names_is_read(
    slimbake: Slimbake, liar: Liar, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar.page = b"<html></html>"
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / FILE).write_bytes(WHEEL)
    (tmp_path / "links").symlink_to("real")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    done = slimbake("lock", at=root)
    assert done.code == 0, done.stderr
    assert sha256(WHEEL) in locked(root)


def named(names: str, content: bytes) -> dict[str, str]:
    """The hashes of these names."""
    return {name: hashlib.new(name, content).hexdigest() for name in names.split()}


HASHED = ("", "md5", "sha512", "sha384", "sha1", "md5 sha512", "sha224", "sha256")
FORMS = ("JSON with a size", "HTML", "metadata", "sources")


@pytest.mark.parametrize(
    ("hashes", "form"),
    [
        *((hashes, "JSON") for hashes in HASHED),
        *((hashes, form) for hashes in ("", "md5", "sha256") for form in FORMS),
    ],
)
def test_an_honest_index_is_locked_by_sha256(
    hashes: str, form: str, liar: Liar, slimbake: Slimbake, root: Path, tmp_path: Path
) -> None:
    file, content = (SOURCES, SDIST) if form == "sources" else (FILE, WHEEL)
    known = named(hashes, content)
    liar.offer(file, content, hashes=known)
    if form == "JSON with a size":
        liar.entry["size"] = len(content)
    if form == "metadata":
        liar.entry["core-metadata"] = True
        liar.bodies[f"/files/{file}.metadata"] = lambda: iter([metadata("core", "1", [])])
    if form == "HTML":
        fragment = "".join(f"#{name}={known[name]}" for name in known)
        liar.page = f'<a href="/files/{file}{fragment}">{file}</a>'.encode()
    done = slimbake("lock", at=root)
    assert done.code == 0, done.stderr
    assert sha256(content) in locked(root)
    lines = [line for line in done.stderr.splitlines() if "gives no SHA-256" in line]
    assert len(lines) <= 1
    assert slimbake("lock", "--check", at=root).code == 0
    done = slimbake("lock", "--fetch", at=root)
    assert done.code == 0, done.stderr
    kept = [path for path in (tmp_path / "wheelhouse").rglob(file) if "sha256" in path.parts]
    assert {sha256(path.read_bytes()) for path in kept} == {sha256(content)}


def test_a_file_without_a_sha256_is_named_once(liar: Liar, slimbake: Slimbake, root: Path) -> None:
    liar.entry["hashes"] = named("md5", WHEEL)
    done = slimbake("lock", at=root)
    line = f"{FILE}: the index gives no SHA-256, so slimbake downloads it"
    assert done.stderr.count(line) == 1


ODD: dict[str, dict[str, Any]] = {
    "an address of a number": {"url": 7},
    "no address": {"url": ""},
    "an address with an end of a line": {"url": f"/files/{FILE}\n--hash=x"},
    "an address of a terminal": {"url": f"/files/\x1b[2J{FILE}"},
    "an address of half a character": {"url": f"/files/\ud800{FILE}"},
    "an address without a host": {"url": "http:///x"},
    "an address of any port": {"url": f"http://127.0.0.1:99999/{FILE}"},
    "an address with an account": {"url": f"http://me:hunter2@127.0.0.1:9/{FILE}"},
    "hashes of a list": {"hashes": ["sha256"]},
    "a hash of a number": {"hashes": {"sha256": 7}},
    "a hash that is a path": {"hashes": {"sha256": "../../x"}},
    "a hash that is cut": {"hashes": {"sha256": "0" * 63}},
    "a hash with an end of a line": {"hashes": {"sha256": "0" * 63 + "\n"}},
    "a size below nothing": {"size": -1},
    "a size of a text": {"size": "9"},
    "a size with a point": {"size": 1.5},
    "a size of 30 digits": {"size": 10**30},
    "a Python that is none": {"requires-python": "\x1b[2J"},
    "a Python of a megabyte": {"requires-python": ">=3," * 250_000},
    "a reason of a terminal": {"yanked": "\x1b]0;x\x07\u202e"},
    "a reason of a megabyte": {"yanked": "x" * 1_000_000},
    "a time that is none": {"upload-time": "never"},
    "a file that is a path": {"filename": "../../core-1-py3-none-any.whl"},
    "a file of another package": {"filename": "leaf-1-py3-none-any.whl"},
    "sources that are a path": {"filename": "../../core-1.tar.gz"},
    "a file that is hidden": {"filename": ".core-1.tar.gz"},
    "metadata of a list": {"core-metadata": [1]},
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_entry_of_an_index_is_named_or_left_out(
    kind: str, liar: Liar, slimbake: Slimbake, root: Path, tmp_path: Path
) -> None:
    liar.entry |= ODD[kind]
    before = sorted(tmp_path.iterdir())
    done = slimbake("lock", at=root)
    assert len(done.stderr) < 10_000
    assert "hunter2" not in done.stderr
    if done.code == 0:
        assert f"--hash=sha256:{sha256(WHEEL)}" in locked(root)
    made = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert made <= {"uv", "wheelhouse"}


MB = 1_000_000


def endless(piece: bytes) -> Body:
    return lambda: itertools.repeat(piece)


def bomb() -> Iterator[bytes]:
    """A member of 20 MB in 20 kB, again and again."""
    return itertools.repeat(gzip.compress(b" " * 20 * MB))


def page(liar: Liar, body: Body, **headers: str) -> None:
    liar.bodies["/simple/core/"] = body
    liar.headers["page"] = {name.replace("_", "-"): value for name, value in headers.items()}


def about(liar: Liar, body: Body) -> None:
    liar.entry["core-metadata"] = True
    liar.bodies[f"/files/{FILE}.metadata"] = body


def file(liar: Liar, body: Body, **entry: Any) -> None:
    """The file itself has no end; its metadata has one."""
    liar.entry |= {"core-metadata": True, "hashes": {"md5": "0" * 32}, **entry}
    liar.bodies[f"/files/{FILE}.metadata"] = lambda: iter([metadata("core", "1", [])])
    liar.bodies[f"/files/{FILE}"] = body


def sources(liar: Liar, body: Body) -> None:
    liar.offer(SOURCES, b"")
    liar.bodies[f"/files/{SOURCES}"] = body


def many(word: bytes) -> Body:
    def body() -> Iterator[bytes]:
        yield b'{"meta":{"api-version":"1.1"},"name":"core","files":['
        yield from itertools.repeat(word * 1000)

    return body


ENTRY = b'{"filename":"core-1-py3-none-any.whl","url":"/x","hashes":{}},'
FLOODS: dict[str, Callable[[Liar], None]] = {
    "a page of blanks": lambda liar: page(liar, endless(b" " * MB)),
    "a page of entries": lambda liar: page(liar, many(ENTRY)),
    "a page of texts": lambda liar: page(liar, many(b'"x",')),
    "a page of brackets": lambda liar: page(liar, endless(b"[" * MB)),
    "a page of one text": lambda liar: page(liar, many(b"x")),
    "a page that is packed": lambda liar: page(liar, bomb, Content_Encoding="gzip"),
    "a page of HTML": lambda liar: page(
        liar, endless(b"<a href=x>y</a>" * 1000), Content_Type="text/html"
    ),
    "a page of nested HTML": lambda liar: page(
        liar, endless(b"<div>" * 10_000), Content_Type="text/html"
    ),
    "metadata of blanks": lambda liar: about(liar, endless(b" " * MB)),
    "metadata of requirements": lambda liar: about(liar, endless(b"Requires-Dist: x\n" * 10_000)),
    "metadata of one line": lambda liar: about(liar, endless(b"Requires-Dist: " + b"x" * MB)),
    "a wheel": lambda liar: liar.bodies.update({f"/files/{FILE}": endless(b"x" * MB)}),
    "a wheel that begins well": lambda liar: liar.bodies.update(
        {f"/files/{FILE}": lambda: itertools.chain([WHEEL], itertools.repeat(b"x" * MB))}
    ),
    "sources": lambda liar: sources(liar, endless(b"x" * MB)),
    "a wheel that is hashed": lambda liar: file(liar, endless(b"x" * MB)),
    "a wheel that has a size": lambda liar: file(liar, endless(b"x" * MB), size=len(WHEEL)),
    "a wheel of no bytes": lambda liar: file(liar, lambda: iter([b"x"]), size=0),
    "a wheel of great size": lambda liar: file(liar, endless(b"x" * MB), size=2**62),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_an_index_that_floods_ends(
    flood: str, liar: Liar, slimbake: Slimbake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dict.fromkeys(uv._LIMITS, 300 * MB)
    monkeypatch.setattr("slimbake.host.uv._LIMITS", limits)
    monkeypatch.setattr("slimbake.host.uv._LONGEST", 4.0)
    monkeypatch.setattr("slimbake.inside.fetch.MOST", 50 * MB)
    FLOODS[flood](liar)
    done = slimbake("lock", at=root)
    assert done.code != 0
    assert len(done.stderr) < 4000
    assert not re.search(r"--hash=sha256:", locked(root))
