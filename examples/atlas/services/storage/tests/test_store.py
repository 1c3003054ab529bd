import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.store import Document, Store

Prepare = Callable[[sqlite3.Connection], None]


def document(name: str, *vector: float) -> Document:
    return Document(name, f"text of {name}", {}, vector or (1.0, 0.0))


def test_what_was_put_outlives_the_process_that_put_it(tmp_path: Path, prepare: Prepare) -> None:
    first = Store(tmp_path / "atlas.db", prepare)
    first.put([Document("a", "text", {"tags": ["x", None]}, (1.0, 0.0))])
    first.close()
    second = Store(tmp_path / "atlas.db", prepare)
    assert second.get("a") == ("text", {"tags": ["x", None]})
    assert second.count() == (1, 1)
    second.close()


def test_the_second_put_of_an_id_replaces_text_metadata_and_vector(store: Store) -> None:
    store.put([Document("a", "old", {"n": 1}, (1.0, 0.0))])
    store.put([Document("a", "new", {}, (0.0, 1.0))])
    assert store.get("a") == ("new", {})
    assert store.count() == (1, 2)
    assert store.search((0.0, 1.0), 1) == [("a", "new", 1.0)]


def test_a_put_that_fails_midway_leaves_nothing_behind(store: Store) -> None:
    broken = Document("b", None, {}, (1.0, 0.0))  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.put([document("a"), broken])
    assert store.count() == (0, 0)
    store.put([document("a")])  # and the connection is fit for use
    assert store.count() == (1, 1)


def test_search_gives_the_nearest_first_and_breaks_ties_by_id(store: Store) -> None:
    store.put(
        [document("far", -1, 0), document("b", 0, 1), document("a", 0, 1), document("near", 1, 0)]
    )
    found = store.search((1.0, 0.0), 3)
    assert [name for name, _, _ in found] == ["near", "a", "b"]
    assert [score for _, _, score in found] == pytest.approx([1, 0, 0])


def test_sqlite_vec_itself_ranks_and_scores_the_same(real_store: Store) -> None:
    real_store.put([document("near", 1, 0), document("between", 0.6, 0.8), document("far", -1, 0)])
    found = real_store.search((1.0, 0.0), 2)
    assert [name for name, _, _ in found] == ["near", "between"]
    assert [score for _, _, score in found] == pytest.approx([1, 0.6])


def test_pages_follow_the_order_of_ids(store: Store) -> None:
    store.put([document(name) for name in "cabd"])
    assert [name for name, _ in store.page("", 2)] == ["a", "b"]
    assert [name for name, _ in store.page("b", 9)] == ["c", "d"]


def test_many_threads_write_and_read_at_once(store: Store) -> None:
    def write(number: int) -> int:
        store.put([document(f"{number:02}")])
        return len(store.search((1.0, 0.0), 50))

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write, range(24)))
    assert store.count() == (24, 24)
    assert all(seen)


def test_a_folder_that_cannot_hold_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        Store(tmp_path / "missing" / "atlas.db")
    assert caught.value.__notes__ == [
        f"{tmp_path}/missing/atlas.db must be a file in a folder that this user may write to"
    ]
