import sqlite3
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.store import Store, load_sqlite_vec

CAN_LOAD = hasattr(
    sqlite3.Connection, "enable_load_extension"
)  # not so in a Python that pyenv built


def plain_cosine(connection: sqlite3.Connection) -> None:
    """The one function of sqlite-vec that storage uses, in Python, for vectors of length 1."""

    def distance(left: bytes, right: bytes) -> float:
        return 1 - sum(a * b for a, b in zip(array("f", left), array("f", right), strict=True))

    connection.create_function("vec_distance_cosine", 2, distance, deterministic=True)


@pytest.fixture
def prepare() -> Callable[[sqlite3.Connection], None]:
    return load_sqlite_vec if CAN_LOAD else plain_cosine


@pytest.fixture
def store(tmp_path: Path, prepare: Callable[[sqlite3.Connection], None]) -> Iterator[Store]:
    store = Store(tmp_path / "atlas.db", prepare)
    yield store
    store.close()


@pytest.fixture
def real_store(tmp_path: Path) -> Iterator[Store]:
    if not CAN_LOAD:
        pytest.skip("this Python's sqlite3 cannot load extensions; the smoke searches in the image")
    store = Store(tmp_path / "real.db")
    yield store
    store.close()
