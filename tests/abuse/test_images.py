"""What a hostile image may hold: whoever reads it on this machine ends soon, in little memory, and names
what it was. Each reader runs where 3 GB of addresses are all that there are.
"""

import ctypes
import gc
import gzip
import io
import json
import os
import re
import resource
import struct
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import planned, service
from tests.unit.layouts import packed
from tests.unit.layouts import tar as tar_of

from slimbake import docker
from slimbake.checks.parity import measured_parity, parity_table
from slimbake.checks.verify import Limit, _verdict
from slimbake.cli.common import print_json
from slimbake.console import harmless
from slimbake.docker.containers import Contained, contained
from slimbake.errors import SetupError
from slimbake.host.workspace import Workspace
from slimbake.images import report
from slimbake.images.contents import layer_contents, read_layer
from slimbake.images.detail import Contents, Survey
from slimbake.images.measure import survey
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.images.streams import zstd
from slimbake.inside import budget
from slimbake.inside.budget import Budget
from slimbake.inside.ledger import LedgerEntry
from slimbake.release.sbom_model import parse_contents
from slimbake.report.why import answer, changed, read_ledgers

MEMORY = 3 << 30  # bytes of addresses that this process may have
# bytes that reading an image may take beside its budget: a window, and what an allocator wastes
LITTLE = 48 << 20
FEW = 4 << 20  # bytes, as the budget of what would take minutes to use up a whole one

(API,) = planned(service("api")).services

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def little_memory(memory: int = budget.MEMORY) -> Iterator[None]:
    """Have little more than now, and than so many bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    taken = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert taken
    resource.setrlimit(resource.RLIMIT_DATA, (int(taken[1]) * 1024 + memory + LITTLE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def read(*blobs: bytes, memory: int = budget.MEMORY) -> list[Contents]:
    """Read an image of these layers, in little memory."""
    left = Budget(memory)
    contents = []
    with little_memory(memory):
        for number, blob in enumerate(blobs, 1):
            stored = io.BufferedReader(io.BytesIO(blob))
            contents.append(read_layer(f"sha256:{number}", stored, left)[1])
    return contents


def zipped(*pieces: tuple[bytes, int]) -> bytes:
    """Pieces, each so often, of which no more than one is compressed: frames of zstd."""
    return b"".join(zstd.compress(piece) * times for piece, times in pieces)


def gzipped(*pieces: tuple[bytes, int]) -> bytes:
    """The same as one gzip, as readers of ledgers take it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    parts = [packer.compress(piece) for piece, times in pieces for _ in range(times)]
    return b"".join([*parts, packer.flush()])


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar's header, no matter what it says."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def tar(*members: tuple[str, bytes]) -> bytes:
    return tar_of(dict(members))


def large(name: str, kind: bytes = tarfile.REGTYPE, piece: bytes = b"a") -> bytes:
    """A member of 1 GB, in few bytes."""
    return zipped((header(name, 1 << 30, kind), 1), (piece * MB, 1024))


def long_names(name: bytes, times: int, size: int = 0) -> bytes:
    """Files that have this name, each, without their contents."""
    announced = header("././@LongLink", len(name), tarfile.GNUTYPE_LONGNAME)
    pieces = (announced, name, bytes(-len(name) % 512), header("a", size))
    return zipped(*((piece, 1) for piece in pieces * times))


def sparse(pax: bool) -> bytes:
    """A file that claims a terabyte of holes."""
    out = io.BytesIO()
    info = tarfile.TarInfo("app/holes")
    if pax:
        keys = {"major": "1", "minor": "0", "name": "app/holes", "realsize": str(1 << 40)}
        info.pax_headers = {f"GNU.sparse.{key}": value for key, value in keys.items()}
        info.size = 512
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(info, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
        return out.getvalue()
    block = bytearray(header("app/holes", 0, tarfile.GNUTYPE_SPARSE))
    block[483:495] = b"\x80" + struct.pack(">Q", 1 << 40).rjust(11, b"\0")
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * 32)
    return bytes(block) + bytes(1024)


