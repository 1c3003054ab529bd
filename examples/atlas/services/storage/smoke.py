"""What must hold in storage's final image: sqlite-vec loads; what is put is found again, nearest
first.
"""

import asyncio
import tempfile
from pathlib import Path

import httpx


def imports() -> None:
    """The extension is a shared library that only loading it proves."""
    import sqlite3

    from storage import app, store  # noqa: F401

    connection = sqlite3.connect(":memory:")
    store.load_sqlite_vec(connection)
    (version,) = connection.execute("SELECT vec_version()").fetchone()
    connection.close()
    assert version.startswith("v0.1."), version


def load() -> None:
    """Put, search, read and count through the app, on a database file as in life."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_exercise(Path(folder) / "atlas.db"))


async def _exercise(database: Path) -> None:
    from storage.app import DIMENSION, build
    from storage.store import Store

    store = Store(database)
    transport = httpx.ASGITransport(build(store))
    async with httpx.AsyncClient(transport=transport, base_url="http://storage") as client:
        assert (await client.get("/health")).json() == {"status": "ok", "service": "storage"}
        documents = [
            {"id": name, "text": f"text of {name}", "vector": [x, y] + [0.0] * (DIMENSION - 2)}
            for name, x, y in (("east", 1.0, 0.0), ("north-east", 1.0, 1.0), ("north", 0.0, 2.0))
        ]
        put = await client.put("/documents", json={"documents": documents})
        assert put.json() == {"stored": 3}, put.text
        found = await client.post("/search", json={"vector": documents[2]["vector"], "k": 2})
        hits = found.json()["hits"]
        assert [hit["id"] for hit in hits] == ["north", "north-east"], found.text
        assert abs(hits[0]["score"] - 1) < 1e-6, hits
        assert abs(hits[1]["score"] - 0.5**0.5) < 1e-6, hits
        assert (await client.get("/count")).json() == {"documents": 3, "revision": 1}
        assert (await client.get("/documents/nowhere")).status_code == 404
    store.close()
