"""Services that start from an image of the user's, beside one on slimbake's own runtime."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Toy, call, docker, fleet, inspected
from tools.bare.images import python_image

pytestmark = pytest.mark.slow

# Debian with bash, coreutils and Python, under one name only; all of it would get in the way of ours.
IMAGE = """\
FROM python:3.13-slim-trixie AS whole
RUN ["/usr/bin/rm", "/usr/local/bin/python", "/usr/local/bin/python3"]
RUN ["/bin/sh", "-c", "printf '#!/bin/sh\\necho swallowed; exit 3\\n' > /entry && chmod 755 /entry"]
RUN ["/bin/sh", "-c", "mkdir /home/worker && chown 1234:1234 /home/worker"]
RUN ["/bin/sh", "-c", "echo worker:x:1234:1234::/home/worker:/bin/bash >> /etc/passwd"]
ENV GREETING=hello
WORKDIR /srv
USER worker
HEALTHCHECK CMD ["false"]
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/entry"]
CMD ["never"]

FROM whole AS without
USER 0
RUN ["/bin/rm", "-r", "/usr/bin/python3.13", "/usr/lib/python3.13", "/usr/share/zoneinfo"]

FROM whole AS three
USER 0
RUN ["/bin/ln", "-s", "python3.13", "/usr/bin/python3"]

FROM whole AS closed
USER 0
RUN ["/bin/sh", "-c", "mkdir /root/bin && mv /usr/bin/python3.13 /root/bin && chmod 700 /root"]
RUN ["/bin/ln", "-s", "/root/bin/python3.13", "/usr/bin/python3.13"]
"""
MANIFEST = """\
bases:
  big: {{from: "{image}", requirements: [markupsafe, numpy]}}
  kept: {{from: "{image}", requirements: [markupsafe, numpy]}}
services:
  a: {{base: big, context: app, command: [python, -m, app], smoke: smoke.py, verify: verify.py, port: 8000}}
  b: {{from: "{image}", user: "1000", context: app, requirements: [numpy, ./lib], command: [python, -m, app], port: 8000, volumes: {{data: /data}}}}
  c: {{context: app, requirements: [markupsafe, numpy], command: [python, -m, app], port: 8000}}
  e: {{from: "{without}", context: app, requirements: [markupsafe, numpy], system: [tini], entrypoint: [tini, "--"], command: [python, -m, app], port: 8000}}
  d: {{base: kept, dockerfile: app/Dockerfile, context: app}}
"""
APP = """\
import http.server, json, os, signal, sys
import numpy
STATE = {
    "numpy": int(numpy.arange(3).sum()), "python": sys.version_info[:2], "uid": os.getuid(),
    "home": os.path.expanduser("~"), "folder": os.getcwd(), "greeting": os.environ.get("GREETING"),
    "prefix": sys.prefix, "shell": os.path.exists("/bin/bash"),
}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(STATE).encode())
def main():
    open(os.path.expanduser("~/.state"), "w").close()
    if sys.argv[1:] == ["once"]:
        print(json.dumps(STATE))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    http.server.HTTPServer(("", 8000), Handler).serve_forever()
if __name__ == "__main__":
    main()
"""
VERIFY = """\
def verify(service):
    assert service.get("/").json()["home"] == "/home/worker"
"""
HARDENED = ("--read-only", "--cap-drop=ALL", "--network=none")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the image; of other stages it is `NAME-STAGE:1`."""
    python_image("3.13")
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(IMAGE)
    name = f"slimbake-test/from-{folder.parent.name}"
    names = {stage: f"{name}-{stage}:1" for stage in ("without", "three", "closed")}
    names["whole"] = f"{name}:1"
    for stage, tag in names.items():
        docker("build", "--quiet", f"--target={stage}", f"--tag={tag}", str(folder))
    yield names["whole"]
    docker("image", "rm", *names.values())


@pytest.fixture(scope="module")
def toy(shared_toy: Toy, image: str) -> Toy:
    files = {
        "app/app.py": f"{APP}# {shared_toy.project}\n",
        "app/smoke.py": "def imports():\n    import app\n    assert app.STATE['numpy'] == 3\n",
        "app/verify.py": VERIFY,
        "app/Dockerfile": 'FROM base\nCOPY app.py /app/\nCMD ["python", "-c", "import app"]\n',
        "lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\n',
        "lib/lib.py": "ONE = 1\n",
    }
    without = image.removesuffix(":1") + "-without:1"
    shared_toy.write(MANIFEST.format(image=image, without=without), files, python="3.13")
    shared_toy.done("lock")
    shared_toy.done("bake", "a", "b", "c", "d", "e")
    return shared_toy


