"""bench/serving.py: what its figures are made of, and what docs/results.md makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench.document import serving
from bench.document.inputs import Inputs
from bench.serve import memory as kernel
from bench.serve.figures import NODE, Round, figure, replicas, summed
from bench.serve.load import Load, count, parsed
from bench.serve.memory import Memory, memory
from bench.serve.workloads import workloads

from slimbake.errors import CheckError

MB = 1_000_000


def round_(start: float, rss: int, seconds: float, measured: bool = True) -> Round:
    held = Memory(rss * MB, rss * MB // 2, rss * MB, None) if measured else None
    return Round(
        start, held, held, {"1 text": {4: Load(requests=100, seconds=seconds, p50=0.01, p99=0.02)}}
    )


def test_a_ratio_is_that_within_a_round() -> None:
    found = figure([1.0, 3.0, 2.0], [2.0, 30.0, 4.0])
    assert found == {"median": 2.0, "runs": [1.0, 3.0, 2.0], "ratio": 0.5}


@pytest.mark.parametrize(("values", "reference"), [([1.0, None], [1.0, 1.0]), ([], [])])
def test_what_was_not_measured_in_every_round_has_no_median(
    values: Sequence[float | None], reference: Sequence[float | None]
) -> None:
    assert figure(values, reference) == {"median": None, "runs": values, "ratio": None}


def test_replicas_are_whole_and_of_what_is_known() -> None:
    assert replicas(NODE / 2.5) == 2
    assert replicas(NODE) == 1
    assert replicas(None) is None


def test_the_first_side_is_what_the_others_are_compared_with() -> None:
    sides = {
        "torch": [round_(4.0, 400, 10), round_(2.0, 400, 10)],
        "onnx": [round_(1.0, 100, 5), round_(1.0, 100, 5)],
    }
    found = summed(sides, {"torch": "sha256:1", "onnx": "sha256:2"})
    assert [found[side]["start"]["ratio"] for side in sides] == [1.0, 0.375]
    assert found["onnx"]["loaded"]["rss"] == {
        "median": 100 * MB,
        "runs": [100 * MB] * 2,
        "ratio": 0.25,
    }
    assert found["onnx"]["replicas"] == NODE // (100 * MB)
    assert found["onnx"]["loaded"]["cgroup"]["median"] is None
    assert found["onnx"]["workloads"]["1 text"]["4"]["throughput"] == {
        "median": 20.0,
        "runs": [20.0, 20.0],
        "ratio": 2.0,
    }
    json.dumps(found)


HEAD = (
    "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n"
)


def said(*rows: tuple[float, int, float]) -> str:
    """hey's table, of time, status and offset."""
    return HEAD + "".join(
        f"{took:.4f},0.0,0.0,0.0,0.0,0.0,{status},{offset:.4f}\n" for took, status, offset in rows
    )


def test_what_hey_says_is_counted_from_the_first_question_to_the_last_answer() -> None:
    found = parsed(said((0.1, 200, 1.0), (0.4, 200, 1.1), (0.2, 200, 1.3)), "/embed", 3, 3)
    assert (found.requests, found.p50, found.p99) == (3, 0.2, 0.4)
    assert found.seconds == pytest.approx(0.5)
    assert found.throughput == pytest.approx(6)


def test_99_percent_leave_out_the_slowest_of_a_hundred() -> None:
    rows = [(number / 1000, 200, 0.0) for number in range(1, 101)]
    assert parsed(said(*rows), "/embed", 1, 100).p99 == 0.099
    assert parsed(said(*rows[:50]), "/embed", 1, 50).p99 == 0.05


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([(0.1, 200, 0.0)], "1 failed"),
        ([(0.1, 200, 0.0), (0.1, 503, 0.0)], "1 failed, 1 with status 503"),
        ([], "2 failed"),
    ],
)
def test_a_request_that_fails_is_no_figure(rows: list[tuple[float, int, float]], why: str) -> None:
    with pytest.raises(CheckError) as caught:
        parsed(said(*rows), "/embed", 2, 2)
    assert caught.value.message == f"/embed: of 2 requests of 2 clients {why}"


