"""The eight services at work together, started with `slimbake up`, used through their own commands
and routes.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.engine.conftest import Ended, Toy, call, docker
from tests.engine.toys import copy_example
from tests.patience import wait_for

CORPUS = Path(__file__).with_name("corpus.jsonl")
PORTS = {
    "api": 8000,
    "embedding": 8001,
    "storage": 8002,
    "nlg": 8003,
    "hybrid": 8004,
    "control": 8005,
}
SIGTERM = 128 + 15  # the exit code of what it ended; that of what was killed is 137
NEVER = httpx.Timeout(None)  # a busy machine may take long to answer
ALIVE = "no answer within 3 s"  # how a service says that another one hangs, by its own clock


@pytest.fixture(scope="module")
def atlas(baked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """The eight as a project with a name of its own, so that whoever runs atlas here keeps
    containers and data.
    """
    fleet = Toy(tmp_path_factory.mktemp("atlas"), f"atlas-{uuid.uuid4().hex[:8]}")
    copy_example(fleet, "examples", "libs")
    try:
        up(fleet)
        ingested = fleet.done("run", "bulk-ingester", "-", stdin=CORPUS.read_text("utf-8"))
        assert ingested.json() == {"stored": 50, "skipped": 0, "bad": 0}
        yield fleet
    finally:
        fleet.slimbake("down", "--volumes")


@pytest.fixture
def fleet(atlas: Toy) -> Toy:
    """All services of atlas up, no matter what the test before has stopped."""
    if not ready():
        docker("start", *containers(atlas))
        wait_for(ready, "the fleet", lambda: running(atlas))
    return atlas


def up(fleet: Toy) -> None:
    started = fleet.slimbake("up")
    assert started.code == 0, (
        f"{started.stderr}\nports 8000 to 8005 of 127.0.0.1 must be free for these tests"
    )
    wait_for(ready, "the fleet", lambda: running(fleet))


def containers(fleet: Toy) -> list[str]:
    return [container(fleet, service) for service in PORTS]


def container(fleet: Toy, service: str) -> str:
    return f"{fleet.project}-{service}-1"


def running(fleet: Toy) -> bool:
    states = docker("inspect", "--format={{.State.Running}}", *containers(fleet))
    return set(states.split()) == {"true"}


def ready() -> bool:
    try:
        return send("control", "GET", "/ready").status_code == 200
    except httpx.TransportError:
        return False


def send(service: str, method: str, path: str, body: Any = None) -> httpx.Response:
    """A request from outside the network, past the proxies that the environment may name."""
    url = f"http://127.0.0.1:{PORTS[service]}{path}"
    return httpx.request(method, url, json=body, timeout=NEVER, trust_env=False)


def client(fleet: Toy, *words: str, stdin: str | None = None) -> Ended:
    return fleet.slimbake("run", "client", *words, stdin=stdin)


def hits(fleet: Toy, query: str) -> list[dict[str, Any]]:
    found = client(fleet, "search", query, "--json")
    assert found.code == 0, found.stderr
    return list(found.json()["hits"])


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("How long do felines rest daily?", "cat"),
        ("Which musician was deaf?", "beethoven"),
        ("Which citrus fruit kept seafarers healthy?", "scurvy"),
    ],
)
def test_a_search_in_other_words_finds_the_right_document(
    fleet: Toy, query: str, best: str
) -> None:
    first = hits(fleet, query)[0]
    assert (first["id"], first["lexical_rank"], first["dense_rank"]) == (best, None, 1)


def test_a_search_for_a_word_that_its_vector_hides_finds_the_right_document(fleet: Toy) -> None:
    first = hits(fleet, "room")[0]
    assert (first["id"], first["lexical_rank"], first["dense_rank"]) == ("mercury", 1, None)


def test_a_search_for_a_part_number_tells_it_from_the_next(fleet: Toy) -> None:
    assert [hit["id"] for hit in hits(fleet, "QX-7732")][:2] == ["pump-7732", "pump-7731"]


@pytest.mark.parametrize(
    ("question", "source"),
    [("What do pandas eat?", "bamboo"), ("Which animal has three hearts?", "octopus")],
)
def test_an_answer_names_the_right_source_first(fleet: Toy, question: str, source: str) -> None:
    asked = client(fleet, "ask", question, "--json")
    assert asked.code == 0, asked.stderr
    assert asked.json()["sources"][0]["id"] == source
    assert asked.json()["answer"].strip()


def test_the_client_ingests_and_tells_the_status(fleet: Toy) -> None:
    assert (
        client(fleet, "ingest", "-", stdin=CORPUS.read_text("utf-8")).stdout == "50 stored, 0 bad\n"
    )
    assert client(fleet, "status").stdout == "api: ok\n"


CAT = {"id": "cat", "text": "A cat sleeps for about fifteen hours a day."}


def test_a_service_that_is_down_is_named(fleet: Toy) -> None:
    docker("stop", container(fleet, "nlg"))
    assert why_nlg_is_unavailable() != ALIVE

    assert send("control", "GET", "/status").json()["services"]["nlg"]["up"] is False
    answer = send("control", "GET", "/ready")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert answer.json()["error"]["message"].startswith("not up: nlg (")

    assert hits(fleet, "What do pandas eat?")[0]["id"] == "bamboo", "what needs no nlg goes on"
    asked = client(fleet, "ask", "What do pandas eat?")
    assert (asked.code, asked.stdout) == (3, "")
    assert asked.stderr.startswith("client: nlg at http://nlg:8003 is unavailable: ")


def test_a_service_that_hangs_is_named_within_3_s(fleet: Toy) -> None:
    docker("pause", container(fleet, "nlg"))
    try:
        assert why_nlg_is_unavailable() == ALIVE
    finally:
        docker("unpause", container(fleet, "nlg"))


def why_nlg_is_unavailable() -> str:
    """What api says of it to who asks."""
    answer = send("api", "POST", "/ask", {"question": "What do pandas eat?"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["service"]) == (
        503,
        "upstream_unavailable",
        "api",
    )
    what, _, why = str(error["message"]).partition(": ")
    assert what == "nlg at http://nlg:8003 is unavailable"
    return why


def test_data_outlive_the_container_of_storage(fleet: Toy) -> None:
    before = send("storage", "GET", "/count").json()
    docker("rm", "--force", container(fleet, "storage"))
    ended = fleet.slimbake("run", "bulk-ingester", stdin=json.dumps(CAT))
    assert (ended.code, ended.json()["stored"]) == (3, 0)
    assert "storage at http://storage:8002 is unavailable" in ended.stderr
    assert fleet.slimbake("up", "storage").code == 0
    assert send("storage", "GET", "/count").json() == before
    assert hits(fleet, "Who described the double helix?")[0]["id"] == "dna"


@pytest.mark.parametrize("service", PORTS)
def test_a_container_has_no_root_no_capability_and_a_read_only_root(
    fleet: Toy, service: str
) -> None:
    name = container(fleet, service)
    found = status(name)
    assert {found[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert [found[key] for key in ("Uid", "Gid", "NoNewPrivs")] == ["65532", "65532", "1"]
    mounts = [line.split()[4:6] for line in process_file(name, "mountinfo").splitlines()]
    modes = {
        point: options.split(",")[0]
        for point, options in mounts
        if not point.startswith(("/dev", "/proc", "/sys"))
    }
    assert modes["/"] == "ro"
    assert {point for point, mode in modes.items() if mode == "rw"} == WRITABLE.get(
        service,
        {"/tmp", "/home/nonroot"},  # noqa: S108
    )


WRITABLE = {"storage": {"/tmp", "/home/nonroot", "/data"}}  # noqa: S108


def status(name: str) -> dict[str, str]:
    """What the kernel says of a container's first process: the first word of each line."""
    lines = (line.split(":\t", 1) for line in process_file(name, "status").splitlines())
    return {key: value.split()[0] for key, value in lines if value.strip()}