def _state(toy: Toy, service: str, home: str) -> Any:
    words = ("run", "--rm", *HARDENED, f"--tmpfs={home}:mode=1777", toy.image(service))
    return json.loads(docker(*words, "python", "-m", "app", "once"))


def test_the_lock_says_where_its_python_is_and_as_whom_it_runs(toy: Toy, image: str) -> None:
    lines = (toy.root / "bake/locks/externals.txt").read_text().splitlines()
    (line,) = (line for line in lines if line.split()[1] == image)
    _, name, digest, path, version, libc, machine, user, home, compilers = line.split()
    assert (name, digest, path) == (image, "unresolved", "/usr/bin/python3.13")
    assert version.startswith("3.13.")
    assert libc.startswith("glibc-2.")
    assert machine in ("x86_64", "aarch64")
    assert (user, home, compilers) == ("1234:1234", "/home/worker", "-")
    toy.done("lock", "--check")


def test_layers_of_packages_are_those_of_a_service_on_slimbakes_own_runtime(toy: Toy) -> None:
    layers = {name: inspected(toy.image(name), ".RootFS.Layers") for name in "abce"}
    packages = layers["c"][2:-1]  # without the runtime, its folder and the code
    assert len(packages) == 2
    assert layers["a"][-3:-1] == packages
    assert packages[0] in layers["b"], "numpy's"
    assert {*packages} < {*layers["e"]}
    listed = json.loads(toy.done("layers", "--json").stdout)["layers"]
    assert {layer["digest"] for layer in listed.values()} >= {*packages}


def test_its_files_and_variables_stay_and_what_it_starts_does_not(toy: Toy, image: str) -> None:
    below = inspected(image, ".RootFS.Layers")
    assert inspected(toy.image("a"), ".RootFS.Layers")[: len(below)] == below
    config = inspected(toy.image("a"), ".Config")
    assert (config["Entrypoint"], config["Cmd"]) == (None, ["python", "-m", "app"])
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD", "the manifest's port"
    assert "GREETING=hello" in config["Env"]
    assert config["Labels"]["org.opencontainers.image.base.name"] == image


@pytest.mark.parametrize(
    ("service", "uid", "home", "greeting"),
    [
        ("a", 1234, "/home/worker", "hello"),
        ("b", 1000, "/home/app", "hello"),
        ("c", 65532, "/home/nonroot", None),
    ],
)
def test_user_home_and_folder(
    toy: Toy, service: str, uid: int, home: str, greeting: str | None
) -> None:
    assert _state(toy, service, home) == {
        "numpy": 3,
        "python": [3, 13],
        "uid": uid,
        "home": home,
        "folder": "/app",
        "greeting": greeting,
        "prefix": "/opt/slimbake",
        "shell": service != "c",
    }


def test_an_image_without_python_gets_slimbake_s_own(toy: Toy) -> None:
    lines = (toy.root / "bake/locks/externals.txt").read_text().splitlines()
    (line,) = (line for line in lines if "-without:1 " in line)
    assert line.split()[3] == "/opt/slimbake/python/bin/python3.13"
    state = _state(toy, "e", "/home/app")
    assert (state["numpy"], state["python"], state["shell"]) == (3, [3, 13], True)
    code = (
        "import bz2, ctypes, lzma, sqlite3, ssl, sys, zoneinfo, subprocess;"
        "assert ssl.create_default_context().get_ca_certs();"
        "zoneinfo.ZoneInfo('Europe/Berlin');"
        "subprocess.run(['bash', '-c', 'true'], check=True);"
        "print(sys.base_prefix, ssl.OPENSSL_VERSION)"
    )
    words = ("run", "--rm", *HARDENED, toy.image("e"), "python", "-c", code)
    assert docker(*words).startswith("/opt/slimbake/python OpenSSL 3")


def test_debian_packages_are_installed_by_the_image_s_own_apt(toy: Toy) -> None:
    state = docker("run", "--rm", toy.image("e"), "dpkg", "--status", "tini")
    assert "Status: install ok installed" in state
    times = docker("run", "--rm", toy.image("e"), "stat", "-c", "%Y", "/usr/bin/tini")
    assert times == "315532800\n"


