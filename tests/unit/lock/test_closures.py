"""What is read of a manifest and its locks for the layer planner, and what the command prints."""

import re
from pathlib import Path

import pytest
from bench.layering.judged import faults
from click.testing import CliRunner

from slimbake.cli.layers import command
from slimbake.lock.auto import UNPACKED
from slimbake.lock.closures import Written, written
from slimbake.lock.locks import locked_pins
from slimbake.project import load

ROOT = Path(__file__).parents[3]

MANIFEST = """\
project: toy
python: "3.11"
bases:
  web: {requirements: [one]}
services:
  a: {base: web, context: a, weights: {path: model}}
  b: {base: web, context: a, requirements: [two]}
"""
ONE = (
    "# asked for\n# one-1.0-py3-none-any.whl 1000\none==1.0 \\\n    --hash=sha256:"
    + "0" * 64
    + "\n"
)
TWO = (
    "# asked for\n# two-2.0-py3-none-any.whl 300\ntwo==2.0 \\\n    --hash=sha256:" + "1" * 64 + "\n"
)


def read(file: Path) -> Written:
    project = load(file)
    return written(project.fleet, locked_pins(project.fleet, project.locks))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    (tmp_path / "services.yaml").write_text(MANIFEST)
    (tmp_path / "a").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"0" * 50)
    (tmp_path / "bake/locks").mkdir(parents=True)
    (tmp_path / "bake/locks" / "base-web.txt").write_text(ONE)
    (tmp_path / "bake/locks" / "b.txt").write_text(TWO)
    return tmp_path


def test_layers_are_read_from_the_manifest_and_bytes_from_its_locks(toy: Path) -> None:
    found = read(toy / "services.yaml")
    item = found.fleet.by_key
    assert (item["one==1.0"].host, item["one==1.0"].registry) == (int(1000 * UNPACKED), 1000)
    web = frozenset({"one==1.0"})
    assert found.plan.chain("a").groups == (web,)
    assert found.plan.chain("b").groups == (web, frozenset({"two==2.0"}))
    assert found.names[web] == "base-web"


def test_the_examples_layers_hold_what_its_services_need() -> None:
    found = read(ROOT / "services.yaml")
    assert faults(found.fleet, found.plan) == ()
    assert found.names[found.plan.chain("api").groups[0]] == "base-web"
    assert found.fleet.by_key["torch==2.13.0+cpu"].host > 500e6


def test_the_command_shows_both_plans_and_their_distance_to_the_lower_bound() -> None:
    arguments = ["-f", str(ROOT / "services.yaml")]
    shown = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    expected = (
        r"^base-web +api, embedding, embedding-onnx, storage and 6 more",
        r"^  base-ml +embedding, nlg, hybrid",
        r"^written +[\d,.]+ MB",
        r"^planned ",
        r"^lower bound ",
    )
    for line in expected:
        assert re.search(line, shown.output, re.MULTILINE), line
