"""`slimbake up`, `run`, `logs` and `down` with a toy fleet, through Docker Compose."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.engine.conftest import Toy, call, docker, fetch, up
from tests.engine.registries import free_port
from tests.engine.toys import text_of
from tests.golden.fleets import FLEETS, Fleet
from tools.bare.images import python_image

from slimbake.render.compose import COMPOSE_FILE, compose

pytestmark = pytest.mark.slow

MANIFEST = text_of("up.yaml")
SERVES = """
import http.server, json, os, pathlib
def written(path):
    try:
        pathlib.Path(path, "a").write_text("")
        return True
    except OSError:
        return False
STATE = {
    "user": [os.getuid(), os.getgid()],
    "env": {key: os.environ.get(key) for key in ("FROM_FILE", "FROM_DOTENV", "FILLED", "GIVEN")},
    "written": [path for path in ("/data", "/var/cache/serves", "/tmp", "/app", "/") if written(path)],
    "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapBnd")][0],
}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(STATE).encode())
print("serving http://0.0.0.0:8000", flush=True)
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
FILES = {
    "serves/serves.py": SERVES,
    "works/works.py": "import time\nprint('working', flush=True)\ntime.sleep(3600)\n",
    "works/dies.py": "import sys\nsys.exit('DATABASE: is not set')\n",
    "works/asks.py": "import sys\nprint(sys.argv[1:], sys.stdin.read())\nsys.exit(len(sys.argv) - 2)\n",
    "serves.env": "FROM_FILE=file\nGIVEN=file\n",
    ".env": "FROM_DOTENV='a $b'\n",
}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Toy]:
    with up(tmp_path_factory.mktemp("up"), MANIFEST.replace("PORT", str(port)), FILES) as made:
        yield made


def names(toys: Toy) -> list[str]:
    label = f"--filter=label=com.docker.compose.project={toys.project}"
    return docker("ps", "--all", "--format={{.Names}}", label).split()


def test_up_says_which_images_are_older_than_what_they_are_made_of(toys: Toy) -> None:
    fresh = toys.slimbake("up", "works", "ends")
    assert (fresh.code, "edited since" in fresh.stderr) == (0, False), fresh.stderr
    text = toys.edit("import time", "import time  # edited", "works/works.py")
    stale = toys.slimbake("up", "works", "ends")
    toys.file("works/works.py", text)
    assert stale.code == 0, stale.stderr
    said = "works, ends: edited since the last bake, whose image starts: `slimbake bake works ends`"
    assert said in stale.stderr, stale.stderr


def test_up_returns_once_services_are_healthy_in_the_one_environment(toys: Toy, port: int) -> None:
    started = toys.done("up", "serves", "works", "ends", "--env=GIVEN=a ${b}")
    assert started.stdout.startswith("up: serves, works, ends; ")
    assert f"serves: 127.0.0.1:{port}\n" in started.stderr
    assert "ends: finished with exit code 0\n" in started.stderr
    status, body = fetch(f"http://127.0.0.1:{port}/")
    assert (status, json.loads(body)) == (
        200,
        {
            "user": [1000, 1000],
            "env": {
                "FROM_FILE": "file",
                "FROM_DOTENV": "a $b",
                "FILLED": "a $b, $",
                "GIVEN": "a ${b}",
            },
            "written": ["/data", "/var/cache/serves", "/tmp"],  # noqa: S108
            "capabilities": "0000000000000000",
        },
    )
    assert toys.slimbake("logs", "works").stdout == "works-1  | working\n"


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("dies", ["slimbake: dies ended with exit code 1", "DATABASE: is not set"]),
        ("ails", ["slimbake: ails is unhealthy", "working"]),
    ],
)
def test_up_fails_for_what_dies_or_ails_with_its_last_words(
    toys: Toy, service: str, words: list[str]
) -> None:
    started = toys.slimbake("up", service)
    assert (started.code, started.stdout) == (6, "")
    hint = f"  `slimbake logs {service}`: all that they wrote; `slimbake down` removes the others"
    assert started.stderr.splitlines()[-len(words) - 1 :] == [*words, hint]


