"""Every reader of what others wrote, flooded: texts as long as it takes them, which repeat, count and
nest what such texts are made of. None needs more than 5 s of the processor, or 256 MB.

`make fuzz` gives each many texts; here it is one or two.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import tarfile
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.config.test_properties import SOUND
from tests.unit.layouts import tar
from tests.unit.test_readers import (
    COMPOSE,
    DOCKERFILES,
    FUZZED,
    INDEX,
    LEDGER,
    LOCK,
    NAMING,
    WORDS,
)

from slimbake import docker
from slimbake.adopt.init import InitRequest, start
from slimbake.adopt.model import LARGEST as COPIED
from slimbake.config import manifest
from slimbake.config.compose import dotenv
from slimbake.errors import SlimbakeError
from slimbake.host import dockerignore
from slimbake.host.files import LOCK as LOCKED
from slimbake.host.files import TEXT
from slimbake.host.sources import parse_sources
from slimbake.host.typed import json_value
from slimbake.host.wheels import parse_pylock
from slimbake.host.workspace import Workspace
from slimbake.images.contents import read_layer
from slimbake.images.measure import survey
from slimbake.inside.budget import Budget
from slimbake.inside.check.contents import python_distributions
from slimbake.inside.ledger import LARGEST as UNPACKED
from slimbake.inside.locked import HEADER
from slimbake.inside.records import LARGEST as RECORDED
from slimbake.inside.records import recorded
from slimbake.inside.step import StepError
from slimbake.lock.locks import read_locks, weights_text
from slimbake.lock.text import without_comments
from slimbake.lock.wheelhouse.sources import requires
from slimbake.registry.documents import MANIFEST, platform_manifests, stored_manifest
from slimbake.registry.session import MOST as ANSWERED
from slimbake.release.sbom_model import parse_contents
from slimbake.report.why import read_ledgers

SECONDS = 5  # of the processor
MEMORY = 256 << 20  # bytes

pytestmark = [
    pytest.mark.timeout(7200 if FUZZED else 300),
    # xdist's workers have a second thread, which a child does not need.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


@dataclass(frozen=True)
class Reader:
    """What reads a text in a folder of its own; texts that it is made for, and the longest."""

    read: Callable[[bytes, Path], object]
    seeds: tuple[bytes, ...]
    largest: int  # bytes


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_manifest(content: bytes, folder: Path) -> None:
    write(folder, "api/requirements.txt", b"numpy>=2\n")
    manifest(write(folder, "services.yaml", content))


def read_required(name: str, content: bytes, folder: Path) -> None:
    """A file in which a service names what it needs."""
    asked = {"setup.py": ".", "uv.lock": "pyproject.toml", "poetry.lock": "pyproject.toml"}
    text = (
        "project: a\npython: '3.11'\nservices:\n  api:\n    context: api\n"
        f"    command: [a]\n    requirements: ['./api/{asked.get(name, name)}']\n"
    )
    if name.endswith(".lock"):
        write(folder, "api/pyproject.toml", NAMING["pyproject.toml"])
    write(folder, f"api/{name}", content)
    manifest(write(folder, "services.yaml", text.replace("./api/.'", "./api'").encode()))


def read_ignored(content: bytes, folder: Path) -> None:
    write(folder, "api/.dockerignore", content)
    text = "project: a\npython: '3.11'\nservices:\n  api: {context: api, command: [a]}\n"
    manifest(write(folder, "services.yaml", text.encode()))
    try:
        dockerignore.Ignore(content.decode("utf-8", "replace")).leaves_out("a/b/c.py")
    except ValueError:  # a pattern that BuildKit refuses
        return


def read_repository(name: str, content: bytes, folder: Path) -> None:
    """A file of a repository that has no manifest yet."""
    write(folder, "api/main.py", b"import fastapi\n")
    write(folder, "api/Dockerfile", DOCKERFILES[0])
    write(folder, name, content)
    start(folder / "services.yaml", InitRequest())


def read_lock(name: str, content: bytes, folder: Path) -> None:
    write(folder, f"bake/locks/{name}", content)
    locks = read_locks(folder)
    lock = name.partition(".txt")[0]
    for read in (locks.pins, locks.debs, lambda lock: locks.compared(lock, "")):
        read(lock)
    without_comments(locks.texts[name])
    assert locks.sources is not None
    assert locks.records is not None
    assert locks.digests is not None


def read_record(content: bytes, folder: Path) -> None:
    write(folder, "lib/python3.11/site-packages/a-1.dist-info/RECORD", content)
    list(recorded(folder / "lib/python3.11/site-packages"))


def read_metadata(content: bytes, folder: Path) -> None:
    write(folder, "a-1.dist-info/METADATA", content)
    list(python_distributions(folder, Budget()))


def read_sources(content: bytes, folder: Path) -> None:
    """What builds a package of an index that has no wheel."""
    archive = folder / "a-1.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as made:
        for name in ("pyproject.toml", "setup.py"):
            info = tarfile.TarInfo(f"a-1/{name}")
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    requires(archive)


def read_index(content: bytes, _: Path) -> None:
    """What uv says of the files that an index has."""
    text = content.decode("utf-8", "replace")
    try:
        parse_pylock(text)
        parse_sources(text)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return


def read_image(content: bytes, _: Path) -> None:
    """The manifest, or the configuration, of an image that the engine has."""
    blobs = {f"blobs/sha256/{number * 64}": content for number in "12"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker, "saved", lambda _: io.BytesIO(tar(blobs)))
        survey({"one": "sha256:" + "2" * 64}, Workspace(None))


def read_json(content: bytes, _: Path) -> None:
    try:
        json_value(content)
    except (ValueError, RecursionError):
        return


def read_answer(content: bytes, _: Path) -> None:
    """A manifest or an index of a registry."""
    try:
        platform_manifests(stored_manifest(MANIFEST.replace("manifest", "index"), content))
        stored_manifest(MANIFEST, content).read()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return


def read_weights(content: bytes, folder: Path) -> None:
    write(folder, "weights/model.safetensors", content)
    weights_text(folder, "weights")


def layer(content: bytes, name: str = "app/a") -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(tar({name: content})))


RECORD = b"a/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n../../bin/a,,\n"
CONTENTS = {
    "python": "3.11",
    "machine": "x86_64",
    "system": {"name": "debian", "version": "13"},
    "debian": [{"name": "a", "version": "1", "architecture": "amd64"}],
    "distributions": [{"name": "a", "version": "1", "within": ""}],
}
PYLOCK = (
    b'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1"\n'
    b'wheels = [{ url = "https://a/a-1-py3-none-any.whl", size = 9, hashes = { sha256 = "a" } }]\n'
)
JSON = (json.dumps(INDEX).encode(), json.dumps(CONTENTS).encode())
SITE = "opt/slimbake/lib/python3.11/site-packages/a-1.dist-info/RECORD"
WHOLE = 16 << 20  # bytes of what has no limit of its own but memory

READERS: Mapping[str, Reader] = {
    "manifest": Reader(read_manifest, (SOUND.encode(),), TEXT),
    **{
        name: Reader(
            partial(read_required, name), (seed,), TEXT if name == "pyproject.toml" else LOCKED
        )
        for name, seed in NAMING.items()
    },
    ".dockerignore": Reader(
        read_ignored, (b"**/*.pyc\n!keep/[a-z]?/**\n# a\n.git\n",), dockerignore.LARGEST
    ),
    "Dockerfile": Reader(partial(read_repository, "api/Dockerfile"), DOCKERFILES, COPIED),
    "compose.yaml": Reader(partial(read_repository, "compose.yaml"), COMPOSE, COPIED),
    ".env": Reader(lambda text, _: dotenv(text.decode("utf-8", "replace")), (b"A='b'\n",), COPIED),
    "lock": Reader(
        partial(read_lock, "web.txt"), tuple(HEADER.encode() + lock for lock in LOCK), LOCKED
    ),
    "lock of Debian packages": Reader(
        partial(read_lock, "web.system.txt"), (b"a 1 amd64 a/a.deb 9 " + b"a" * 64 + b"\n",), LOCKED
    ),
    "record of locks": Reader(
        partial(read_lock, "inputs.json"), (b'{\n "web": {"asked": "a", "lock": "b"}\n}\n',), LOCKED
    ),
    "images from outside": Reader(
        partial(read_lock, "externals.txt"), (b"python python:3.11 sha256:1\n",), LOCKED
    ),
    "RECORD": Reader(read_record, (RECORD,), RECORDED),
    "METADATA": Reader(
        read_metadata, (b"Metadata-Version: 2.1\nName: a\nVersion: 1\n b\n\nText\n",), WHOLE
    ),
    "sources": Reader(read_sources, (NAMING["pyproject.toml"], NAMING["setup.py"]), 256 << 10),
    "page of an index": Reader(read_index, (PYLOCK,), LOCKED),
    "manifest of a registry": Reader(read_answer, JSON, ANSWERED),
    "layout": Reader(read_image, JSON, 4_000_000),
    "state": Reader(read_json, JSON, WHOLE),
    "contents": Reader(lambda text, _: parse_contents(text.decode(errors="replace")), JSON, WHOLE),
    "ledger": Reader(
        lambda text, _: read_ledgers(io.BytesIO(tar({"ledger/a": text}))), (LEDGER,), UNPACKED
    ),
    "layer": Reader(
        lambda text, _: read_layer("sha256:1", io.BufferedReader(io.BytesIO(text)), Budget()),
        (tar({"app/a": b"a", f"app/{'é' * 90}": b""}),),
        WHOLE,
    ),
    "RECORD of a layer": Reader(
        lambda text, _: read_layer("sha256:1", layer(text, SITE), Budget()), (RECORD,), WHOLE
    ),
    "weights": Reader(read_weights, (b"\0" * 99,), WHOLE),
}
# What a text is cut into: its lines, its words, and what stands between them.
_PARTS = re.compile(rb"[^\n]*\n|[^\s,:={}\[\]'\"]+|[\s,:={}\[\]'\"]")


@st.composite
def floods(draw: st.DrawFn, reader: Reader) -> tuple[bytes, bytes, bytes]:
    """A head, what comes again and again (`%d` is a number that grows), and a tail."""
    seed = draw(st.sampled_from(reader.seeds))
    cuts = [match.start() for match in _PARTS.finditer(seed)] + [len(seed)]
    start, end = sorted(draw(st.tuples(st.sampled_from(cuts), st.sampled_from(cuts))))
    words = (*WORDS, *(match[0] for match in _PARTS.finditer(seed)))
    piece = draw(
        st.one_of(
            st.just(seed[start:end]),
            st.lists(st.sampled_from(words), min_size=1, max_size=4).map(b"".join),
        )
    )
    numbered = draw(st.integers(0, len(piece)))
    if draw(st.booleans()):
        piece = piece.replace(b"%", b"")
        piece = piece[:numbered] + b"%d" + piece[numbered:]
    return seed[:start], piece or b"a", draw(st.sampled_from((seed[end:], b"", b"\n")))


def flood(head: bytes, piece: bytes, tail: bytes, size: int) -> bytes:
    """A text of so many bytes."""
    left = size - len(head) - len(tail)
    before, numbered, after = piece.partition(b"%d")
    if not numbered:
        return head + piece * (left // len(piece)) + tail
    parts: list[bytes] = []
    while left > 0:
        part = b"%b%d%b" % (before, len(parts), after)
        left -= len(part)
        parts.append(part)
    return head + b"".join(parts[:-1]) + tail


def fault(reader: Reader, content: bytes) -> str:
    """What is wrong with how a reader takes a text; "" if nothing is."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            try:
                _read(reader, content, Path(folder), writing)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            said = file.read().decode("utf-8", "replace")
        _, status = os.waitpid(child, 0)
    return said if os.WIFEXITED(status) else f"{said}ended by signal {os.WTERMSIG(status)}"


