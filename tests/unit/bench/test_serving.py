"""bench/serving.py: what its figures are made of, and what docs/results.md makes of them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from bench.document import serving
from bench.document.inputs import Inputs
from bench.serve.figures import NODE, Round, summed
from bench.serve.load import Load, parsed
from bench.serve.memory import Memory

from slimbake.errors import CheckError

MB = 1_000_000


def round_(start: float, rss: int, seconds: float, measured: bool = True) -> Round:
    held = Memory(rss * MB, rss * MB // 2, rss * MB, None) if measured else None
    return Round(
        start, held, held, {"1 text": {4: Load(requests=100, seconds=seconds, p50=0.01, p99=0.02)}}
    )


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