def test_up_of_a_port_that_is_taken_says_so(toys: Toy, port: int) -> None:
    toys.slimbake("down")
    with socket.create_server(("127.0.0.1", port)):
        started = toys.slimbake("up", "serves", "works")
    assert started.code == 7
    assert started.stderr.splitlines()[-3:] == [
        f"slimbake: serves: port {port} of this machine is in use by another program",
        "  end that, or give serves another port: `publish:` in the manifest",
        "  `slimbake down` removes what was started",
    ]
    toys.slimbake("down")
    assert names(toys) == []


def test_run_gives_arguments_variables_and_stdin_and_takes_the_exit_code(toys: Toy) -> None:
    started = toys.slimbake("up", "asks")
    assert started.code == 0 and started.stdout.startswith("up: nothing; ")
    done = toys.slimbake("run", "asks", "--a b", "$HOME", stdin="given")
    assert (done.code, done.stdout, done.stderr) == (1, "['--a b', '$HOME'] given\n", "")
    assert toys.slimbake("run", "--env=GIVEN", "serves").code == 2, "it is not set here"
    code = "import os; print(os.environ['GIVEN'])"
    done = toys.slimbake("run", "-e", "GIVEN=a$b", "serves", "python", "-c", code)
    assert done.stdout == "a$b\n"


def test_another_repository_of_the_name_touches_no_container(toys: Toy, tmp_path: Path) -> None:
    assert toys.slimbake("up", "works").code == 0
    other = Toy(tmp_path, toys.project)
    other.write("\nservices:\n  works: {context: works, command: [python, -m, works]}\n", FILES)
    for words in (("up",), ("down",), ("run", "works")):
        done = other.slimbake(*words)
        assert done.code == 7
        assert f"of another project '{toys.project}', of {toys.root}/bake\n" in done.stderr
    assert f"{toys.project}-works-1" in names(toys)


def test_another_repository_of_the_name_touches_no_data(toys: Toy, tmp_path: Path) -> None:
    assert toys.slimbake("up", "serves").code == 0
    assert toys.slimbake("down").code == 0
    other = Toy(tmp_path, toys.project)
    text = "{context: serves, command: [python, serves.py], volumes: {data: /data}}"
    other.write(f"\nservices:\n  serves: {text}\n", FILES)
    for words in (("up",), ("down", "--volumes"), ("run", "serves")):
        done = other.slimbake(*words)
        assert done.code == 7
        volume = f"the volume {toys.project}_data has the data of another project"
        assert f"{volume} '{toys.project}', of {toys.root}/bake\n" in done.stderr
    assert docker("volume", "ls", "--quiet", f"--filter=name={toys.project}_data")


def test_a_file_of_variables_that_is_missing_is_named_and_hinders_no_end(toys: Toy) -> None:
    assert toys.slimbake("up", "works").code == 0
    (toys.root / "serves.env").rename(toys.root / "away.env")
    started, read, ended = (toys.slimbake(*w) for w in (("up", "works"), ("logs",), ("down",)))
    (toys.root / "away.env").rename(toys.root / "serves.env")
    assert started.code == 7
    assert "services.serves.env_file: there is no serves.env\n" in started.stderr
    assert (read.code, ended.code, names(toys)) == (0, 0, [])


# --- with what services need of a compose file of the user's own

NEEDS = """
services:
  api: {context: works, command: [python, -m, waits], start: {with: [db]}}
  free: {context: works, command: [python, -m, works]}
"""
WAITS = """
import os, socket, time
assert os.environ["DB"] == "db"
socket.create_connection(("db", 5432), 5).close()
time.sleep(3600)
"""
OWN = text_of("needs.compose.yaml")


