"""Start checks: an image that does not start gets no tag, no matter what else holds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.conftest import Toy, call, docker, inspected
from tests.engine.toys import held, text_of
from tests.patience import wait_for

MANIFEST = text_of("starts.yaml")
PLACED = """
import getpass, grp, os, pathlib
def check():
    assert (os.getuid(), os.getgid(), os.getcwd()) == (1000, 0, "/app/below")
    assert (getpass.getuser(), pathlib.Path.home(), grp.getgrgid(0).gr_name) == (
        "app", pathlib.Path("/home/app"), "root"
    )
    for path in ("/var/cache/placed/a", "/owned/a", "/tmp/a"):
        pathlib.Path(path).write_text("kept")
    for path in ("/app/below/a", "/var/cache/a"):
        try:
            pathlib.Path(path).write_text("lost")
        except OSError:
            continue
        raise AssertionError(f"{path} can be written")
"""
SERVES = """
import http.server, placing
placing.check()
http.server.ThreadingHTTPServer(("", 8005), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
FILES = {
    "app/asks.py": "import sys; sys.exit(sys.argv[1:] != ['--help'])",
    "app/dies.py": "raise SystemExit('DATABASE: is not set')",
    "app/stores.py": "import pathlib\nfor each in ('/kept/a', '/tmp/a'):\n"
    "    pathlib.Path(each).write_text('kept')\n",
    "app/writes.py": "import pathlib; pathlib.Path('/var/x/y').mkdir(parents=True)",
    "app/below/placing.py": PLACED,
    "app/below/placed.py": SERVES,
    "app/below/well.py": "",
    "app/smoke.py": "def load():\n    import placing\n    placing.check()\n",
    "own/Dockerfile": "FROM base\nUSER 65532:65532\n"
    'ENTRYPOINT ["python", "-m", "http.server"]\nCMD ["8001"]\n',
}
GOOD = ("serves", "ends", "stores", "asks", "keyed", "own", "skipped", "placed")
BAD = {
    "dies": "its command ended with exit code 1",
    "near": "listens on port 8002 of the container's loopback only: bind it to 0.0.0.0",
    "other": "does not listen on port 8003 but on 8004",
    "writes": "Read-only file system",
    "gone": "cannot be run",
    "unwell": "unwell: its healthcheck cannot be run: the image has no curl",
}


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    shared_toy.write(MANIFEST.replace("PROJECT", shared_toy.project), FILES)
    return shared_toy


def test_what_starts_is_tagged_and_what_does_not_is_not(toy: Toy) -> None:
    done = toy.slimbake("bake")
    assert done.code == 6, done.stderr
    for name in GOOD:
        assert held(toy.image(name)), name
    for name, why in BAD.items():
        assert not held(toy.image(name)), name
        assert f"the start check of {name} failed" in done.stderr
        assert why in done.stderr, done.stderr
    assert "DATABASE: is not set" in done.stderr
    assert "if it needs a network, data, a variable or another service" in done.stderr
    assert "`tmpfs: [/var/x]`" in done.stderr
    config = inspected(toy.image("keyed"), ".Config.Env")
    assert not [each for each in config if each.startswith("KEY=")], (
        "a variable of the start check alone"
    )


def test_the_table_says_what_was_checked(toy: Toy) -> None:
    done = toy.done("bake", *GOOD, "--json")
    found: dict[str, Any] = done.json()["images"]
    assert found["own"]["checks"] == ["start"] and found["own"]["unchecked"] == ["smoke"]
    assert found["skipped"]["checks"] == []
    assert found["skipped"]["unchecked"] == ["start", "smoke"]
    text = toy.slimbake("bake", "serves").stdout
    assert "start (no smoke)" in text


def test_an_engine_finds_a_service_with_a_port_healthy(toy: Toy) -> None:
    name = f"{toy.project}-healthy"
    docker("run", "--detach", f"--name={name}", toy.image("serves"))

    def health() -> str:
        return call("docker", "inspect", "--format={{.State.Health.Status}}", name).stdout.strip()

    try:
        tried = call("docker", "exec", name, "python", "--version")
        if "OCI runtime exec failed" in tried.stdout + tried.stderr:
            pytest.skip("this engine, as in a chroot, runs nothing in a container that is there")
        wait_for(
            lambda: health() == "healthy", "a healthy container", lambda: health() == "starting"
        )
    finally:
        docker("rm", "--force", name)
