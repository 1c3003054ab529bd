"""`slimbake check --images` and `--reference`, with the builds themselves left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from slimbake.checks.smokes import note_smokes
from slimbake.checks.verify import Verdict
from slimbake.cli import slimbake
from slimbake.errors import CheckError, UsageError
from slimbake.host.workspace import Workspace
from slimbake.inside.check.smoke import EMPTY
from slimbake.project import load

FLEET = """\
project: toy
python: "3.11"
services:
  api: {context: api, command: [python, -m, api], smoke: smoke.py, verify: verify.py}
  jobs: {context: jobs, command: [python, -m, jobs]}
"""


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is built of a fleet in the working directory."""
    found: list[tuple[str, ...]] = []
    (tmp_path / "services.yaml").write_text(FLEET)
    for name in ("api", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "api/smoke.py").write_text("def imports(): ...\ndef reference(): ...\n")
    (tmp_path / "api/verify.py").write_text("def verify(service): ...\n")

    class Site(SimpleNamespace):
        def stocked(self, _: tuple[str, ...]) -> Site:
            return self

    @contextlib.contextmanager
    def hold(project: Any, *_: Any) -> Iterator[Site]:
        engine, around = SimpleNamespace(builder="docker"), SimpleNamespace(checkout="x")
        yield Site(plan=project.plan, root=project.root, engine=engine, around=around)

    def images(_: Any, services: tuple[str, ...], **__: Any) -> list[Any]:
        return [SimpleNamespace(name=name, image=f"bare/{name}") for name in services]

    monkeypatch.setattr("slimbake.cli.check.hold", hold)
    monkeypatch.setattr("slimbake.cli.check.bake", lambda _, names, __: found.append(names))
    monkeypatch.setattr("slimbake.cli.check.weights_mounted", lambda site, _: site.plan)
    monkeypatch.setattr("slimbake.cli.check.bare_images", images)
    monkeypatch.setattr(
        "slimbake.cli.check.record_reference", lambda _, __, image, ___: f'"{image}"'
    )
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """How a verify ends."""
    said = SimpleNamespace(error="", images=[])

    def verify(_: Any, service: str, image: str, *__: Any) -> Verdict:
        said.images.append(image)
        return Verdict(service=service, holds=not said.error, error=said.error, startup=0.25)

    monkeypatch.setattr("slimbake.cli.check.verify", verify)
    return said


def check(*words: str) -> Result:
    return CliRunner().invoke(slimbake, ["check", *words])


def test_images_are_checked_in_full(built: list[tuple[str, ...]], verdict: SimpleNamespace) -> None:
    done = check("--images")
    assert done.exception is None, done.output
    assert built == [("api", "jobs")]
    assert done.stdout == "smoke: passed: api\nverify: api: passed (start-up 0.25 s)\n"
    assert "no smoke: jobs; a bake only starts them\n" in done.stderr
    assert verdict.images == ["slimbake/toy/api:built-x"]


def test_a_failed_verify_is_shown(built: list[tuple[str, ...]], verdict: SimpleNamespace) -> None:
    verdict.error = "line 1\nline 2"
    done = check("--images", "api")
    assert isinstance(done.exception, CheckError)
    assert done.exception.message == "1 of 1 verify checks failed: api"
    assert "  line 1\n  line 2\n" in done.stderr


@pytest.mark.parametrize("trivial", ["false", "true"])
def test_empty_smoke_fails_unless_trivial(
    trivial: str, built: list[tuple[str, ...]], verdict: SimpleNamespace, tmp_path: Path
) -> None:
    fleet = FLEET.replace("smoke: smoke.py", f"smoke: {{file: smoke.py, trivial: {trivial}}}")
    (tmp_path / "services.yaml").write_text(fleet)
    plan = load(tmp_path / "services.yaml").plan
    line = f"{EMPTY}smoke.py imports only 0 of 17 modules of the packages of its image"
    note_smokes(Workspace(tmp_path), tmp_path, plan.targets, [("api-smoke", line)])
    done = check("--images")
    assert done.stdout == "smoke: empty: api\nverify: api: passed (start-up 0.25 s)\n"
    if trivial == "true":
        assert done.exception is None, done.output
    else:
        assert isinstance(done.exception, CheckError)
        assert done.exception.message == "the smoke of api imports next to nothing of its image"
    (tmp_path / "api/smoke.py").write_text("import api\ndef imports(): ...\n")
    assert check("--images").stdout.startswith("smoke: passed: api\n")


@pytest.mark.usefixtures("built", "verdict")
def test_a_smoke_that_never_ran_here_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[tuple[str, ...]] = []
    monkeypatch.setattr("slimbake.cli.check.bake", lambda _, __, how: again.append(how.sets))
    check("--images")
    note_smokes(Workspace(tmp_path), tmp_path, load(tmp_path / "services.yaml").plan.targets, [])
    check("--images")
    assert again == [("api-smoke.no-cache=true",), ()]


def test_no_check_means_build_only(built: list[tuple[str, ...]], verdict: SimpleNamespace) -> None:
    done = check("--images", "jobs")
    assert (done.exception, done.stdout, built) == (None, "", [("jobs",)])


def test_a_reference_lies_beside_the_smoke(built: list[tuple[str, ...]], tmp_path: Path) -> None:
    done = check("--reference", "api")
    assert (done.exception, done.stdout) == (None, "api/reference.json\n")
    assert (tmp_path / "api/reference.json").read_text() == '"bare/api"'
    for words in (("jobs",), ()):
        refused = check("--reference", *words).exception
        assert isinstance(refused, UsageError)
        assert refused.message == "--reference is of services with a smoke"


@pytest.mark.parametrize("words", [("api",), ("--record",)])
def test_what_is_about_images_says_so(built: list[tuple[str, ...]], words: tuple[str, ...]) -> None:
    done = check(*words)
    assert isinstance(done.exception, UsageError)
    assert done.exception.hint == "add --images"