RECORD = "opt/slimbake/lib/python3.11/site-packages/a-1.dist-info/RECORD"
LEDGER = "opt/slimbake/ledger/web.json.gz"
MB = 1 << 20


def ledger(value: object) -> bytes:
    return gzip.compress(json.dumps(value).encode())


def telling(*row: object) -> bytes:
    """A ledger of one row."""
    rules = {"rule": [[*row]]}
    return ledger({"package": "a", "version": "1", "rules": rules, "unlisted": {}})


LAYERS: dict[str, Callable[[], bytes]] = {
    "a RECORD of 4 GB": lambda: zipped((header(RECORD, 4 << 30), 1), (bytes(MB), 4096)),
    "a RECORD of empty rows": lambda: zipped((header(RECORD, 64 * MB), 1), (b"\n" * MB, 64)),
    "a RECORD of rows without a newline": lambda: tar((RECORD, b"a,,\r" * 8 * MB)),
    "a field of 200 kB": lambda: tar((RECORD, b"a" * 200_000 + b",,\n")),
    "a quote that never ends": lambda: tar((RECORD, b'"' + b"a,,\n" * 100_000)),
    "a thousand RECORDs": lambda: zipped(
        *((header(f"{number}{RECORD}", MB) + b"a" * MB, 1) for number in range(1000))
    ),
    "a file of Debian's of 1 GB": lambda: large("var/lib/dpkg/status.d/a", piece=b"\0"),
    "a ledger of 1 GB": lambda: large(LEDGER, piece=b"\0"),
    "a ledger that unpacks to 1 GB": lambda: tar(
        (LEDGER, zipped((b'{"a": "', 1), (bytes(MB), 1024)))
    ),
    "a ledger of lists": lambda: tar(
        (LEDGER, gzipped((b'{"":[', 1), (b"[]," * MB, 5), (b"7]}", 1)))
    ),
    "a hundred ledgers": lambda: tar(*((f"{LEDGER}{number}", ledger({})) for number in range(100))),
    "a ledger whose row is short": lambda: tar((LEDGER, telling("a.py"))),
    "a ledger with a number without end": lambda: tar(
        (LEDGER, gzip.compress(b'{"rules": {"rule": [["a.py", %s, 0]]}}' % (b"9" * 5000)))
    ),
    "a ledger with a huge number": lambda: tar((LEDGER, telling("a.py", 10**4000, 0))),
    "a ledger with a negative number": lambda: tar((LEDGER, telling("a.py", 1, -1))),
    "a ledger that is a number": lambda: tar((LEDGER, ledger(7))),
    "a ledger nested without end": lambda: tar((LEDGER, gzip.compress(b"[" * MB))),
    "a name of 1 GB": lambda: large("././@LongLink", tarfile.GNUTYPE_LONGNAME),
    "a link of 1 GB": lambda: large("././@LongLink", tarfile.GNUTYPE_LONGLINK),
    "attributes of 1 GB": lambda: large("a", tarfile.XHDTYPE),
    "attributes of all files of 1 GB": lambda: large("a", tarfile.XGLTYPE),
    "names of 1 MB": lambda: long_names(b"a" * 900_000, 200),
    "a sparse file": lambda: sparse(pax=False),
    "a sparse file of attributes": lambda: sparse(pax=True),
    "a size that is negative": lambda: header("a", 0)[:124] + b"\xff" * 12 + header("a", 0)[136:],
    "a tar that is cut off": lambda: tar(("a", b"x" * 9000))[:5000],
    "no tar": lambda: b"{" + bytes(9000),
    "a window of 2 GB": lambda: b"\x28\xb5\x2f\xfd\x00" + bytes([0xA8]) + bytes(64),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_that_no_build_writes_is_named(kind: str) -> None:
    stored = LAYERS[kind]()
    with pytest.raises(SetupError, match="the layer sha256:1 cannot be read"):
        read(stored)


@pytest.mark.parametrize("name", ["a", ".wh.a", "app/b"])
def test_a_layer_of_too_many_files_is_named(name: str) -> None:
    stored = io.BufferedReader(io.BytesIO(zipped((header(name, 0), 20_000))))
    with pytest.raises(SetupError, match="too many"):
        read_layer("sha256:1", stored, Budget(1_000_000))


def test_a_large_honest_layer_is_read() -> None:
    """More files than torch, transformers and all that they bring."""
    rows = "".join(f"pack/sub{n % 100}/module{n}.py,sha256=abc,1234\n" for n in range(40_000))
    site = RECORD.removesuffix("a-1.dist-info/RECORD")
    files = (header(f"{site}pack/{n}.py", 0) for n in range(40_000))
    (found,) = read(zstd.compress(b"".join(files) + tar((RECORD, rows.encode()))))
    assert found.files == 40_001


def pax(kind: bytes, keys: int, of: str = "") -> bytes:
    """A header of attributes, of one member or of all that follow."""
    rows = b"".join(f"{len(of) + 17:02} {of}k{number:08}=abc\n".encode() for number in range(keys))
    return header("pax", len(rows), kind) + rows + bytes(-len(rows) % 512)


def ledger_of(rules: bytes, unlisted: bytes = b"{}") -> bytes:
    """A ledger of this JSON."""
    fields = b'{"package":"a","version":"1","unlisted":%b,"rules":%b}'
    return gzip.compress(fields % (unlisted, rules), 1)


def many(piece: bytes, size: int) -> bytes:
    """A piece again and again, with commas between, for so many bytes."""
    return b",".join([piece] * (size // (len(piece) + 1)))


def keys(pair: bytes, number: int) -> bytes:
    """An object of so many keys."""
    return b"{%b}" % b",".join(pair % each for each in range(number))


FULL = 15 << 20  # bytes of JSON, nearly as many as a ledger may have
ROWS = (b'["",0,0]', b'["a",1,2,"b"]', b"[7,1,1,1]", b"[]", b"{}", b'{"a":1}', b'{"a":{"a":{}}}')
BOMBS: dict[str, Callable[[], bytes]] = {
    **{
        f"many {row!r}": lambda row=row: ledger_of(b'{"r":[%b]}' % many(row, FULL))  # type: ignore[misc]
        for row in ROWS
    },
    "numbers": lambda: ledger_of(b"[%b]" % many(b"1000", FULL)),
    "texts": lambda: ledger_of(b"[%b]" % many(b'"ab"', FULL)),
    "a text of wide characters": lambda: ledger_of(b'["\xf0\x9f\x90\x8d%b"]' % (b"a" * FULL)),
    "rows and a wide character": lambda: ledger_of(
        b'{"\xf0\x9f\x90\x8d":[%b]}' % many(b'["",0,0]', FULL)
    ),
    "many rules": lambda: ledger_of(keys(b'"%d":[["a",1,0]]', 600_000)),
    "many rules of nothing": lambda: ledger_of(keys(b'"%d":[]', 900_000)),
    "many files that are not listed": lambda: ledger_of(b"{}", keys(b'"%d":""', 900_000)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_ledger_takes_little_memory(kind: str) -> None:
    content = BOMBS[kind]()
    assert len(content) < 6 * MB
    with pytest.raises(SetupError, match="cannot be read"):
        read(tar((LEDGER, content)))
    with little_memory(), pytest.raises(SetupError, match="cannot be read"):
        read_ledgers(io.BytesIO(tar(("ledger/web.json.gz", content))))


def rows(number: int) -> bytes:
    """A ledger of so many rows, as honest as any."""
    row = b'["pack/module/file%07d.h",1234,0]'
    return ledger_of(b'{"headers":[%b]}' % b",".join(row % each for each in range(number)))


def test_ledgers_of_an_image_take_little_memory_together() -> None:
    content = rows(20_000)
    ledgers = [(f"{LEDGER}{number}", content) for number in range(40)]
    with pytest.raises(SetupError, match="too many"):
        read(tar(*ledgers))
    with little_memory(), pytest.raises(SetupError, match="too many"):
        read_ledgers(io.BytesIO(tar(*ledgers)))


def test_the_ledgers_of_many_honest_wheels_are_read() -> None:
    ledgers = [(f"{LEDGER}{number}", rows(100)) for number in range(300)]
    torch = (f"{LEDGER}torch", rows(30_000))
    (found,) = read(tar(*ledgers, torch))
    assert sum(taken.files for taken in found.taken) == 60_000
    with little_memory():
        assert len(read_ledgers(io.BytesIO(tar(*ledgers, torch)))) == 60_000


def files(name: str, number: int) -> bytes:
    """So many files, each with another name."""
    return zstd.compress(b"".join(header(name % each, 0) for each in range(number)))


FLOODS: dict[str, Callable[[], bytes | list[bytes]]] = {
    "attributes of all files": lambda: zipped(
        (pax(tarfile.XGLTYPE, 40_000), 1), (header("a", 0), 20_000)
    ),
    "attributes of one file": lambda: pax(tarfile.XHDTYPE, 40_000) + header("a", 0),
    "attributes of each file": lambda: zipped((pax(tarfile.XHDTYPE, 101) + header("a", 0), 20_000)),
    "attributes that come one by one": lambda: b"".join(
        pax(tarfile.XGLTYPE, 1, f"{number:09}") + header("a", 0) for number in range(200)
    ),
    "attributes of Solaris": lambda: pax(tarfile.SOLARIS_XHDTYPE, 40_000) + header("a", 0),
    "files": lambda: zipped((header("a", 0) * 1000, 200)),
    "folders": lambda: zipped((header("a", 0, tarfile.DIRTYPE) * 1000, 200)),
    "files of many folders": lambda: files("%d/a/b", 25_000),
    "files of many packages": lambda: files("%d-1.dist-info/METADATA", 25_000),
    "folders of many layers": lambda: [files(f"{layer}/%d/a", 5_000) for layer in range(10)],
    "a RECORD with a long path": lambda: (
        long_names(b"a" * 900_000 + b"/b-1.dist-info/RECORD", 1, 4 * MB)
        + zipped((b"a,,\n" * MB, 1))
    ),
    "a RECORD of short rows": lambda: zipped((header(RECORD, 8 * MB), 1), (b"a,,\n" * MB, 2)),
    "a RECORD of other rows": lambda: zstd.compress(
        tar((RECORD, b"".join(b"%d,,\n" % number for number in range(700_000))))
    ),
    "a RECORD of wide characters": lambda: zipped(
        (header(RECORD, 48 * MB), 1), (b"\xf0\x9f\x90\x8d", 1), (b"a" * MB, 48)
    ),
    "files of Debian": lambda: zipped(
        (header("var/lib/dpkg/status.d/a.md5sums", 32 * MB), 1), (b"0  a\n" * (MB // 5), 170)
    ),
    "names of wide characters": lambda: long_names(b"\xf0\x9f\x90\x8d" + b"a" * 900_000, 40),
    "a window of 128 MB": lambda: zstd.compress(
        bytes(140 * MB),
        options={
            zstd.CompressionParameter.window_log: 27,
            zstd.CompressionParameter.content_size_flag: 0,
        },
    ),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_an_image_takes_little_memory_and_time(kind: str) -> None:
    made = FLOODS[kind]()
    layers = made if isinstance(made, list) else [made]
    started = time.process_time()
    with pytest.raises(SetupError, match="cannot be read"):
        read(*layers, memory=FEW)
    assert time.process_time() - started < 20  # seconds; most take one


@pytest.mark.parametrize("nothing", [gzip.compress(b""), zstd.compress(b"")], ids=["gzip", "zstd"])
def test_nothing_ends_however_often_it_comes(
    nothing: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimbake.inside.budget.SECONDS", 0.2)
    with pytest.raises(SetupError, match="it takes too long to read"):
        read(nothing * (40 * MB // len(nothing)))


@pytest.fixture
def docker_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Have `docker COMMAND` be a script of a shell."""

    def place(command: str, script: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f'#!/bin/sh\n[ "$1" = {command} ] || exit 0\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return place


PRINTED = {
    "lines": "yes",
    "a line without an end": "tr '\\0' x </dev/zero",
    "nothing but NUL": "cat /dev/zero",
    "errors": "yes >&2",
    "both": "yes >&2 & yes",
    "bytes that are no text": "tr '\\0' '\\377' </dev/zero",
    "a verdict and then no end": "echo '{\"holds\": true}'; yes",
}


@pytest.mark.parametrize("kind", PRINTED)
def test_what_a_container_prints_ends(
    kind: str, docker_is: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimbake.docker.containers.MOST", MB)
    docker_is("run", PRINTED[kind])
    done = contained("name", ("image",), "", 60)
    assert done.code and max(len(done.stdout), len(done.stderr)) == MB
    assert not _verdict(API, done, Limit()).holds


def test_what_an_image_holds_is_not_copied_to_the_end(
    tmp_path: Path, docker_is: Callable[[str, str], None]
) -> None:
    docker_is("cp", 'exec cat "$0.tar" /dev/zero')
    (tmp_path / "docker.tar").write_bytes(header("ledger/web.json.gz", 1 << 40))
    with pytest.raises(SetupError, match=r"the ledger web.json.gz of the image cannot be read"):
        changed("image")


DIGEST = "sha256:" + "1" * 64
MANIFEST = {"config": {"digest": DIGEST}, "layers": [{"digest": DIGEST, "mediaType": "gzip"}]}
CONFIG = {"config": {"digest": "ID"}, "layers": []}
LINUX = {"platform": {"os": "linux", "architecture": "amd64"}, "mediaType": "a", "size": 1}
LAYOUTS: dict[str, Any] = {
    "an index without manifests": {"manifests": None},
    "an index of words": {"manifests": ["a"]},
    "an index without a platform": {"manifests": [{"platform": {"os": "linux"}}]},
    "an index of itself": {"manifests": [{**LINUX, "digest": "ID"}]},
    "a manifest of nothing": {"layers": []},
    "a manifest of layers that are none": {**MANIFEST, "layers": 7},
    "a manifest without its configuration": MANIFEST,
    "a manifest that names itself": {**CONFIG, "layers": [{}], "rootfs": None},
    "more layers than its configuration": {**CONFIG, "rootfs": {"diff_ids": ["a"]}},
    "a configuration of a list": {**CONFIG, "layers": [[]], "rootfs": {"diff_ids": [[]]}},
    "a number without end": b'{"layers": [1e999999999]}',
    "JSON nested without end": b'{"a":' * 100_000,
    "JSON that is cut off": b'{"layers": [',
    "JSON that is no UTF-8": b'{"\xff": 1}',
    "a great deal of JSON": b'{"layers": [' + b"[]," * 1_000_000 + b"[]]}",
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_forged_layout_is_an_error(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = LAYOUTS[kind]
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    id_ = "sha256:" + "2" * 64
    blobs = tmp_path / "layout/blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / ("2" * 64)).write_bytes(text.replace(b'"ID"', f'"{id_}"'.encode()))
    saved = packed(tmp_path / "layout")
    monkeypatch.setattr(docker, "saved", lambda _: saved.open("rb"))
    with pytest.raises(SetupError, match=r"cannot be read|old form"):
        survey({"one": id_}, Workspace(None))


NAMES = (
    *("\x1b[2J", "\0", "\u202e", "\x9b31m", "\r", "\u2066", "\x07", "\ud800"),
    *("\xad", "\u180e", "\u2069", "\u206f", "\ufffa", "\U000e0041"),
)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("by", ["layer", "package"])
def test_no_name_moves_a_cursor_in_sizes(name: str, by: str) -> None:
    row = f"../{name}top/{name}module.py,,\n".encode("utf-8", "replace")
    files = ((f"{name}top/{name}module.py", b"x" * 5000), (f"x{name}-1.dist-info/RECORD", row))
    members = []
    for path, content in files:
        info = tarfile.TarInfo(path)
        info.size = len(content)
        members.append((info, io.BytesIO(content)))
    contents = layer_contents(members, Budget())
    layer = MeasuredLayer("sha256:d", "sha256:b", contents.uncompressed, 1, contents.files)
    measured = Measurement((Image("api", "sha256:1", (layer,)),))
    text = report.sizes_text(Survey(measured, {"sha256:d": contents}), by, 0)
    assert name not in harmless(text)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_moves_a_cursor_in_why(name: str) -> None:
    entry = LedgerEntry(f"{name}.py", 1, 0, f"{name}rule", f"{name}a", f"1{name}")
    assert name not in harmless("\n".join(answer("a", {"api": [entry]})))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_moves_a_cursor_in_json(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    print_json({f"{name}é": name})
    text = capfd.readouterr().out
    assert name not in text and "é" in text
    assert json.loads(text) == {f"{name}é": name}


NOTHING = (b"", b"[]", b"7", b"null", b"{}", b"[" * MB, b'{"a": 1', b'"\xff"', b"NaN", b"9" * 5000)


def mistyped(value: dict[str, Any]) -> Iterator[str]:
    """The JSON of this object, with one of its values at a time of another type, or gone."""
    others: tuple[Any, ...] = (None, 7, "a", [[]], {"a": 1}, [1], {1: []}, True, 1.5)
    for key in value:
        for other in others:
            if type(other) is not type(value[key]):
                yield json.dumps({**value, key: other})
        yield json.dumps({name: each for name, each in value.items() if name != key})


SYSTEM = {"name": "debian", "version": "13"}
ABOUT: dict[str, Any] = {"python": "3.11.2", "machine": "x86_64", "system": SYSTEM}
PACKAGE = dict.fromkeys(("name", "version", "architecture", "source", "source_version"), "a")
DISTRIBUTION = {"name": "a", "version": "1", "within": ""}


def contents(*debian: Any, distributions: Any = ()) -> str:
    return json.dumps({**ABOUT, "debian": debian, "distributions": distributions})


def test_contents_that_are_none_are_named() -> None:
    parse_contents(contents(PACKAGE, distributions=[DISTRIBUTION]))
    texts = [each.decode("utf-8", "replace") for each in NOTHING]
    texts += mistyped(ABOUT)
    texts += [contents(distributions=[json.loads(each)]) for each in mistyped(DISTRIBUTION)]
    for package in map(json.loads, mistyped(PACKAGE)):
        if len(package) == len(PACKAGE):
            texts.append(contents(package))
    for text in texts:
        with pytest.raises(SetupError, match="what the image contains cannot be read"):
            parse_contents(text)


def test_a_verdict_that_is_none_is_a_failure() -> None:
    good = {"holds": True, "error": "", "startup": 0.5, "explained": True, "words": []}
    assert _verdict(API, Contained(0, json.dumps(good), "", False), Limit()).holds
    texts = [each.decode("utf-8", "replace") for each in NOTHING]
    odd = [text for text in mistyped(good) if json.loads(text).get("startup", 0) is not None]
    for text in (*texts, *odd):
        found = _verdict(API, Contained(0, text, "", False), Limit())
        assert type(found.holds) is bool and type(found.error) is str
        assert found.startup is None or type(found.startup) in (int, float)


SCORES = ("min-cosine", "mean-cosine", "top10", "tokens", "service", "reference")
FIGURES = {"strings": 9, "different": [], "seconds": 1.5, **dict.fromkeys(SCORES, 1.0)}


def test_figures_that_are_none_are_left_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    file = tmp_path / ".slimbake/parity/api/parity.json"
    file.parent.mkdir(parents=True)
    for text in (*NOTHING, *(each.encode() for each in mistyped(FIGURES))):
        file.write_bytes(text)
        parity_table(measured_parity(workspace, ["api"]))
    file.write_text(json.dumps(FIGURES))
    assert measured_parity(workspace, ["api"]) == {"api": FIGURES}
