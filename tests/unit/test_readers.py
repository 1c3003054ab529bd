"""Every reader of what others wrote, fed with what is nearly right: none ends in a traceback.

`make fuzz` gives each 10,000 texts; here it is a few dozen.
"""

from __future__ import annotations

import gc
import gzip
import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.config.test_properties import SOUND
from tests.unit.layouts import tar

from slimbake import docker
from slimbake.adopt.init import InitRequest, start
from slimbake.config import manifest
from slimbake.errors import SlimbakeError
from slimbake.host.workspace import Workspace
from slimbake.images.contents import read_layer
from slimbake.images.measure import survey
from slimbake.inside.budget import Budget
from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes
from slimbake.inside.locked import Fault
from slimbake.lock.text import parse_pins
from slimbake.report.why import read_ledgers

FUZZED = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"

few = settings(
    max_examples=10_000 if FUZZED else 30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# A hang ends here.
pytestmark = pytest.mark.timeout(7200 if FUZZED else 300)

LONGEST = 2.0  # seconds of processor time for one text, however busy the machine is

WORDS = (
    *(bytes([each]) for each in b"\0\n \t\r-:#\xff{}[]~\"'\\$`|/*@;,=a0"),
    *b"-- {} [] null true 1e999 -1 ${ ${A ${A:- $( << *a %TAG ../ // ** ==".split(),
    *(b"\n\n", b"  ", b": ", b"- ", b"\\\n", b"<<EOF\n", b"&a ", b"<<: *a", b"? ", b">\n"),
    *(b"!!python/object:os.system ", b"!!binary a", b"9" * 5000, b"[" * 200, b"(" * 200),
    *(each.encode("utf-8", "surrogatepass") for each in "é\u202e\u2028\ufeff\ud800"),
)


@st.composite
def nearly(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """One of these contents, after some edits."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from((0, 0, 1, 2, 8, 40, 400))))
        piece = draw(
            st.one_of(
                st.sampled_from(WORDS),
                st.binary(max_size=4),
                st.just(content[end : end + 40]),
                st.just(content[start:end] * 2),
            )
        )
        content = content[:start] + piece + content[end:]
    return content


def read(reader: Callable[[], object], *errors: type[Exception]) -> None:
    """Read, and let only these errors, or slimbake's own, say that it cannot be; within 2 s."""
    gc.disable()  # what it collects is hypothesis's own
    began = time.process_time()
    with suppress(SlimbakeError, *errors):
        reader()
    gc.enable()
    assert time.process_time() - began < LONGEST


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository in which everything that a manifest may name is there."""
    for name, text in {
        "api/requirements.txt": "numpy>=2\n",
        "api/smoke.py": "",
        "api/main.py": "import fastapi\n",
        "api/.dockerignore": "*.pyc\n",
        "texts.jsonl": "{}",
        "key": "x",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@few
@given(content=nearly(SOUND.encode()))
def test_manifests(content: bytes, folder: Path) -> None:
    file = folder / "services.yaml"
    file.write_bytes(content)
    read(lambda: manifest(file))


FORMS = Path(__file__).parents[1] / "fixtures/manifests"
NAMING = {
    path.name: path.read_bytes()
    for path in (
        FORMS / "requirements/services/pip/requirements.txt",
        FORMS / "requirements/services/poetry/pyproject.toml",
        FORMS / "requirements/services/poetry-locked/poetry.lock",
        FORMS / "requirements/services/pylock/pylock.toml",
        FORMS / "requirements/services/pipenv/Pipfile.lock",
        FORMS / "workspace/uv.lock",
    )
}
NAMING["setup.py"] = b'from setuptools import setup\nsetup(name="a", install_requires=["b>=1"])\n'


@pytest.mark.parametrize("name", NAMING)
def test_requirements(name: str, folder: Path) -> None:
    beside = ("pyproject.toml",) if name in ("poetry.lock", "uv.lock") else ()
    asked = "api" if name == "setup.py" else f"api/{name}"
    (folder / "services.yaml").write_text(
        'project: a\npython: "3.11"\nservices:\n  api:\n    context: api\n    command: [python, -m, api]\n'
        f"    requirements: [{asked}]\n"
    )
    for other in beside:
        (folder / "api" / other).write_bytes(NAMING[other])

    @few
    @given(content=nearly(NAMING[name]))
    def each(content: bytes) -> None:
        (folder / "api" / name).write_bytes(content)
        read(lambda: manifest(folder / "services.yaml"))

    each()


DOCKERFILES = (
    b'# syntax=docker/dockerfile:1\nARG V=3.11\nFROM python:${V}-slim AS base\nENV A=1 B="two words"\n'
    b"RUN apt-get update && apt-get install -y --no-install-recommends libpq5=15 gcc \\\n    && rm -rf /var/lib/apt/lists/*\n"
    b"WORKDIR /app\nCOPY --chown=app:app requirements.txt .\nRUN --mount=type=cache,target=/root pip install -r requirements.txt\n"
    b"COPY . .\nUSER app\nEXPOSE 8000/tcp\nHEALTHCHECK --interval=5s CMD curl -f http://localhost || exit 1\n"
    b'ENTRYPOINT ["python", "-m"]\nCMD ["api", "--port", "8000"]\n',
    b'FROM python:3.11\nCOPY <<EOF /a.sh\n#!/bin/sh\nexec "$@"\nEOF\nRUN useradd -u 1000 app || true; pip install ${A:-b}\n'
    b'SHELL ["bash", "-c"]\nCMD uvicorn main:app --port ${PORT:-8000}\n',
)
COMPOSE = (
    b"x-a: &a\n  restart: always\n  environment: &env {A: '1', B: }\nservices:\n  api:\n    <<: *a\n    build: {context: ./api, args: [V=3.11]}\n"
    b"    command: python -m api --port 8000\n    ports: ['127.0.0.1:8000:8000/tcp', 9000, {target: 80, published: '81'}]\n"
    b"    environment: [C=${C:-d}, E]\n    env_file: [{path: .env, required: false}]\n    volumes: ['data:/data:ro', './x:/y', {type: tmpfs, target: /t}]\n"
    b"    depends_on: {db: {condition: service_healthy}}\n    healthcheck: {test: [CMD, true], interval: 1m30s}\n    user: '1000:1000'\n"
    b"    deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}\n    secrets: [key]\n    extends: {file: other.yaml, service: api}\n"
    b"  db: {image: 'postgres:17', environment: {POSTGRES_PASSWORD: x}}\nvolumes: {data: }\nsecrets: {key: {file: ./key}}\n",
)


def _init(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    read(lambda: start(folder / "services.yaml", InitRequest()))


@few
@given(content=nearly(*DOCKERFILES))
def test_dockerfiles(content: bytes, folder: Path) -> None:
    _init(folder, "api/Dockerfile", content)


@few
@given(content=nearly(*COMPOSE))
def test_compose_files(content: bytes, folder: Path) -> None:
    (folder / "api/Dockerfile").write_bytes(DOCKERFILES[0])
    _init(folder, "compose.yaml", content)


LOCK = (
    b"# via web\na==1 \\\n    --hash=sha256:" + b"a" * 64 + b"\n",
    b"# a-1-py3-none-any.whl 9\n# asked for\na==1 ; os_name == 'nt' \\\n    --hash=sha256:"
    + b"b" * 64
    + b"\n",
)


@few
@given(content=nearly(*LOCK))
def test_locks(content: bytes) -> None:
    read(lambda: parse_pins(content.decode("utf-8", "replace")), Fault)


LEDGER = ledger_bytes(
    Ledger("a", "1", (LedgerEntry("a.py", 9, 0, "rule", "a", "1"),), {"b.py": "0" * 64})
)


@few
@given(content=st.one_of(nearly(LEDGER), nearly(gzip.decompress(LEDGER)).map(gzip.compress)))
def test_ledgers(content: bytes) -> None:
    read(lambda: read_ledgers(io.BytesIO(tar({"ledger/web": content}))))


def _layer() -> bytes:
    out = io.BytesIO()
    record = "opt/slimbake/lib/python3.11/site-packages/a-1.dist-info/RECORD"
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in {
            record: b"a.py,sha256=x,9\n",
            f"{'long/' * 60}é": b"x",
            "app/.wh.gone": b"",
            "opt/slimbake/ledger/web.json.gz": LEDGER,
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


LAYER = _layer()


@few
@given(
    content=st.one_of(nearly(LAYER), nearly(LAYER).map(gzip.compress), nearly(gzip.compress(LAYER)))
)
def test_layers(content: bytes) -> None:
    read(lambda: read_layer("sha256:1", io.BufferedReader(io.BytesIO(content)), Budget()))


DIGEST = "sha256:" + "1" * 64
IMAGE = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 9}
INDEX = {
    "manifests": [{**IMAGE, "platform": {"os": "linux", "architecture": "amd64"}}],
    "config": {"digest": DIGEST},
    "layers": [{"digest": DIGEST, "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}],
    "rootfs": {"diff_ids": [DIGEST]},
}


@few
@given(contents=st.tuples(*(nearly(json.dumps(INDEX).encode()) for _ in range(2))))
def test_layouts(contents: tuple[bytes, bytes]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, content in enumerate(contents, 1):
            info = tarfile.TarInfo(f"blobs/sha256/{str(number) * 64}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker, "saved", lambda _: io.BytesIO(out.getvalue()))
        read(lambda: survey({"one": "sha256:" + "2" * 64}, Workspace(None)))
