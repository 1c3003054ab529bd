"""What lies in cold stores can be written as it stood."""

from pathlib import Path

import pytest

from slimbake.errors import SetupError
from slimbake.images.cold import cold_contents, extract_cold, store_of
from slimbake.inside.cold.pack import store_bytes

SOURCES = {"thing/late.py": b"value = 1\n", "thing/sub/__init__.py": b""}
STORE = store_bytes(SOURCES, dict.fromkeys(SOURCES, "thing-1.dist-info"))


def test_cold_modules_are_written_as_they_stood(tmp_path: Path) -> None:
    extract_cold(cold_contents(store_of("base-web", STORE)), tmp_path)
    assert [(tmp_path / path).read_bytes() for path in SOURCES] == [*SOURCES.values()]


def test_an_altered_store_is_named() -> None:
    with pytest.raises(SetupError, match=r"/opt/slimbake/cold/base-web\.cold is damaged"):
        [*cold_contents(store_of("base-web", STORE[:-1]))]


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="outside its folder"):
        extract_cold([("../late.py", b"")], tmp_path / "out")
    assert not [*tmp_path.iterdir()]
