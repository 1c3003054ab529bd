"""What must hold of the client as it is run: each command asks the api rightly, and shows or
explains its answer.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

HITS = [
    {"id": "日本", "text": "Ein  Text\nüber 🦊", "score": 0.98765},
    {"id": "long", "text": "word " * 40, "score": -0.5},
]
SHOWN = f"  0.9877  日本  Ein Text über 🦊\n -0.5000  long  {('word ' * 40)[:75]}…\n"


class Api:
    """Stands for the api; a check may replace its next answers."""

    def __init__(self) -> None:
        self.instead: Any = None
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, method: str, path: str, body: Any) -> Any:
        self.asked.append((method, path, body))
        if self.instead is not None:
            return self.instead
        match path:
            case "/ingest":
                return {"stored": len(body["documents"])}
            case "/search":
                return {"hits": HITS[: body["k"]]}
            case "/ask":
                return {"answer": "Weil 42.", "sources": HITS[: body["k"]]}
        return {"status": "ok", "service": "api"}


def verify(service: Any) -> None:
    api = Api()
    upstream = service.upstream(api, "API_URL")
    helps(service)
    shows_the_status(service, api)
    searches(service, api)
    asks(service, api)
    ingests(service, api)
    refuses(service)
    explains_what_fails(service, api, upstream)


def helps(service: Any) -> None:
    done = service.run("--help")
    commands = {
        line.split()[0]
        for line in done.stdout.splitlines()
        if line.startswith("    ") and line[4] != " "
    }
    assert done.code == 0 and commands == {"ingest", "search", "ask", "status"}, done
    for command in commands:
        assert service.run(command, "--help").code == 0


def shows_the_status(service: Any, api: Api) -> None:
    done = service.run("status")
    assert (done.code, done.stdout, done.stderr) == (0, "api: ok\n", ""), done
    assert api.asked[-1] == ("GET", "/health", None)
    assert json.loads(service.run("status", "--json").stdout) == {"status": "ok", "service": "api"}


def searches(service: Any, api: Api) -> None:
    done = service.run("search", "näher dran 🦊 --k")
    assert (done.code, done.stdout, done.stderr) == (0, SHOWN, ""), done
    assert api.asked[-1] == ("POST", "/search", {"query": "näher dran 🦊 --k", "k": 5})
    assert service.run("search", "-k", "1", "q").stdout == SHOWN.splitlines(keepends=True)[0]
    done = service.run("search", "q", "-k", "50", "--json")
    assert json.loads(done.stdout) == {"hits": HITS} and "🦊" in done.stdout, done
    assert api.asked[-1][2]["k"] == 50
    assert service.run("search", "q", "-k", "0").stdout == "nothing found\n"


def asks(service: Any, api: Api) -> None:
    done = service.run("ask", "Warum?")
    assert (done.code, done.stdout) == (0, f"Weil 42.\n\nfrom:\n{SHOWN}"), done
    assert api.asked[-1] == ("POST", "/ask", {"question": "Warum?", "k": 3})
    done = service.run("ask", "Warum?", "-k", "1", "--json")
    assert json.loads(done.stdout) == {"answer": "Weil 42.", "sources": HITS[:1]}, done


def ingests(service: Any, api: Api) -> None:
    documents = [{"id": f"näm/{n}", "text": f"文書 {n}"} for n in range(130)]
    lines = "".join(
        json.dumps({**each, "more": 1}, ensure_ascii=False) + "\n" for each in documents
    )
    for count, batches in ((0, []), (1, [1]), (64, [64]), (130, [64, 64, 2])):
        api.asked.clear()
        done = service.run("ingest", "-", stdin="\n".join(lines.splitlines()[:count]))
        assert (done.code, done.stdout) == (0, f"{count} stored, 0 bad\n"), done
        sent = [body["documents"] for _, _, body in api.asked]
        assert [len(batch) for batch in sent] == batches, api.asked
        assert [each for batch in sent for each in batch] == documents[:count]
    bad = ["{", "[]", '{"id": "", "text": "x"}', '{"id": "a"}', '{"id": "a", "text": "\\ud800"}']
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines"
        file.write_text("\n".join([*bad, "", lines]), "utf-8")
        done = service.run("ingest", str(file), "--json")
    assert (done.code, json.loads(done.stdout)) == (1, {"stored": 130, "bad": len(bad)}), done
    assert all(f"client: line {number}: " in done.stderr for number in range(1, len(bad) + 1)), done


def refuses(service: Any) -> None:
    for words in (
        (),
        ("fly",),
        ("search",),
        ("search", "q", "-k", "many"),
        ("ask",),
        ("status", "more"),
        ("ingest",),
    ):
        done = service.run(*words)
        assert done.code == 2 and "usage: " in done.stderr and done.stdout == "", done
    done = service.run("status", "--url", "api:8000")
    assert done.code == 2 and "must be an address" in done.stderr, done
    done = service.run("ingest", "/nowhere")
    assert done.code == 2 and "/nowhere" in done.stderr, done


def explains_what_fails(service: Any, api: Api, upstream: Any) -> None:
    api.instead = 422, {"error": {"code": "invalid_request", "message": "body.k: zu groß"}}
    done = service.run("search", "q")
    assert (done.code, done.stdout, done.stderr) == (1, "", "client: body.k: zu groß\n"), done
    api.instead = (
        503,
        {"error": {"code": "upstream_unavailable", "message": "nlg at x is unavailable"}},
    )
    done = service.run("ask", "q")
    assert (done.code, done.stderr) == (3, "client: nlg at x is unavailable\n"), done
    for nonsense in ((200, b"<html>"), (200, [1]), (500, b""), (404, {"detail": "Not Found"})):
        api.instead = nonsense
        done = service.run("search", "q", "--json")
        assert (done.code, done.stdout) == (3, "") and "is not the api" in done.stderr, done
    upstream.down()
    done = service.run("status")
    assert done.code == 3 and f"no api at {upstream.url}" in done.stderr, done
    api.instead = None
    upstream.up()
    assert service.run("status", "--url", f"{upstream.url}/").code == 0
