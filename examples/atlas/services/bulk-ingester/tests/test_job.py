import json
import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bulk_ingester.cli import main


class Behind:
    """embedding and storage: what was stored in which batches; they fail or refuse at a chosen
    text.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.down_at = self.refuse_at = ""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return httpx.Response(200, json={})
        body = json.loads(request.content)
        if request.url.path == "/embed":
            if self.down_at in body["texts"]:
                raise httpx.ConnectError("connection refused", request=request)
            if self.refuse_at in body["texts"]:
                error = {"code": "invalid_request", "message": "too odd", "service": "embedding"}
                return httpx.Response(422, json={"error": error})
            return httpx.Response(
                200, json={"vectors": [[float(len(text))] for text in body["texts"]]}
            )
        assert all(document["vector"] == [len(document["text"])] for document in body["documents"])
        self.batches.append([document["id"] for document in body["documents"]])
        return httpx.Response(200, json={"stored": len(body["documents"])})


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture(autouse=True)
def _untouched_root() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


class Run:
    """Runs the job in a folder of its own and reads what it says."""

    def __init__(self, behind: Behind, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.behind = behind
        self.input = folder / "input.jsonl"
        self.checkpoint = folder / "checkpoint"
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, Any, list[str]]:
        code = main([str(self.input), *arguments], httpx.MockTransport(self.behind.__call__))
        said = self._capsys.readouterr()
        told = [json.loads(line)["message"] for line in said.err.splitlines()]
        return code, json.loads(said.out) if said.out else None, told

    def resuming(self) -> tuple[int, Any, list[str]]:
        return self("--batch", "2", "--checkpoint", str(self.checkpoint))


@pytest.fixture
def run(behind: Behind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(behind, tmp_path, capsys)


def lines(names: str) -> str:
    return "".join(f'{{"id": "{name}", "text": "text {name}"}}\n' for name in names)


def test_every_line_is_stored_in_batches(run: Run) -> None:
    run.input.write_text(lines("abcde"))
    assert run("--batch", "2") == (0, {"stored": 5, "skipped": 0, "bad": 0}, [])
    assert run.behind.batches == [["a", "b"], ["c", "d"], ["e"]]


def test_a_bad_line_is_told_by_its_number_and_stops_nothing(run: Run) -> None:
    broken = [
        b"{",
        b'["a"]',
        b'{"id": 1, "text": "t"}',
        b'{"id": "a"}',
        b'{"id": "", "text": ""}',
        b'{"id": "\xff"}',
    ]
    run.input.write_bytes(b"\n".join([lines("a").encode(), *broken, lines("b").encode()]))
    code, result, told = run()
    assert (code, result) == (1, {"stored": 2, "skipped": 0, "bad": 6})
    assert run.behind.batches == [["a", "b"]]
    assert [line.split(":")[0] for line in told] == [f"line {number}" for number in range(3, 9)]
    assert told[2] == "line 5: id: Input should be a valid string"
    assert told[3] == "line 6: text: Field required"


def test_a_line_that_a_service_refuses_is_bad_and_its_neighbours_are_stored(run: Run) -> None:
    run.input.write_text(lines("abc"))
    run.behind.refuse_at = "text b"
    expected = (1, {"stored": 2, "skipped": 0, "bad": 1}, ["line 2: embedding: too odd"])
    assert run() == expected
    assert run.behind.batches == [["a"], ["c"]]


def test_a_run_goes_on_where_the_one_before_it_was_cut_off(run: Run) -> None:
    run.input.write_text(lines("ab") + "bad\n" + lines("cdef"))
    run.behind.down_at = "text e"
    code, result, told = run.resuming()
    assert (code, result) == (3, {"stored": 4, "skipped": 0, "bad": 1})
    assert told[1:] == [
        "stopped: embedding at http://embedding:8001 is unavailable: connection refused"
    ]
    run.behind.down_at = ""
    assert run.resuming() == (1, {"stored": 2, "skipped": 5, "bad": 1}, ["resuming behind line 5"])
    assert run.behind.batches == [["a", "b"], ["c", "d"], ["e", "f"]]


def test_a_file_that_has_grown_is_read_from_where_it_ended(run: Run) -> None:
    run.input.write_text(lines("a"))
    assert run.resuming()[1] == {"stored": 1, "skipped": 0, "bad": 0}
    run.input.write_text(lines("ab"))
    assert run.resuming()[1] == {"stored": 1, "skipped": 1, "bad": 0}
    assert run.behind.batches == [["a"], ["b"]]


@pytest.mark.parametrize("now", ["xbc", "a"])
def test_another_input_under_an_old_checkpoint_is_read_whole(run: Run, now: str) -> None:
    run.input.write_text(lines("ab"))
    run.resuming()
    run.input.write_text(lines(now))
    assert run.resuming()[:2] == (0, {"stored": len(now), "skipped": 0, "bad": 0})


def test_a_pipe_under_anothers_checkpoint_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

    run.input.write_text(lines("ab"))
    run.resuming()
    run.input = Path("-")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Pipe(lines("xyz").encode())))
    complaint = f"{run.checkpoint} belongs to another input; remove it or name another"
    assert run.resuming() == (2, None, [complaint])


def test_a_pipe_that_begins_as_before_is_gone_on_with(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.input.write_text(lines("ab"))
    run.resuming()
    run.input = Path("-")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(lines("abc").encode())))
    assert run.resuming()[1] == {"stored": 1, "skipped": 2, "bad": 0}


def test_a_file_that_is_no_checkpoint_is_left_alone(run: Run) -> None:
    run.input.write_text(lines("a"))
    run.checkpoint.write_text("my notes")
    complaint = f"{run.checkpoint} is no checkpoint of this job; remove it or name another"
    assert run.resuming() == (2, None, [complaint])
    assert run.checkpoint.read_text() == "my notes"


def test_a_missing_file_is_a_usage_error(run: Run) -> None:
    assert run() == (2, None, [f"[Errno 2] No such file or directory: '{run.input}'"])


def test_a_wrong_address_is_a_usage_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_URL", "storage")
    run.input.write_text(lines("a"))
    code, _, told = run()
    assert code == 2
    assert told == ["STORAGE_URL: must be an address such as http://storage:8002, got 'storage'"]


@pytest.mark.parametrize("size", ["0", "257", "many"])
def test_a_batch_that_embedding_would_refuse_is_a_usage_error(
    run: Run, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--batch", size)
    assert caught.value.code == 2
    assert f"argument --batch: must be 1 to 256, got '{size}'" in capsys.readouterr().err