@pytest.fixture(scope="module")
def needing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    own = OWN.replace("IMAGE", python_image("3.11"))
    files = {**FILES, "works/waits.py": WAITS, "compose.yaml": own}
    with up(tmp_path_factory.mktemp("needs"), NEEDS, files) as made:
        yield made


def volumes(toys: Toy) -> list[str]:
    return docker("volume", "ls", "--quiet", f"--filter=name={toys.project}").split()


def test_up_starts_what_a_service_needs_and_nothing_else_of_the_user_s_own_file(
    needing: Toy,
) -> None:
    started = needing.done("up")
    assert started.stdout.splitlines()[1] == "with them, of your own compose file: db"
    project = needing.project
    assert sorted(names(needing)) == [f"{project}-{each}-1" for each in ("api", "db", "free")]
    assert needing.slimbake("down").code == 0
    assert (names(needing), volumes(needing)) == ([], [f"{project}_data"])
    assert needing.slimbake("down", "--volumes").code == 0
    assert volumes(needing) == []


def test_containers_of_the_user_s_own_compose_in_the_folder_are_no_other_project(
    needing: Toy,
) -> None:
    assert call("docker", "compose", "up", "--detach", "db", "mail", cwd=needing.root).code == 0
    needing.done("up", "api")
    assert f"{needing.project}-mail-1" in names(needing)
    assert needing.slimbake("down", "--volumes").code == 0
    assert (names(needing), volumes(needing)) == ([], [f"{needing.project}_data"]), "its own data"
    assert call("docker", "compose", "down", "--volumes", cwd=needing.root).code == 0


def test_an_image_that_nobody_has_is_named_before_anything_is_built(needing: Toy) -> None:
    gone = f"localhost:1/{needing.project}/db:1"
    image = python_image("3.11")
    before = needing.edit(f"db:\n    image: {image}", f"db:\n    image: {gone}", "compose.yaml")
    needing.file("works/works.py", "import time\ntime.sleep(3601)\n")
    baked, started = needing.slimbake("bake"), needing.slimbake("up")
    needing.file("compose.yaml", before)
    assert (baked.code, started.code) == (6, 7)
    for done in (baked, started):
        assert f"compose.yaml:4: the engine has no image {gone}, and cannot" in done.stderr
        assert "api cannot start without 'db'\n" in done.stderr
    first, _, built = baked.stderr.partition("compose.yaml:4: ")
    assert "targets" not in first and "not tagged: api\n" in built
    assert needing.slimbake("bake", "free").code == 0, "it needs nothing"


# --- one after the other

ORDERED = text_of("ordered.yaml")
IN_ORDER = {
    "proxy/proxy.py": "import socket, time\n"
    "for name in ('web', 'model'):\n    socket.create_connection((name, 8000), 5).close()\n"
    "time.sleep(3600)\n",
    "web/web.py": "import http.server, pathlib\n"
    "assert pathlib.Path('/data/done').read_text() == 'yes', 'the job has not ended'\n"
    "http.server.HTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()\n",
    "job/job.py": "import os, pathlib, time\n"
    "done = pathlib.Path('/data/done')\ndone.write_text('no')\ntime.sleep(2)\n"
    "print('migrating', flush=True)\nassert 'FAIL' not in os.environ\ndone.write_text('yes')\n",
    "model/index.html": "a model",
}


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    manifest = ORDERED.replace("PORT", str(free_port()))
    with up(tmp_path_factory.mktemp("order"), manifest, IN_ORDER) as made:
        yield made


def test_up_starts_what_a_service_depends_on_first_and_waits_for_it(in_order: Toy) -> None:
    started = in_order.done("up", "proxy")
    assert started.stdout.startswith("up: proxy, web, job, model; ")
    assert in_order.slimbake("down", "--volumes").code == 0


def test_a_variant_that_starts_stands_for_its_service(in_order: Toy) -> None:
    in_order.done("bake", "model-other")
    for asked in (("proxy", "model-other"), ("proxy",)):  # then it runs already
        started = in_order.done("up", *asked)
        assert started.stdout.startswith("up: proxy, web, job, model-other; ")
    assert in_order.slimbake("down", "--volumes").code == 0


