"""`slimbake layers`: what is in each layer, their order, and which images add them."""

import importlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.cli.toys import toy

from slimbake.cli import slimbake
from slimbake.images.sizes import MeasuredLayer

MANIFEST = Path(__file__).parents[2] / "golden/cases/layers/services.yaml"


def printed(*options: str) -> str:
    """What it prints; keys of layers, which another format changes, as KEY."""
    done = CliRunner().invoke(slimbake, ["layers", "-f", str(MANIFEST), *options])
    assert done.exit_code == 0, done.output
    return re.sub(r"(?<=_)[0-9a-f]{8}\b", "KEY", done.stdout)


def test_each_image_has_the_layers_that_it_adds_bottom_first() -> None:
    of_api = (
        "  layer_pydantic-core_KEY  2.3 MB of wheels: pydantic-core 2.50.5\n"
        "  layer_api  160.0 kB of wheels: fastapi 0.165.0\n"
    )
    assert printed() == (
        f"api, on the runtime:\n{of_api}embed, on the runtime:\n{of_api}"
        "  weights-models-small  weights\n"
        "  layer_numpy_KEY  16.9 MB of wheels: numpy 2.4.6\n"
        "rank, on the runtime:\n"
        "  layer_torch_KEY  160.3 MB of wheels: torch 2.13.0\n"
        "  layer_numpy_KEY  16.9 MB of wheels: numpy 2.4.6\n"
        "  layer_sympy_KEY  6.3 MB of wheels: sympy 1.14.0\n"
        "  layer_rank  1.0 MB of wheels: mpmath 1.3.0, regex 2026.11.19\n"
    )


def test_a_script_gets_what_decides_on_each_layer_and_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module("slimbake.cli.layers")
    measured = {"layer_api": MeasuredLayer("sha256:1", "sha256:2", 640_000, None, 9)}
    monkeypatch.setattr(module, "_measured", lambda _: measured)
    assert "  layer_api  640.0 kB: fastapi 0.165.0\n" in printed()
    found = json.loads(printed("--json"))
    layer = found["layers"]["layer_api"]
    assert layer["key"].startswith("sha256:") and len(layer["key"]) == 71
    assert layer["rules"][0] == "symbols"
    assert (layer["digest"], layer["packages"]) == ("sha256:1", {"fastapi": "0.165.0"})
    assert (layer["bytecode"], layer["bytes"], layer["uncompressed"]) == ("rule", 160_000, 640_000)
    unmeasured = found["layers"]["layer_rank"]
    assert unmeasured["digest"] is unmeasured["uncompressed"] is None
    assert found["order"]["api"] == ["layer_pydantic-core_KEY", "layer_api"]


def test_layers_of_locks_that_are_stale_are_not_shown(tmp_path: Path) -> None:
    file = toy(tmp_path, "requirements: [httpx], command: [a]")
    done = CliRunner().invoke(slimbake, ["layers", "-f", str(file)])
    assert done.exit_code != 0 and "runtime" not in done.stdout