def test_packages_of_the_repository_are_there(toy: Toy) -> None:
    words = ("run", "--rm", *HARDENED, toy.image("b"))
    assert docker(*words, "python", "-c", "import lib; print(lib.ONE)") == "1\n"


def test_a_dockerfile_of_one_s_own_may_stand_on_such_a_base(toy: Toy) -> None:
    code = "import app, markupsafe; print(app.STATE['uid'], app.STATE['prefix'])"
    words = ("run", "--rm", *HARDENED, toy.image("d"), "python", "-c", code)
    assert docker(*words) == "1234 /opt/slimbake\n"


def test_all_checks_run(toy: Toy) -> None:
    report = toy.done("bake", "a", "b").stdout
    rows = {line.split()[0]: line for line in report.splitlines() if line[:2] in ("a ", "b ")}
    assert "start" in rows["a"]
    assert "smoke" in rows["a"]
    assert "inventory" in rows["b"]
    assert "passed" in toy.done("check", "--images", "a").stdout
    toy.edit("== 3", "== 4", "app/smoke.py")
    failed = toy.slimbake("bake", "a")
    toy.edit("== 4", "== 3", "app/smoke.py")
    assert failed.code == 6, failed.stderr


def test_the_sbom_has_the_packages_of_the_image_and_of_the_lock(toy: Toy) -> None:
    components = json.loads(toy.done("sbom", "a").stdout)["components"]
    names = {component["name"] for component in components}
    assert {"bash", "coreutils", "CPython", "numpy", "markupsafe"} <= names


def test_a_debug_shell_is_the_image_s_own(toy: Toy) -> None:
    assert toy.done("debug", "a", "bash", "-c", "id -un").stdout == "worker\n"


def test_sizes_say_what_the_image_costs(toy: Toy, image: str) -> None:
    text = toy.done("sizes").stdout
    (line,) = (line for line in text.splitlines() if line.startswith(f"from {image}"))
    assert "more than slimbake's runtime" in line


@contextmanager
def other(root: Path, image: str, python: str = "3.11") -> Iterator[Toy]:
    """Another fleet, of a service that starts from an image."""
    service = f'{{from: "{image}", context: app, command: [python, -m, app]}}'
    with fleet(root) as made:
        made.write(f"services:\n  a: {service}\n", {"app/app.py": ""}, python=python)
        yield made


def test_an_image_that_has_not_that_python_is_refused_when_it_is_locked(
    image: str, tmp_path: Path
) -> None:
    name = image.removesuffix(":1") + "-three:1"
    with other(tmp_path, name) as made:
        refused = made.slimbake("lock")
    assert refused.code == 2
    assert f"services.yaml:4:13: services.a.from: '{name}' has Python 3.13." in refused.stderr


def test_an_image_for_another_platform_is_refused_when_it_is_locked(tmp_path: Path) -> None:
    name = "slimbake-bare/python:3.11-arm64"
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + bytes([2, 0, 183, 0])  # 183: arm64
    program = tmp_path / "python3"
    program.write_bytes(header.ljust(64, b"\0"))
    program.chmod(0o755)
    with tarfile.open(tmp_path / "image.tar", "w") as image:
        image.add(program, "usr/bin/python3")
    docker("import", "--platform", "linux/arm64", str(tmp_path / "image.tar"), name)
    with other(tmp_path, name) as made:
        refused = made.slimbake("lock")
    assert refused.code == 2
    assert f"'{name}' is not for linux/amd64" in refused.stderr


def test_a_python_of_root_s_own_is_refused_when_it_is_built(image: str, tmp_path: Path) -> None:
    with other(tmp_path, image.removesuffix(":1") + "-closed:1", "3.13") as made:
        made.done("lock")
        failed = made.slimbake("bake")
    assert failed.code == 5
    assert "can be started by root alone: /root is closed to others" in failed.stderr


def test_without_an_engine_a_lock_says_what_it_did_not_ask(tmp_path: Path) -> None:
    with other(tmp_path, "nowhere:1") as made:
        said = made.done("lock", env={"DOCKER_HOST": "unix:///nowhere"}).stderr
        assert "the Python of nowhere:1 is not locked: the Docker engine does not answer" in said
        stale = made.slimbake("bake")
    assert stale.code == 4
    assert "no lock says where Python 3.11 is in nowhere:1" in stale.stderr


def test_the_image_is_run_again_only_where_its_lock_is_old(toy: Toy) -> None:
    assert toy.done("lock").stdout == "the locks are fresh\n"
    assert call("docker", "image", "inspect", "nowhere:1").code != 0
