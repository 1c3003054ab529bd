import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client.cli import main


class Api(ThreadingHTTPServer):
    """A stand-in of the api on loopback: canned answers (status, body), and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.answer(None)

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, asked: Any) -> None:
        self.server.asked.append((self.path, asked))
        status, body = self.server.answers[self.path]
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


HITS = {
    "hits": [
        {
            "id": "a",
            "text": "alpha\n" + "x" * 100,
            "score": 0.75,
            "lexical_rank": 1,
            "dense_rank": 2,
        }
    ]
}
LISTED = f"  0.7500  a  alpha {'x' * 69}…\n"


def run(api: Api, *argv: str) -> int:
    return main(argv, {"API_URL": api.url})


def test_search_lists_hits(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["/search"] = 200, HITS
    assert run(api, "search", "alpha", "-k", "2") == 0
    assert api.asked == [("/search", {"query": "alpha", "k": 2})]
    assert capsys.readouterr() == (LISTED, "")


def test_a_search_without_hits_says_so(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["/search"] = 200, {"hits": []}
    assert run(api, "search", "alpha") == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_json_gives_the_answer_as_the_api_gave_it(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["/search"] = 200, HITS
    assert run(api, "search", "alpha", "--json") == 0
    assert json.loads(capsys.readouterr().out) == HITS


def test_ask_gives_the_answer_and_its_sources(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["/ask"] = 200, {"answer": "It is.", "sources": HITS["hits"]}
    assert run(api, "ask", "Is it?") == 0
    assert api.asked == [("/ask", {"question": "Is it?", "k": 3})]
    assert capsys.readouterr().out == f"It is.\n\nfrom:\n{LISTED}"


def test_status_names_the_service(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["/health"] = 200, {"status": "ok", "service": "api"}
    assert run(api, "status") == 0
    assert capsys.readouterr().out == "api: ok\n"


def test_ingest_sends_batches_and_names_bad_lines(
    api: Api, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    api.answers["/ingest"] = 200, {"stored": 1}
    good = [json.dumps({"id": str(number), "text": "t", "more": 1}) for number in range(65)]
    bad = [
        "{",
        "[]",
        '{"id": "a"}',
        r'{"id": "a", "text": "\ud800"}',
        json.dumps({"id": "x" * 513, "text": "t"}),
    ]
    source = tmp_path / "input.jsonl"
    source.write_text("\n".join([*bad, "", *good]))
    assert run(api, "ingest", str(source), "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"stored": 2, "bad": 5}
    assert [len(body["documents"]) for _, body in api.asked] == [64, 1]
    assert api.asked[1][1]["documents"] == [{"id": "64", "text": "t"}]
    told = said.err.splitlines()
    assert told[0].startswith("client: line 1: Expecting property name")
    assert told[1:3] == [
        "client: line 2: must be an object",
        "client: line 3: text must be text of 1 to 100000 characters",
    ]
    assert "surrogates not allowed" in told[3]
    assert told[4:] == [
        "client: line 5: id must be text of 1 to 512 characters",
        "client: 1 stored",
    ]


def test_ingest_reads_stdin(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.answers["/ingest"] = 200, {"stored": 1}
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(b'{"id": "a", "text": "b"}')))
    assert run(api, "ingest", "-") == 0
    assert api.asked == [("/ingest", {"documents": [{"id": "a", "text": "b"}]})]


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(503, "upstream_unavailable", 3), (422, "invalid_request", 1), (500, "internal_error", 1)],
)
def test_an_error_of_the_api_is_told_and_decides_the_exit_code(
    api: Api, status: int, code: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["/ask"] = status, {"error": {"code": code, "message": "why", "service": "api"}}
    assert run(api, "ask", "Is it?") == exit_code
    assert capsys.readouterr() == ("", "client: why\n")


@pytest.mark.parametrize(
    "answer", [(404, "<html>"), (500, '{"error": "x"}'), (200, "hello"), (200, "[1]")]
)
def test_what_does_not_speak_like_the_api_is_not_the_api(
    api: Api, answer: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["/health"] = answer
    assert run(api, "status") == 3
    assert capsys.readouterr().err == f"client: what answers at {api.url} is not the api\n"


def test_an_api_that_is_down_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--url", "http://127.0.0.1:1"], {}) == 3
    assert (
        capsys.readouterr().err
        == "client: no api at http://127.0.0.1:1: [Errno 111] Connection refused\n"
    )


def test_a_missing_file_is_a_usage_error(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(api, "ingest", str(tmp_path / "missing")) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["search"], ["find", "x"], ["status", "--url", "api:8000"]])
def test_a_wrong_command_line_is_a_usage_error(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv, {})
    assert caught.value.code == 2
    assert "usage: client" in capsys.readouterr().err
