"""Documents and vectors in SQLite: the only module that knows SQL.

Vectors lie as plain float32 blobs, and sqlite-vec gives the distance function only. So the file
stays readable whatever becomes of that extension's own table format, which is not yet stable.
"""

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlite_vec  # type: ignore[import-untyped]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, text TEXT NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (id TEXT PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revision (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO revision VALUES (1, 0);
"""
PUT_DOCUMENT = """
INSERT INTO documents VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET text = excluded.text, metadata = excluded.metadata
"""
PUT_VECTOR = "INSERT INTO vectors VALUES (?, ?) ON CONFLICT DO UPDATE SET vector = excluded.vector"
NEAREST = """
WITH nearest AS (
    SELECT id, vec_distance_cosine(vector, ?) AS distance FROM vectors ORDER BY distance, id LIMIT ?
)
SELECT id, text, 1 - distance FROM nearest JOIN documents USING (id) ORDER BY distance, id
"""


@dataclass(frozen=True, slots=True)
class Document:
    """A text with what is known about it, and its embedding."""

    id: str
    text: str
    metadata: dict[str, Any]
    vector: Sequence[float]


def load_sqlite_vec(connection: sqlite3.Connection) -> None:
    """Give the connection sqlite-vec's functions; needs a Python whose sqlite3 can load extensions."""
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.enable_load_extension(False)


class Store:
    """Durable documents; safe to use from many threads, as each call has a connection to itself."""

    def __init__(
        self, path: Path, prepare: Callable[[sqlite3.Connection], None] = load_sqlite_vec
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._idle: list[sqlite3.Connection] = []
        try:
            with self._connection() as connection:
                connection.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            error.add_note(f"{path} must be a file in a folder that this user may write to")
            raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        # Threads do take turns on a connection; never two at once.
        connection = sqlite3.connect(
            self._path, timeout=5, isolation_level=None, check_same_thread=False
        )
        # WAL: readers do not wait for the writer. FULL: what was answered as stored survives a
        # power cut. Temporary data stay in memory, as the root filesystem is read-only.
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY"
        )
        self._prepare(connection)
        return connection

    def put(self, documents: Sequence[Document]) -> None:
        """Insert or replace all the documents in one transaction, and count the revision up."""
        rows = [(d.id, d.text, json.dumps(d.metadata)) for d in documents]
        vectors = [(d.id, _blob(d.vector)) for d in documents]
        with (
            self._connection() as connection,
            connection,
        ):  # the second commits, or rolls back on an error
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(PUT_DOCUMENT, rows)
            connection.executemany(PUT_VECTOR, vectors)
            connection.execute("UPDATE revision SET value = value + 1")

    def get(self, document: str) -> tuple[str, dict[str, Any]] | None:
        """Give the text and metadata of a document, or None where there is no such one."""
        query = "SELECT text, metadata FROM documents WHERE id = ?"
        for text, metadata in self._all(query, document):
            return text, json.loads(metadata)
        return None

    def page(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Give up to `limit` documents (id, text) in order of id, from the first id behind `after`."""
        query = "SELECT id, text FROM documents WHERE id > ? ORDER BY id LIMIT ?"
        return self._all(query, after, limit)

    def search(self, vector: Iterable[float], k: int) -> list[tuple[str, str, float]]:
        """Give the k nearest documents (id, text, cosine similarity), the nearest first."""
        return self._all(NEAREST, _blob(vector), k)

    def count(self) -> tuple[int, int]:
        """Give the number of documents and the revision, both of one moment."""
        query = "SELECT (SELECT count(*) FROM documents), value FROM revision"
        ((documents, revision),) = self._all(query)
        return documents, revision

    def close(self) -> None:
        """Close the file; the store is not to be used again."""
        while self._idle:
            self._idle.pop().close()

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()


def _blob(vector: Iterable[float]) -> bytes:
    return array("f", vector).tobytes()
