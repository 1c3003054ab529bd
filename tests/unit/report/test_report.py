"""`slimbake report`: what is recorded comes onto one page, and what is not says what records it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slimbake import report
from slimbake.ci.model import Record
from slimbake.cli import slimbake
from slimbake.errors import SetupError
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents, Owner, Part, Taken
from slimbake.images.sizes import Image, MeasuredLayer
from slimbake.project import load
from slimbake.report.facts import recorded_facts

MANIFEST = """\
project: toy
python: "3.11"
services:
  api: {context: api, command: [python, -V], budget: {uncompressed: 1MB}}
  model: {context: api, command: [python, -V]}
"""
RUNTIME, CODE = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
HELD = Contents(
    700_000,
    9,
    (),
    (Part("/opt", Owner("python", "numpy", "2.0"), 700_000, 9),),
    (),
    taken=(Taken("sources", "numpy", 50_000, 4),),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST)
    return tmp_path


def measured(diff: str, size: int) -> MeasuredLayer:
    return MeasuredLayer(diff, diff, size, size // 2, 9)


IMAGES = (
    Image("api", f"sha256:{'1' * 64}", (measured(RUNTIME, 700_000), measured(CODE, 300))),
    Image("model", f"sha256:{'2' * 64}", (measured(RUNTIME, 700_000),)),
)
RECORD = Record(services=("api", "model"), images=IMAGES)


def facts(root: Path, *records: Record) -> Any:
    return json.loads(json.dumps(recorded_facts(load(root / "services.yaml"), records)))


def test_what_was_never_recorded_names_the_command_that_records_it(root: Path) -> None:
    found = facts(root)
    assert [(each["what"], each["command"]) for each in found["missing"]] == [
        ("sizes of api, model", "slimbake bake api model"),
        (
            "sizes over commits: no commit has bake/sizes.json",
            "slimbake sizes --record",
        ),
    ]
    assert [service["layers"] for service in found["services"]] == [None, None]


def test_layers_say_whose_they_are_what_is_in_them_and_what_rules_took(root: Path) -> None:
    workspace = Workspace(root)
    workspace.write(f"layers/{RUNTIME[7:]}", asdict(HELD))
    found = facts(root, RECORD)
    runtime, code = found["layers"][RUNTIME], found["layers"][CODE]
    assert (runtime["users"], runtime["size"]) == (["api", "model"], 700_000)
    assert runtime["parts"] == [["/opt", "python", "numpy", "2.0", 700_000, 9]]
    assert runtime["taken"] == [["sources", "numpy", 50_000, 4]]
    assert code["users"] == ["api"] and "parts" not in code
    api = found["services"][0]
    assert (api["layers"], api["budget"]) == ([RUNTIME, CODE], {"size": 1_000_000, "packed": None})
    assert found["missing"][0]["command"] == "slimbake sizes api"


def test_sizes_over_commits_come_from_git_the_oldest_first(root: Path) -> None:
    sizes = root / "bake/sizes.json"
    sizes.parent.mkdir(parents=True)
    git = ("git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run([*git, "init", "--quiet"], check=True)
    for number, text in enumerate(("[]", '{"images": {"api": {"uncompressed": 5,', "", "7", "9")):
        image = {"uncompressed": int(text or 0), "compressed": None} if text.isdigit() else {}
        sizes.write_text(json.dumps({"images": {"api": image}}) if image else text)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", str(number)], check=True)
    sizes.unlink()
    assert [each["sizes"] for each in facts(root)["history"]] == [
        {"api": [7, None]},
        {"api": [9, None]},
    ]


def test_text_of_a_fleet_is_data_on_the_page_and_nothing_else() -> None:
    hostile = {"project": "</script><script>alert(1)</script>@@SCRIPT@@ \\u003c"}
    page = report.page(hostile, "LIBRARY")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data
    assert json.loads(data[1]) == hostile
    assert page.count("<script") == 3
    assert "LIBRARY" in page


def test_without_the_extra_the_error_says_how_to_get_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "find_spec", lambda _: None)
    done = CliRunner().invoke(slimbake, ["report", "-f", str(root / "services.yaml")])
    assert isinstance(done.exception, SetupError)
    assert done.exception.hint == "pip install 'plotly<8,>=7'"


def test_without_a_name_the_page_lies_where_git_ignores_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_plotly", lambda: "LIBRARY")
    done = CliRunner().invoke(slimbake, ["report", "-f", str(root / "services.yaml")])
    assert done.exit_code == 0, done.output
    assert "LIBRARY" in (root / ".slimbake/report.html").read_text("utf-8")
    assert (root / ".slimbake/.gitignore").read_text() == "*\n"
    assert ".slimbake/report.html: " in done.output


def test_a_pipeline_draws_the_page_from_its_records(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_plotly", lambda: "LIBRARY")
    (root / "records").mkdir()
    (root / "records/one.json").write_text(json.dumps(RECORD.as_json()))
    page = root / "report.html"
    words = ["-f", str(root / "services.yaml"), "--record", str(root / "records"), "-o", str(page)]
    done = CliRunner().invoke(slimbake, ["report", *words])
    assert done.exit_code == 0, done.output
    assert RUNTIME in page.read_text("utf-8")
    assert "not recorded: sizes over commits: no commit has bake/sizes.json" in done.output