@pytest.mark.parametrize(
    ("seconds", "clients", "latency", "requests"),
    [(5, 1, 0.01, 500), (5, 4, 0.01, 500), (5, 16, 0.3, 128)],
)
def test_requests_are_as_many_as_fill_the_time_and_eight_of_each_client(
    seconds: float, clients: int, latency: float, requests: int
) -> None:
    assert count(seconds, clients, latency) == requests


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel in which process 7 has a child, 8; and an engine that says that a container is
    process 7.
    """
    children = {7: "8 ", 8: ""}
    for pid, below in children.items():
        folder = tmp_path / "proc" / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        (folder / "task" / str(pid) / "children").write_text(below)
        (folder / "cmdline").write_bytes(b"python\0-m\0nlg\0")
        (folder / "status").write_text(
            f"Name:\tpython\nVmHWM:\t  30 kB\nVmRSS:\t{pid} kB\nRssAnon:\t2 kB\n"
        )
        (folder / "cgroup").write_text("0::/docker/abc\n")
    (tmp_path / "cgroup" / "docker" / "abc").mkdir(parents=True)
    (tmp_path / "cgroup" / "docker" / "abc" / "memory.current").write_text("123456\n")
    monkeypatch.setattr(kernel, "PROC", tmp_path / "proc")
    monkeypatch.setattr(kernel, "CGROUPS", tmp_path / "cgroup")
    state = {"State": {"Pid": 7}, "Path": "python", "Args": ["-m", "nlg"]}
    monkeypatch.setattr(kernel, "call", lambda *_: json.dumps([state]))
    return tmp_path / "proc"


def test_memory_is_that_of_all_processes(proc: Path) -> None:
    assert memory("x") == Memory(rss=15 * 1024, anonymous=4 * 1024, peak=60 * 1024, cgroup=123456)


def test_memory_of_a_process_that_is_another_is_not_measured(proc: Path) -> None:
    (proc / "7" / "cmdline").write_bytes(b"sh\0")
    assert memory("x") is None


def test_without_a_readable_cgroup_all_else_is_known(proc: Path) -> None:
    (proc / "7" / "cgroup").write_text("4:cpu:/docker/abc\n")
    found = memory("x")
    assert found is not None
    assert (found.rss, found.cgroup) == (15 * 1024, None)


def test_a_service_is_asked_what_it_understands() -> None:
    known = workloads()
    assert [len(json.loads(each.body)["texts"]) for each in known["embedding"]] == [1, 16]
    assert json.loads(known["nlg"][0].body)["max_new_tokens"] == 32
    assert known["hybrid"][0].path == "/search"


# --- docs/results.md

NOTHING = Inputs(writeup={}, services=())


def results(measured: bool = True) -> dict[str, Any]:
    sides = {"torch": [round_(4.0, 400, 10, measured)], "onnx": [round_(1.0, 100, 5, measured)]}
    head = {"tool": "hey", "rounds": 1, "seconds": 5, "node": NODE, "machine": "a box"}
    return {
        **head,
        "services": {"embedding": {"sides": summed(sides, dict.fromkeys(sides, "sha256:1"))}},
    }


def test_the_document_has_start_memory_density_and_throughput() -> None:
    shown = serving.figures(replace(NOTHING, serving=results()))
    assert (
        "| embedding | onnx | 1.00 | 0.25 | 100.0 | 0.25 | 100.0 | 0.25 | 50.0 | unmeasured | 171 |"
        " 4.07 |" in shown
    )
    assert "| embedding | 1 text | 4 | onnx | 10.00 | 1.00 | 20.00 | 1.00 | 20.00 | 2.00 |" in shown
    assert "Measured on: a box." in shown


def test_the_document_makes_no_figure_up() -> None:
    assert serving.figures(NOTHING).endswith("unmeasured: run `bench/serving.py`.")
    shown = serving.figures(replace(NOTHING, serving=results(measured=False)))
    assert "| embedding | onnx | 1.00 | 0.25 | " + "unmeasured | " * 7 + "unmeasured |" in shown
