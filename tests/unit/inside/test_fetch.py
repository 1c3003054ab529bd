"""The download of wheels, inside a build and on the machine: verified, taken up where it broke,
discreet.
"""

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.index import Index, serving
from tests.wheels import make_wheel

from slimbake.inside import answers, fetch
from slimbake.inside.fetch import FetchError, LocatedWheel, choose_wheel, download, opener
from slimbake.inside.locked import HEADER
from slimbake.inside.make import PROGRAMS
from slimbake.inside.step import dispatch

NAME = "core-1-py3-none-any.whl"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with serving() as made:
        made.add("core", "1")
        yield made


def address(index: Index, name: str = NAME, user: str = "") -> str:
    return index.url.replace("/simple", f"/files/{name}").replace("//", f"//{user}")


def sha256(index: Index) -> str:
    return hashlib.sha256(index.files[NAME]).hexdigest()


def fetched(index: Index, path: Path, digest: str = "") -> bytes:
    download(address(index), path, {digest or sha256(index)}, opener((), None))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("breaks", "ranges", "asked"),
    [
        ([10, 503, 20], True, [None, "bytes=10-", "bytes=10-", "bytes=30-"]),
        ([10], False, [None, "bytes=10-"]),
        ([10, 416], True, [None, "bytes=10-", None]),  # broken behind the last byte
    ],
)
def test_a_broken_line_is_taken_up_where_it_broke(
    breaks: list[int], ranges: bool, asked: list[str | None], index: Index, tmp_path: Path
) -> None:
    index.breaks[NAME], index.ranges = breaks, ranges
    took: list[int] = []
    download(address(index), tmp_path / NAME, {sha256(index)}, opener((), None), took.append)
    assert (tmp_path / NAME).read_bytes() == index.files[NAME]
    assert [headers.get("range") for _, headers in index.asked] == asked
    if breaks == [10, 503, 20]:
        assert sum(took) == len(index.files[NAME]), "what arrived is reported"


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_recovering_index_is_asked_five_times(status: int, index: Index, tmp_path: Path) -> None:
    index.breaks[NAME] = [status] * 4
    assert fetched(index, tmp_path / NAME) == index.files[NAME]
    index.breaks[NAME] = [status] * 5
    why = f"{NAME}: the index broke off 5 times: HTTP Error {status}"
    with pytest.raises(FetchError, match=why):
        fetched(index, tmp_path / "other" / NAME)
    assert len(index.asked) == 10 and list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_index_that_has_nothing_is_asked_once(status: int, index: Index, tmp_path: Path) -> None:
    index.breaks[NAME] = [status]
    with pytest.raises(FetchError, match=f"{NAME}: the index answers {status} "):
        fetched(index, tmp_path / NAME)
    assert len(index.asked) == 1


