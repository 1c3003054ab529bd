"""The program that runs a service's smoke inside its image, run as a process as the image does."""

import json
import os
import py_compile
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from tests.patience import far_enough
from tests.ran import ran
from tests.unit.programs import written

from slimbake.inside.check.smoke import remarks, runs_installed

Run = Callable[..., "subprocess.CompletedProcess[str]"]

ALL_HOLD = """
    import sys
    def imports(): assert "subject" not in sys.modules; import subject
    def load(): import subject; assert subject.VALUE == 1
    def parity(reference): assert reference == {"value": 1}
    def reference(): return {"value": 1, "a": [0.5]}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a smoke of this text; the service's code is the working directory, the smoke lies
    elsewhere.
    """
    (tmp_path / "app").mkdir()
    (tmp_path / "app/subject.py").write_text("VALUE = 1\n")
    (tmp_path / "context").mkdir()
    program = written("check", tmp_path)

    def call(
        text: str, *arguments: str, stored: object = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "context/smoke.py").write_text(dedent(text))
        if stored is not None:
            (tmp_path / "context/reference.json").write_text(json.dumps(stored))
        environment = {"SLIMBAKE_SMOKE": "smoke.py", **variables}
        words: tuple[str | Path, ...] = (
            "-ISB",
            program,
            "smoke",
            f"--context={tmp_path / 'context'}",
            *arguments,
        )
        env = {**os.environ, **environment}
        source = json.dumps(dedent(text)) if "--reference" in arguments else None
        return ran([sys.executable, *words], cwd=tmp_path / "app", env=env, input=source)

    return call


def levels(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [
        " ".join(line.split()[1:3])
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith("smoke: ")
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("", ["import passed", "load passed", "parity passed"]),
        ("del imports, parity", ["load passed"]),
        ('def imports(): raise ImportError("gone")', ["import failed"]),
        ("def load(): assert False", ["import passed", "load failed"]),
        ("def load(): raise RuntimeError", ["import passed", "load failed"]),
        (
            "def parity(reference): assert reference == {}",
            ["import passed", "load passed", "parity failed"],
        ),
    ],
)
def test_levels_run_until_one_fails(changed: str, expected: list[str], run: Run) -> None:
    done = run(f"{dedent(ALL_HOLD)}\n{changed}\n", stored={"value": 1})
    failed = "failed" in expected[-1]
    assert (done.returncode, levels(done)) == (int(failed), expected)
    assert ("Traceback" in done.stderr) is failed


def test_variables_that_start_gives_reach_the_smoke_too(run: Run) -> None:
    text = """
        import os
        def load(): assert os.environ["TOKEN"] == "none" and "SLIMBAKE_ENV" not in os.environ
        """
    assert run(text).returncode == 1
    assert run(text, SLIMBAKE_ENV='{"TOKEN": "none"}').returncode == 0


def test_parity_without_a_stored_reference_fails_and_says_how_to_store_one(run: Run) -> None:
    done = run("def parity(reference): ...")
    assert done.returncode == 1
    assert "`slimbake check --reference SERVICE` stores it" in done.stderr


def test_the_reference_may_have_another_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "context/answers.json").write_text("[1, 2]")
    text = "def parity(reference): assert reference == [1, 2]"
    assert run(text, SLIMBAKE_REFERENCE="answers.json").returncode == 0


@pytest.mark.parametrize(
    ("asserted", "shown"),
    [
        ("answer() == 5", "AssertionError: 4 on the left, 5 on the right"),
        ("'x' * 999 in ['y']", f"AssertionError: {repr('x' * 999)[:200]} on the left, ['y'] on"),
        ("answer() == 5, 'five'", "AssertionError: five"),
        ("not answer()", "AssertionError\n"),
        ("3 < answer() < 4", "AssertionError\n"),
    ],
)
def test_an_assert_that_compares_two_values_shows_them_and_computes_them_once(
    asserted: str, shown: str, run: Run
) -> None:
    code = f"""
        def answer(counts=[]):
            counts.append(1)
            return 3 + len(counts)

        def load():
            assert {asserted}
        """
    stderr = run(code).stderr
    assert f"line 7, in load\n    assert {asserted}\n" in stderr and shown in stderr


def test_a_smoke_that_hangs_is_cut_off_and_shows_where(run: Run) -> None:
    hangs = """
        import time
        def load():
            time.sleep(3600)
        """
    done = far_enough(
        lambda limit: run(hangs, f"--limit={limit}"), lambda done: "in load" in done.stderr
    )
    assert done.returncode == 1
    assert 'smoke.py", line 4 in load' in done.stderr
    assert "its time was up in load" in done.stderr


def test_recording_prints_what_the_smoke_computes_and_runs_no_level(run: Run) -> None:
    done = run(f"{dedent(ALL_HOLD)}\ndef load(): raise RuntimeError", "--reference")
    assert done.returncode == 0
    assert done.stdout == '{\n "a": [\n  0.5\n ],\n "value": 1\n}\n'


def test_recording_fails_where_the_smoke_has_nothing_to_record(run: Run) -> None:
    done = run("def load(): ...", "--reference")
    assert (done.returncode, done.stdout) == (1, "")


def said(report: object, prefix: Path) -> list[str]:
    return list(remarks(report, prefix, "smoke.py", 1e-6))


def test_a_smoke_that_imports_next_to_nothing_is_reported(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages/pack"
    site.mkdir(parents=True)
    assert said([], tmp_path) == []  # of nothing
    files = [site / f"m{number}.py" for number in range(200)]
    for file in files:
        file.touch()
    record = site.parent / "pack-1.0.dist-info/RECORD"
    record.parent.mkdir()
    rows = (f"pack/{name},," for name in ("data.json", *(file.name for file in files)))
    record.write_text("\n".join(rows))
    assert said([str(file) for file in files[:2]], tmp_path) == []
    few = "smoke: empty: smoke.py imports only {} of 200 modules of the packages of its image"
    assert said([str(files[0]), 5, "/elsewhere.py"], tmp_path) == [few.format(1)]
    assert said({"no": "list"}, tmp_path) == [few.format(0)]


def test_a_smoke_that_compiles_what_it_imports_names_the_line_to_add(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    record = site / "pack-1.0.dist-info/RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("done.py,,\npack/late.py,,\n")
    (site / "pack").mkdir()
    imported = [site / "done.py", site / "pack/late.py"]
    for file in imported:
        file.write_text("x = 1\n")
    py_compile.compile(str(imported[0]))
    (line,) = said([*map(str, imported), "/app/own.py"], tmp_path)
    assert line.endswith('with this line the build compiles them: bytecode: ["pack/*.py"]')


def test_a_program_of_a_package_runs_the_wheel_and_not_the_copy_in_the_code(tmp_path: Path) -> None:
    info = tmp_path / "lib/python3.11/site-packages/shop-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nshop = shop.main:run\n")
    code = tmp_path / "app"
    (code / "src/shop").mkdir(parents=True)
    assert not runs_installed("shop", tmp_path, code)  # there is one copy
    (code / "shop").mkdir()
    assert runs_installed("shop", tmp_path, code)
    assert not runs_installed("uvicorn", tmp_path, code)


def test_the_code_comes_first_where_no_installed_program_starts(run: Run) -> None:
    done = run("import sys, os\ndef imports(): assert sys.path[0] == os.getcwd(), sys.path")
    assert done.returncode == 0, done.stderr
