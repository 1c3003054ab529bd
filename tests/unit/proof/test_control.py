"""Controls: what of an image is broken on purpose, and what counts as caught."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import fleet, service

from slimbake.config.model import WeightsEntry
from slimbake.console import Console
from slimbake.console.tables import Layout
from slimbake.docker.containers import Contained
from slimbake.errors import SetupError
from slimbake.inside.check.trial import damage_files
from slimbake.inside.passes import LayerFiles
from slimbake.plan import plan
from slimbake.plan.model import Plan
from slimbake.proof import control
from slimbake.proof.control import controls_of, run_controls
from slimbake.proof.model import AGAIN, Caught, Control, Damage
from slimbake.proof.report import control_fault, control_table
from slimbake.proof.trial import Outcome, Subject

HELD = Outcome(True, "", "", {})
MODEL = Control("the model removed", Damage("remove", "/weights/**"), "load it")


def found() -> Plan:
    own = service(
        "own", weights=WeightsEntry("path", "models"), dockerfile="own.Dockerfile", smoke="smoke.py"
    )
    return plan(
        fleet(
            service("rank", weights=WeightsEntry("path", "models"), smoke="smoke.py"),
            service("api"),
            own,
        )
    )


def subject(name: str = "rank") -> Subject:
    smoke = next(target for target in found().targets if target.kind == "smoke")
    return Subject(name, "sha256:1", smoke, Path("/none"))


@pytest.mark.parametrize("model", ["model.joblib", "sub/model.gguf", "model.pt", "graph.onnx"])
def test_of_weights_of_any_format_the_largest_file_is_changed_and_no_other(
    model: str, tmp_path: Path
) -> None:
    files = {
        f"/weights/{model}": os.urandom(90_000),
        "/weights/config.json": b"{}",
        "/weights/words.txt": b"a" * 9000,
    }
    for path, content in files.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_bytes(content)
    given = controls_of(
        found(), "rank", HELD, {path: len(content) for path, content in files.items()}
    )
    removed, corrupted = (each.damage for each in given)
    assert (removed.how, removed.what, corrupted.how) == ("remove", "/weights/**", "corrupt")
    damage_files(corrupted.how, f"{tmp_path}{corrupted.what}", layer=None)  # type: ignore[arg-type]
    changed = {
        path for path, content in files.items() if (tmp_path / path[1:]).read_bytes() != content
    }
    assert changed == {f"/weights/{model}"}


def test_of_what_is_removed_no_folder_stays_that_python_would_import(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    record = "thing/__init__.py,,\nthing/sub/deep.py,,\nshared/thing.py,,\n"
    files = {
        "thing/__init__.py": "",
        "thing/__pycache__/__init__.cpython-311.pyc": "",
        "thing/sub/deep.py": "",
        "shared/thing.py": "",
        "shared/other.py": "",
        "thing-1.dist-info/RECORD": record,
    }
    for root, names in ((site, files), (tmp_path / "app", {"own/main.py": "", "own/sub/a.py": ""})):
        for name, text in names.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    damage_files("remove", "thing", LayerFiles(tmp_path, tmp_path.rglob("*")))
    assert sorted(each.name for each in site.iterdir()) == ["shared", "thing-1.dist-info"]
    damage_files("remove", f"{tmp_path}/app/**", layer=None)  # type: ignore[arg-type]
    assert list((tmp_path / "app").iterdir()) == []


def test_of_safetensors_every_file_is_changed() -> None:
    weights = {
        "/weights/a.safetensors": 5,
        "/weights/b.safetensors": 6,
        "/weights/tokenizer.json": 7,
    }
    assert controls_of(found(), "rank", HELD, weights)[-1].damage == Damage(
        "corrupt", "/weights/**/*.safetensors"
    )


def test_without_weights_the_code_is_removed() -> None:
    assert [each.damage.what for each in controls_of(found(), "rank", HELD, {})] == ["/app/**"]


def test_weights_are_listed_in_the_image_and_only_where_they_are_slimbakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def contained(name: str, words: tuple[str, ...], *_: Any) -> Contained:
        asked.append(words)
        return Contained(0, 'said by a .pth\n{"/weights/a.pt": 5}\n', "", False)

    monkeypatch.setattr(control, "contained", contained)
    assert control.harmed_weights(found(), subject()) == {"/weights/a.pt": 5}
    assert "sha256:1" in asked[0] and "--network=none" in asked[0]
    assert (
        control.harmed_weights(found(), subject("api"))
        == control.harmed_weights(found(), subject("own"))
        == {}
    )
    assert len(asked) == 1


def test_the_program_that_lists_names_files_and_no_links(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.pt").write_bytes(b"12345")
    (tmp_path / "link.pt").symlink_to("sub/a.pt")
    words = [sys.executable, "-I", "-c", control.LIST.replace("/weights", str(tmp_path))]
    assert json.loads(subprocess.check_output(words)) == {f"{tmp_path}/sub/a.pt": 5}


def test_weights_that_cannot_be_listed_are_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "contained", lambda *_: Contained(1, "", "no such user", False))
    with pytest.raises(SetupError, match="weights of rank could not be listed"):
        control.harmed_weights(found(), subject())


@pytest.mark.parametrize(
    ("level", "held", "words", "advice"),
    [
        ("load", True, "load", ""),
        ("run", True, "run", ""),
        ("", False, "NOT caught", "let `imports()` import every module of the service"),
        ("time", False, "not known: it ran out of time", AGAIN),
        ("memory", False, "not known: it ran out of memory", AGAIN),
    ],
)
def test_a_trial_that_was_ended_is_no_catch_and_is_reported_as_what_it_is(
    level: str, held: bool, words: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    outcomes = iter((HELD, replace(HELD, held=not level, level=level)))
    monkeypatch.setattr(control, "trial", lambda *_: next(outcomes))
    (caught,) = run_controls(found(), [subject("api")], Console(said.append))
    assert (caught.held, caught.words, caught.advice) == (held, words, advice)
    assert said == [f"api, the service's code removed: {'caught at ' if held else ''}{words}"]
    row = control_table((caught,), Layout(0)).splitlines()[-1]
    assert words in row and advice in row


def caught(service: str, level: str) -> Caught:
    return Caught(service, MODEL, level)


@pytest.mark.parametrize(
    ("levels", "fault"),
    [
        ({"a": "load", "b": "parity"}, ""),
        ({"a": "", "b": "parity"}, "too weak: a"),
        ({"a": "time"}, "not known, since trials ran out of time or memory: a"),
        (
            {"a": "", "b": "memory", "c": "load"},
            "too weak: a; not known, since trials ran out of time or memory: b",
        ),
    ],
)
def test_the_fault_names_the_weak_ones_and_those_that_nobody_knows_of(
    levels: dict[str, str], fault: str
) -> None:
    assert control_fault(caught(*each) for each in levels.items()) == fault
