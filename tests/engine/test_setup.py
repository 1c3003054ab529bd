"""Engines and stand-ins, real ones: found, left alone, started, stopped, made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Toy, call, docker
from tests.engine.engines import own_engine
from tests.engine.programs import make_standin, program, start_and_stop
from tests.patience import wait_for

from slimbake.console import QUIET, Console
from slimbake.docker import daemon as dockerd
from slimbake.docker.engine import DockerEngine, find, setup
from slimbake.externals.doctor import doctor
from slimbake.externals.resolve import resolve_externals
from slimbake.externals.standin import python_standin
from slimbake.fleet.model import External
from slimbake.host.machine import machine
from slimbake.host.systemd import systemd_runs

pytestmark = pytest.mark.slow

# No name under .invalid resolves (RFC 2606): these externals cannot be reached on any machine.
PYTHON = External("python", "registry.invalid/python:3.11-slim-trixie")
UV = External("uv", "registry.invalid/uv:1")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start an engine")


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    with own_engine(containerd_store=False) as plain:
        yield plain.host


def state_of_engine() -> dict[str, Any]:
    """What an engine says of itself, less what it holds and what passes."""
    info = json.loads(docker("info", "--format", "{{json .}}"))
    passing = ("SystemTime", "NFd", "NGoroutines", "NEventsListener", "Images", "Containers")
    return {key: value for key, value in info.items() if not key.startswith(passing)}


def files(folder: Path) -> dict[str, int]:
    """A folder's files with their times."""
    return (
        {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
        if folder.exists()
        else {}
    )


def test_the_machines_engine_is_found_and_looking_changes_nothing() -> None:
    before = (state_of_engine(), files(Path("/etc/docker")))
    assert isinstance(find(), DockerEngine)
    assert setup(True, QUIET) == find()
    doctor([PYTHON, UV])
    assert (state_of_engine(), files(Path("/etc/docker"))) == before


@needs_root
def test_an_engine_without_the_containerd_store_is_reported_so_and_left_as_it_is(
    plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", plain)
    folder = Path(plain.removeprefix("unix://")).parent
    settings = (folder / "daemon.json").read_bytes()
    before = (state_of_engine(), files(Path("/etc/docker")), (folder / "pid").read_text())
    found = setup(True, QUIET)
    assert (found.store, found.endpoint, found.started) == ("graph", plain, False)
    rows = {row.check: row for row in doctor([PYTHON, UV]).rows}
    assert (rows["engine"].state, rows["image store"].state) == ("ok", "warn")
    assert plain in rows["engine"].found
    assert (state_of_engine(), files(Path("/etc/docker")), (folder / "pid").read_text()) == before
    assert (folder / "daemon.json").read_bytes() == settings


@needs_root
def test_an_engine_that_somebody_else_started_is_not_stopped(
    plain: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", plain)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert dockerd.stop_daemon(QUIET) is False
    assert docker("version", "--format", "{{.Server.Version}}")


@needs_root
def test_an_installed_engine_is_started_with_the_containerd_store_and_stopped_again(
    tmp_path: Path,
) -> None:
    if systemd_runs():
        pytest.skip("systemd starts engines here")
    # A view of this machine with no engine running: processes, network, /run and Docker's data of
    # its own.
    with tempfile.TemporaryDirectory(prefix="engine-") as data:
        view = f"""
            mount -t tmpfs none /run && mount --bind {data} /var/lib/docker || exit
            unset DOCKER_HOST
            exec {sys.executable} -W error -c "$1"
        """
        unshared = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--net",
            "sh",
            "-c",
        ]
        Path("/var/lib/docker").mkdir(exist_ok=True)
        done = call(
            *unshared,
            textwrap.dedent(view),
            "sh",
            program(start_and_stop),
            env={"XDG_STATE_HOME": str(tmp_path)},
        )
    log = tmp_path / "slimbake/dockerd.log"
    assert done.code == 0, done.stderr + (log.read_text()[-2000:] if log.exists() else "")


def test_externals_that_cannot_be_reached_are_stood_in_for_and_build(tmp_path: Path) -> None:
    engine = find()
    assert isinstance(engine, DockerEngine)
    externals = resolve_externals([PYTHON, UV], "3.11", engine, machine(), QUIET, install=True)
    assert externals.standins == ("python", "uv")
    (tmp_path / "Dockerfile").write_text(f"""\
FROM {PYTHON.image}
RUN --mount=type=bind,from=uv,target=/uv ["/uv/uv", "--version"]
RUN ["python3", "-c", "import bz2, ctypes, lzma, readline, sqlite3, ssl, zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')"]
RUN test -s /etc/ssl/certs/ca-certificates.crt
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1
RUN test -z "$(ls /var/cache/apt/archives/*.deb /var/cache/apt/*.bin)"
""")
    contexts = (f"{PYTHON.image}={externals['python'].context}", f"uv={externals['uv'].context}")
    flags = [flag for context in contexts for flag in ("--build-context", context)]
    built = call("docker", "buildx", "build", "--output=type=cacheonly", *flags, str(tmp_path))
    assert built.code == 0, built.stderr


def test_a_standin_is_made_once_and_labelled_with_its_recipe() -> None:
    reference = python_standin("3.11", machine(), QUIET, install=True)
    said: list[str] = []
    assert python_standin("3.11", machine(), Console(said.append)) == reference
    assert said == []
    labels = json.loads(
        docker("image", "inspect", "--format", "{{json .Config.Labels}}", reference)
    )
    assert len(labels["slimbake.standin"]) == 64


def test_an_interrupted_standin_leaves_nothing_and_the_next_bake_makes_it_and_starts_on_it(
    tmp_path_factory: pytest.TempPathFactory, toy: Toy
) -> None:
    reference = "slimbake-standin/python:3.13-trixie"
    if call("docker", "image", "inspect", reference).code == 0:
        docker("image", "rm", reference)
    scratch = tmp_path_factory.mktemp("scratch")
    scratch.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", program(make_standin)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
    ) as making:
        wait_for(
            lambda: bool(list(scratch.glob("slimbake-standin-*/mmdebstrap.*/etc"))),
            "mmdebstrap",
            lambda: making.poll() is None,
        )
        making.send_signal(signal.SIGINT)
        said = making.communicate()[1].decode()
    assert "KeyboardInterrupt" in said
    assert list(scratch.iterdir()) == []
    assert str(scratch) not in call("ps", "-eo", "args").stdout
    assert call("docker", "image", "inspect", reference).code != 0
    serve = "import tomllib, http.server as s; s.HTTPServer(('', 8000), None).serve_forever()"
    toy.write(
        f'services: {{one: {{command: [python, -c, "{serve}"], context: app, port: 8000}}}}',
        {"app/data.txt": ""},
        python="3.13",
    )
    done = toy.slimbake("bake")
    assert done.code == 0, done.stderr
    assert docker("run", "--rm", toy.image("one"), "python", "-V").startswith("Python 3.13.")
