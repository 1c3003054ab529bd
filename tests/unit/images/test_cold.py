"""`slimbake cold` reads the stores of an image out of its layers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.layouts import Made, tar, write

from slimbake.cli.cold import command
from slimbake.errors import SetupError
from slimbake.images.cold import cold_modules, cold_stores
from slimbake.inside.cold.pack import store_bytes

SOURCES = {"thing/late.py": b"value = 1\n", "thing/sub/__init__.py": b""}
STORE = store_bytes(SOURCES, dict.fromkeys(SOURCES, "thing-1.dist-info"))


def layout(folder: Path, store: bytes) -> str:
    """An image whose second layer has a store."""
    layers = (tar({"app/main.py": b""}), tar({"opt/slimbake/cold/base-web.cold": store}))
    write(folder, Made(layers))
    return f"oci-layout://{folder}"


def test_cold_modules_are_listed_with_their_layer_and_hash(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["list", layout(tmp_path, STORE), "--json"])
    assert json.loads(done.stdout) == [
        {
            "layer": "base-web",
            "path": path,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for path, content in SOURCES.items()
    ]


def test_cold_modules_are_written_as_they_stood(tmp_path: Path) -> None:
    image = layout(tmp_path / "image", STORE)
    done = CliRunner().invoke(command, ["extract", image, str(tmp_path / "out")])
    assert done.exit_code == 0 and done.stderr.startswith("2 modules in ")
    assert [(tmp_path / "out" / path).read_bytes() for path in SOURCES] == [*SOURCES.values()]


def test_an_altered_store_is_named(tmp_path: Path) -> None:
    stores = cold_stores(layout(tmp_path, STORE[:-1]), "linux/amd64")
    with pytest.raises(SetupError, match=r"/opt/slimbake/cold/base-web\.cold is damaged"):
        cold_modules(stores["base-web"])