def test_a_file_of_another_hash_is_refused_and_not_kept(index: Index, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        fetched(index, tmp_path / "x" / NAME, "0" * 64)
    named = f"{NAME} is not what the lock names"
    assert str(caught.value) == f"{named}: sha256 {sha256(index)}, wanted {'0' * 64}"
    assert list((tmp_path / "x").iterdir()) == []


def test_nobody_there_is_said_with_the_file_s_name(index: Index, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"{NAME}: the index broke off 5 times: .*refused"):
        download(f"http://127.0.0.1:9/{NAME}", tmp_path / NAME, set(), opener((), None))


# --- credentials


def word(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def sent(index: Index) -> list[str | None]:
    return [headers.get("authorization") for _, headers in index.asked]


def as_user(index: Index, user: str) -> str:
    return index.url.replace("//", f"//{user}@")


def test_credentials_in_the_address_win_and_leave_it(index: Index, tmp_path: Path) -> None:
    open_ = opener([as_user(index, "me:one")], None)
    download(address(index, user="you:two@"), tmp_path / NAME, {sha256(index)}, open_)
    assert sent(index) == [word("you:two")]


def test_nobody_else_learns_who_we_are(index: Index, tmp_path: Path) -> None:
    with serving() as other:  # at another port of the same host
        open_ = opener([as_user(other, "me:word")], None)
        download(address(index), tmp_path / NAME, {sha256(index)}, open_)
        assert sent(index) == [None]
        other.redirects[NAME] = address(index)
        download(address(other), tmp_path / "again" / NAME, {sha256(index)}, open_)
        assert (sent(other), sent(index)) == ([word("me:word")], [None, None])


def test_an_index_that_sends_us_on_to_itself_hears_it_again(index: Index, tmp_path: Path) -> None:
    index.redirects["moved.whl"] = address(index)
    open_ = opener([as_user(index, "me:word")], None)
    download(address(index, "moved.whl"), tmp_path / NAME, {sha256(index)}, open_)
    assert sent(index) == [word("me:word")] * 2


def test_netrc_of_a_host(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    netrc = tmp_path / "home/.netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    netrc.chmod(0o600)
    fetched(index, tmp_path / NAME)
    netrc.write_text("machine elsewhere.example.com login me password word\n")
    fetched(index, tmp_path / "again" / NAME)
    netrc.write_text("no netrc at all {")
    fetched(index, tmp_path / "third" / NAME)
    assert sent(index) == [word("me:word"), None, None]


# --- the program inside a build

A, B = "a" * 64, "b" * 64


def found(url: str, digest: str = "") -> LocatedWheel:
    return LocatedWheel("core", "1", url, digest)


def test_of_what_fits_the_file_that_the_lock_names_is_taken() -> None:
    better, named = found("https://x/better.whl", A), found("https://x/named.whl", B)
    assert choose_wheel([better, named], {B, "c" * 64}) == named
    with pytest.raises(FetchError, match="and the lock no hash"):
        choose_wheel([better, named], set())
    local = found("file:///inside/find-links/core.whl")
    assert choose_wheel([better, local], {B}) == local
    why = f"core: the index has better.whl with sha256 {A}, and the lock {B}"
    with pytest.raises(FetchError, match=why):
        choose_wheel([better], {B})


@pytest.fixture
def inside(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a step mounts below /inside, with the real uv."""
    from uv import find_uv_bin

    monkeypatch.setattr(fetch, "INSIDE", tmp_path / "inside")
    for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/uv").symlink_to(find_uv_bin())
    (tmp_path / "inside/uv.toml").write_text(f"index-url = {json.dumps(index.url)}\n")
    (tmp_path / "inside/lock.txt").write_text(f"core==1 \\\n    --hash=sha256:{sha256(index)}\n")
    return tmp_path / "inside"


def test_the_step_fetches_locked_wheels_once(index: Index, inside: Path, tmp_path: Path) -> None:
    lock = (inside / "lock.txt").read_text()
    fetch.fetch_lock(lock, tmp_path / "wheels", "")
    assert (tmp_path / "wheels" / NAME).read_bytes() == index.files[NAME]
    fetch.fetch_lock(lock, tmp_path / "again", "")
    assert (tmp_path / "again" / NAME).read_bytes() == index.files[NAME]
    assert index.fetched() == [NAME]


def test_the_step_tells_what_is_wrong_in_one_line(
    index: Index,
    inside: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (inside / "lock.txt").write_text(f"core==1 \\\n    --hash=sha256:{A}\n")
    monkeypatch.setattr("sys.argv", ["make.pyz", "fetch-wheels", str(tmp_path / "wheels")])
    assert dispatch(PROGRAMS, "slimbake.inside.make") == 1
    assert (
        f"slimbake: core: the index has {NAME} with sha256 {sha256(index)}, and the lock {A}\n"
        in capfd.readouterr().err
    )


def test_the_step_takes_what_its_layer_names(index: Index, inside: Path, tmp_path: Path) -> None:
    index.add("other", "1")
    lines = ["core==1 \\", f"    --hash=sha256:{sha256(index)}"]
    (inside / "lock.txt").write_text("other==1\n")
    (inside / "layer.json").write_text(json.dumps({"requirements": lines}))
    fetch.fetch_wheels([str(tmp_path / "wheels")])
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == [NAME]


def test_the_step_takes_wheels_of_a_folder(index: Index, inside: Path, tmp_path: Path) -> None:
    path = make_wheel(inside / "find-links", "local", "1+cpu")
    fetch.fetch_lock(HEADER, tmp_path / "wheels", "")
    assert list((tmp_path / "wheels").iterdir()) == [], "an empty lock"
    fetch.fetch_lock(f"local==1+cpu \\\n    --hash=sha256:{A}\n", tmp_path / "wheels", "cpu")
    assert (tmp_path / "wheels" / path.name).read_bytes() == path.read_bytes()


# --- an index that does not end


@pytest.fixture
def flood() -> Iterator[str]:
    """An address that sends without end: as it is named, in large pieces or a byte at a time."""

    class Flood(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            slow, chunked, lying = (word in self.path for word in ("slow", "chunked", "lying"))
            self.send_response(200)
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif lying:
                self.send_header("Content-Length", "1000000000000")
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            piece = b"x" * (1 if slow else 100_000)
            with contextlib.suppress(OSError):
                for _ in range(100_000):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                    threading.Event().wait(0.01 if slow else 0)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Flood)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["closed", "chunked", "lying"])
@pytest.mark.parametrize("most", [0, 1, 250_000])
def test_a_download_has_the_locked_size(kind: str, most: int, flood: str, tmp_path: Path) -> None:
    took: list[int] = []
    with pytest.raises(FetchError, match=f"f: the index sends more than {most:,} bytes"):
        download(
            f"{flood}/{kind}", tmp_path / "x" / "f", {"0"}, opener((), None), took.append, most
        )
    assert sum(took) <= most + answers.CHUNK
    assert list((tmp_path / "x").iterdir()) == []


@pytest.mark.parametrize("kind", ["slow", "slow-chunked", "slow-lying"])
def test_a_slow_index_is_left(
    kind: str, flood: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "SECONDS", 1)
    with pytest.raises(FetchError, match="bytes a second at most"):
        download(f"{flood}/{kind}", tmp_path / "x" / "f", {"0"}, opener((), None))
    assert list((tmp_path / "x").iterdir()) == []