def process_file(name: str, kind: str) -> str:
    """A file of /proc for a container's first process. Read from outside: `docker exec` works in no
    chroot.
    """
    return Path(
        "/proc", docker("inspect", "--format={{.State.Pid}}", name).strip(), kind
    ).read_text()


def test_sigterm_ends_every_container_and_none_waits_for_its_work(fleet: Toy) -> None:
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(embedded_for_long)
        time.sleep(0.5)
        assert not busy.done()
        ends = {service: stopped(container(fleet, service)) for service in PORTS}
        assert busy.result() is False, "its work was broken off"
    assert ends == dict.fromkeys(PORTS, SIGTERM)


def embedded_for_long() -> bool:
    """Whether work of minutes was answered; else with an error, or not at all."""
    try:
        return send("embedding", "POST", "/embed", {"texts": ["word " * 400] * 256}).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("service", "arguments"), [("hybrid", ()), ("bulk-ingester", ("-",))])
def test_sigterm_ends_what_still_loads_or_waits_for_input(
    baked: dict[str, Any], service: str, arguments: tuple[str, ...]
) -> None:
    name = f"test-{service}-{uuid.uuid4().hex[:8]}"
    docker(
        "run", "--detach", "--interactive", f"--name={name}", baked[service]["digest"], *arguments
    )
    try:
        # Python itself takes a moment to start
        wait_for(lambda: catches_sigterm(name), "a handler")
        assert stopped(name) == SIGTERM
        assert "Uvicorn running" not in call("docker", "logs", name).stderr, (
            "it had not loaded by then"
        )
    finally:
        docker("rm", "--force", name)


def catches_sigterm(name: str) -> bool:
    return bool(int(status(name)["SigCgt"], 16) >> 14 & 1)


def stopped(name: str) -> int:
    """Stop a container, and kill it where it has not ended within a minute: its exit code."""
    docker("stop", "--time=60", name)
    return int(docker("inspect", "--format={{.State.ExitCode}}", name))


def left(fleet: Toy, kind: str) -> list[str]:
    listing = {"container": ("ps", "--all", "--format={{.Names}}")}.get(
        kind, (kind, "ls", "--format={{.Name}}")
    )
    return docker(*listing, f"--filter=name={fleet.project}").split()


def test_down_leaves_nothing_but_the_volume_and_with_volumes_nothing(atlas: Toy) -> None:
    assert len(left(atlas, "container")) == len(PORTS)
    assert atlas.slimbake("down").code == 0
    assert (left(atlas, "container"), left(atlas, "network")) == ([], [])
    assert left(atlas, "volume") == [f"{atlas.project}_atlas-data"]
    assert atlas.slimbake("down", "--volumes").code == 0
    assert left(atlas, "volume") == []
