"""What must hold of the job as it is run: every good line is stored once, every bad one is told,
and it can go on.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

WORDS = "日本 🦊 \u2028 naïve 'quoted' \"twice\""


class Behind:
    """Stands for embedding and storage; what a text says of itself decides whether it is refused."""

    def __init__(self, service: Any) -> None:
        self.stored: dict[str, Any] = {}
        self.batches: list[int] = []
        self.embedding = service.upstream(self.embed, "EMBEDDING_URL")
        self.storage = service.upstream(self.store, "STORAGE_URL")

    def embed(self, method: str, path: str, body: Any) -> Any:
        if path == "/health":
            return {"status": "ok"}
        assert (method, path) == ("POST", "/embed")
        self.batches.append(len(body["texts"]))
        if any("REFUSE" in text for text in body["texts"]):
            return 422, {"error": {"code": "invalid_request", "message": "no such text"}}
        if any("BREAK" in text for text in body["texts"]):
            return 200, b"no JSON"
        return {"vectors": [[len(text)] for text in body["texts"]]}

    def store(self, method: str, path: str, body: Any) -> Any:
        if path == "/health":
            return {"status": "ok"}
        assert (method, path) == ("PUT", "/documents")
        for document in body["documents"]:
            assert document["vector"] == [len(document["text"])], "each has its own vector"
            assert document["id"] not in self.stored, "once"
            self.stored[document["id"]] = document["text"]
        return {"stored": len(body["documents"])}

    def forget(self) -> None:
        self.stored, self.batches = {}, []


def verify(service: Any) -> None:
    behind = Behind(service)
    with tempfile.TemporaryDirectory() as folder:
        helps(service)
        stores(service, behind, Path(folder))
        tells_bad_lines(service, behind)
        goes_on(service, behind, Path(folder))
        refuses(service, behind, Path(folder))
        stops_where_a_service_fails(service, behind, Path(folder))


def lines(count: int, first: int = 0) -> str:
    texts = ({"id": f"näm/{n}", "text": f"{n} {WORDS}"} for n in range(first, first + count))
    return "".join(json.dumps(each, ensure_ascii=each["id"].endswith("7")) + "\n" for each in texts)


def holds(done: Any, code: int, stored: int, bad: int = 0, skipped: int = 0) -> None:
    assert done.code == code, done
    assert json.loads(done.stdout) == {"stored": stored, "skipped": skipped, "bad": bad}, done
    for line in done.stderr.splitlines():
        assert json.loads(line)["service"] == "bulk-ingester", line


def helps(service: Any) -> None:
    done = service.run("--help")
    assert done.code == 0 and all(
        word in done.stdout for word in ("--batch", "--checkpoint", "exit: ")
    ), done


def stores(service: Any, behind: Behind, folder: Path) -> None:
    file = folder / "input.jsonl"
    for count, words, batches in (
        (1, (), [1]),
        (40, ("-",), [16, 16, 8]),
        (5, ("--batch", "1"), [1] * 5),
        (600, (str(file), "--batch", "256"), [256, 256, 88]),
        (0, (), []),
    ):
        file.write_text(lines(count), "utf-8")
        behind.forget()
        holds(service.run(*words, stdin="" if str(file) in words else lines(count)), 0, count)
        assert behind.stored == {f"näm/{n}": f"{n} {WORDS}" for n in range(count)}
        assert behind.batches == batches, behind.batches
    behind.forget()
    holds(service.run(stdin=f"\n  \n{lines(2).rstrip()}"), 0, 2)


def tells_bad_lines(service: Any, behind: Behind) -> None:
    bad = [
        "{",
        "[]",
        '{"id": "", "text": "x"}',
        '{"id": "x"}',
        '{"id": 1, "text": "x"}',
        "null",
        "\ufeff{}",
    ]
    bad += [
        json.dumps({"id": "long", "text": "x" * 100_001}),
        json.dumps({"id": "no", "text": "REFUSE"}),
    ]
    behind.forget()
    done = service.run("--batch", "4", stdin=lines(3) + "\n".join(bad) + "\n" + lines(3, 3))
    holds(done, 1, 6, bad=len(bad))
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert sorted(each["line"] for each in told if each["level"] == "warning") == list(
        range(4, 4 + len(bad))
    ), told
    assert list(behind.stored) == [f"näm/{n}" for n in range(6)], (
        "the rest of a batch that was refused is stored"
    )


def goes_on(service: Any, behind: Behind, folder: Path) -> None:
    file, checkpoint = folder / "grows.jsonl", folder / "checkpoint"
    job = (str(file), "--batch", "3", "--checkpoint", str(checkpoint))
    behind.forget()
    file.write_text(lines(7) + "bad\n", "utf-8")
    holds(service.run(*job), 1, 7, bad=1)
    holds(service.run(*job), 1, 0, bad=1, skipped=8)
    file.write_text(lines(7) + "bad\n" + lines(4, 7), "utf-8")
    holds(service.run(*job), 1, 4, bad=1, skipped=8)
    holds(
        service.run("-", *job[1:], stdin=file.read_text("utf-8") + lines(2, 11)),
        1,
        2,
        bad=1,
        skipped=12,
    )
    assert len(behind.stored) == 13, "each once"
    behind.forget()
    file.write_text(lines(2, 50), "utf-8")  # another input is stored from its beginning
    holds(service.run(*job), 0, 2)
    done = service.run("-", *job[1:], stdin=lines(9))
    assert done.code == 2 and "belongs to another input" in done.stderr, done
    checkpoint.write_text("[]")
    done = service.run(*job)
    assert done.code == 2 and "is no checkpoint of this job" in done.stderr, done


def refuses(service: Any, behind: Behind, folder: Path) -> None:
    behind.forget()
    for words in (
        ("--batch", "0"),
        ("--batch", "257"),
        ("--batch", "x"),
        ("--nonsense",),
        ("a", "b"),
    ):
        done = service.run(*words, stdin=lines(1))
        assert done.code == 2 and "usage: " in done.stderr and done.stdout == "", done
    done = service.run(str(folder / "nowhere"))
    assert done.code == 2 and "nowhere" in done.stderr, done
    done = service.run("--checkpoint", "/app/checkpoint", stdin=lines(1))
    assert done.code == 2 and "/app/checkpoint" in done.stderr, "the root is read-only"
    url, service.env["STORAGE_URL"] = service.env["STORAGE_URL"], "storage:8002"
    done = service.run(stdin=lines(1))
    assert done.code == 2 and "STORAGE_URL: must be an address" in done.stderr, done
    service.env["STORAGE_URL"] = url


def stops_where_a_service_fails(service: Any, behind: Behind, folder: Path) -> None:
    for name in ("embedding", "storage"):
        upstream = getattr(behind, name)
        behind.forget()
        upstream.down()
        done = service.run(stdin=lines(3))
        holds(done, 3, 0)
        assert f"{name} at {upstream.url} is unavailable" in done.stderr, done
        upstream.up()
    file, checkpoint = folder / "breaks.jsonl", folder / "breaks"
    job = (str(file), "--batch", "2", "--checkpoint", str(checkpoint))
    behind.forget()
    file.write_text(
        lines(4) + json.dumps({"id": "late", "text": "BREAK"}) + "\n" + lines(3, 4), "utf-8"
    )
    done = service.run(*job)
    holds(done, 3, 4)
    assert "answered 200 without a sound body" in done.stderr, done
    assert json.loads(checkpoint.read_text())["lines"] == 4, "what was stored, and no more"