def test_nothing_starts_after_a_job_that_fails(in_order: Toy) -> None:
    started = in_order.slimbake("up", "web", "--env=FAIL=1")
    assert (started.code, started.stdout) == (6, "")
    _, ended, words = started.stderr.partition("slimbake: job ended with exit code 1\n")
    assert ended and "migrating\n" in words and "AssertionError" in words
    assert "migrating" in in_order.slimbake("logs", "job").stdout
    assert in_order.slimbake("logs", "web").stdout == ""
    assert in_order.slimbake("down", "--volumes").code == 0


def test_run_starts_nothing_else(in_order: Toy) -> None:
    done = in_order.slimbake("run", "tool", "print('ran')")
    assert (done.code, done.stdout, names(in_order)) == (0, "ran\n", [])


# --- in a compose file of the user's own


def configured(toys: Toy, text: str) -> Any:
    """What Compose makes of a file in the repository's root."""
    toys.file("compose.yaml", text)
    done = call("docker", "compose", "config", cwd=toys.root)
    assert done.code == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


INCLUDED = """
include: [bake/compose.yaml]
services:
  db: {image: postgres}
"""
EXTENDED = """
services:
  serves:
    extends: {file: bake/compose.yaml, service: serves}
    environment: {DATABASE: db}
    depends_on: [db]
  db: {image: postgres}
volumes: {data: {}}
"""


@pytest.mark.parametrize("text", [INCLUDED, EXTENDED])
def test_the_file_serves_one_of_the_user_s_own(toys: Toy, text: str, port: int) -> None:
    toys.done("export", "compose")
    found = configured(toys, text)
    serves = found["serves"]
    assert serves["image"] == toys.image("serves", "latest")
    assert (serves["user"], serves["read_only"], serves["cap_drop"]) == ("1000:1000", True, ["ALL"])
    assert serves["environment"].items() >= {"FROM_FILE": "file", "FROM_DOTENV": "a $$b"}.items()
    assert serves["stop_signal"] == "SIGINT"
    assert [each["published"] for each in serves["ports"]] == [str(port)]
    assert serves["healthcheck"]["start_interval"] == "1s"
    assert "db" in found and "asks" not in found


@pytest.mark.parametrize("fleet", FLEETS, ids=str)
def test_compose_reads_the_file_of_every_fleet_and_replaces_nothing_in_it(
    fleet: Fleet, tmp_path: Path
) -> None:
    path = tmp_path / COMPOSE_FILE
    path.parent.mkdir()
    path.write_bytes(b"".join(compose(fleet.plan)))
    services = fleet.plan.services
    assert services
    for service in services:
        for name in service.env_file:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    words = ("docker", "compose", "--file", str(path), "--profile", "*", "config", "--format=json")
    done = call(*words, env={"x": "replaced"})
    assert (done.code, done.stderr) == (0, "")
    without = call("docker", "compose", "--file", str(path), "config", "--quiet")
    assert (without.code, without.stderr) == (0, ""), "no profile is active"
    found = json.loads(done.stdout)["services"]
    for service in services:
        said = found[service.service]
        mounts: dict[str, list[tuple[str, str]]] = {"volume": [], "image": []}
        for each in said.get("volumes", ()):
            mounts[each["type"]].append((each["source"].rpartition("/")[2], each["target"]))
        assert mounts["volume"] == [(n, p.replace("$", "$$")) for n, p in service.volumes]
        weights = [(f"{service.weights}:latest", "/weights")] if service.weights else []
        assert mounts["image"] == weights
        if health := service.healthcheck:
            test = said["healthcheck"].get("test", [])  # one without has other times, or is off
            assert test[1:] == [w.replace("$", "$$") for w in health.test]
        else:
            assert "healthcheck" not in said