def _read(reader: Reader, content: bytes, folder: Path, writing: int) -> None:
    taken = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert taken
    most = int(taken[1]) * 1024 + MEMORY
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        reader.read(content, folder)
    except (SlimbakeError, StepError):
        return
    except BaseException:
        os.write(writing, traceback.format_exc()[-2000:].encode("utf-8", "replace"))


# What floods found, once: reader, head, what comes again, tail.
_INDEX = b'{"manifests": [{"mediaType": "a", "size": 9, "digest": "sha256:%b"' % (b"2" * 64)
_INDEX += b', "platform": {"os": "linux", "architecture": "'
_PROJECT = b'[project]\nname = "a"\ndependencies = ['
FOUND = {
    "keys that are none": ("manifest", b"", b"k%d: v\n", b""),
    "services that are numbers": ("manifest", b"services:\n", b"  s%d: 1\n", b""),
    "nested markers": ("requirements.txt", b"a ; ", b"(", b"\n"),
    "a key of many parts": ("pyproject.toml", b"a", b".a", b" = 1\n"),
    "a key of quoted parts": ("pyproject.toml", b"", b'"\\"".', b"a = 1\n"),
    "requirements that are none": ("pyproject.toml", _PROJECT, b"'!%d',", b"]\n"),
    "a key of a sdist": ("sources", b"[", b"a.", b"a]\n"),
    "patterns with folders": (".dockerignore", b"", b"**/a*%d\n", b""),
    "stages on stages": ("Dockerfile", b"FROM a AS s\n", b"FROM s AS s\nRUN a\n", b""),
    "an index that names itself": ("layout", _INDEX, b"/a/a/a/", b'"}}]}'),
    "empty rows": ("RECORD", b"", b"\n", b""),
    "a row of many fields": ("RECORD", b"", b",,  ,", b""),
    "a row without an end": ("RECORD", b'"', b"\n", b'",,\n'),
    "a head without an end": ("METADATA", b"Name: a\n", b":   %d\r--", b"\n"),
}


@pytest.mark.parametrize("found", FOUND)
def test_what_floods_found_takes_little_memory_and_time(found: str) -> None:
    name, head, piece, tail = FOUND[found]
    reader = READERS[name]
    assert fault(reader, flood(head, piece, tail, reader.largest)) == ""


@pytest.mark.parametrize("name", READERS)
def test_a_flood_takes_little_memory_and_time(name: str) -> None:
    reader = READERS[name]

    @settings(
        max_examples=100 if FUZZED else 1,
        derandomize=not FUZZED,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(parts=floods(reader))
    def each(parts: tuple[bytes, bytes, bytes]) -> None:
        assert fault(reader, flood(*parts, reader.largest)) == ""

    each()
