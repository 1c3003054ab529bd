"""What must hold in bulk-ingester's final image: good lines are stored, a bad one is counted and
told.
"""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import httpx


def imports() -> None:
    """What the job needs beside its command line."""
    from atlas_common import logs, settings, upstream  # noqa: F401
    from bulk_ingester import cli, cursor, job  # noqa: F401


def load() -> None:
    """Run the whole job on three lines, with stand-ins for the services behind it, then again."""
    from bulk_ingester.cli import main

    stored: list[str] = []

    async def behind(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or "{}")
        stored.extend(document["id"] for document in body.get("documents", ()))
        return httpx.Response(200, json={"vectors": [[1.0]] * len(body.get("texts", ()))})

    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "input.jsonl"
        lines.write_text('{"id": "a", "text": "x"}\nnot JSON\n{"id": "b", "text": "y"}\n')
        command = [str(lines), "--batch", "2", "--checkpoint", f"{folder}/checkpoint"]
        results = []
        for _ in range(2):
            with (
                contextlib.redirect_stdout(io.StringIO()) as out,
                contextlib.redirect_stderr(io.StringIO()) as told,
            ):
                code = main(command, httpx.MockTransport(behind))
            results.append((code, json.loads(out.getvalue()), "line 2: " in told.getvalue()))
    assert stored == ["a", "b"], stored
    assert results == [
        (1, {"stored": 2, "skipped": 0, "bad": 1}, True),
        (1, {"stored": 0, "skipped": 3, "bad": 1}, False),
    ], results
