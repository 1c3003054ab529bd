"""What `slimbake bake` makes of its options, with the builds themselves left out."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.machines import ENGINE

from slimbake.ci.records import recorded
from slimbake.cli import ci, slimbake
from slimbake.errors import MANIFEST, CheckError, UsageError
from slimbake.images.sizes import Measurement
from slimbake.release.place import BakeRequest
from slimbake.release.release import Released

FLEET = """\
project: toy
registry: registry.example.com/toy
python: "3.11"
services:
  api: {context: api, command: [python, -m, api]}
  jobs: {context: jobs, command: [python, -m, jobs]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "services.yaml").write_text(FLEET)
    for name in ("api", "jobs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("")
    return tmp_path


LETTERS = "use at most 128 letters, digits, '_', '.' and '-', neither '.' nor '-' first"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("--missing", "--missing requires --push", "--push --missing"),
        (
            "--push --missing --set api.args.A=1",
            "what --set changes is in no fingerprint, so --missing cannot know it",
            "leave out one of them",
        ),
        ("--tag v1+x", "'v1+x' cannot be the tag of an image", LETTERS),
        ("--tag v1/x", "'v1/x' cannot be the tag of an image", LETTERS),
        ("--tag=-v1", "'-v1' cannot be the tag of an image", LETTERS),
        ("--tag=", "'' cannot be the tag of an image", LETTERS),
    ],
)
def test_what_does_not_go_together_and_what_is_no_tag_is_reported(
    root: Path, words: str, message: str, hint: str
) -> None:
    error = bake(root, *words.split()).exception
    assert isinstance(error, UsageError)
    assert (error.message, error.hint, error.exit_code) == (message, hint, MANIFEST)


def bake(root: Path, *words: str) -> Result:
    return CliRunner().invoke(slimbake, ["bake", "-f", str(root / "services.yaml"), *words])


REGISTRY = "registry.example.com/toy"
RELEASED = Released(
    Measurement(()),
    names={"api": f"{REGISTRY}/api:1"},
    pushed={"api": f"{REGISTRY}/api@sha256:{'a' * 64}"},
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BakeRequest]:
    """The releases that were asked for, each of which comes to `RELEASED`."""
    found: list[BakeRequest] = []

    def release(_: Any, request: BakeRequest, console: Any) -> Released:
        found.append(request)
        return RELEASED

    monkeypatch.setattr("slimbake.cli.bake.release", release)
    monkeypatch.setattr("slimbake.docker.use_builder", str)
    return found


def test_a_push_asks_for_all_that_its_options_say(root: Path, asked: list[BakeRequest]) -> None:
    words = ("--push", "--missing", "--keep-going", "--json")
    done = bake(root, "--builder", "kube", *words)
    assert done.exception is None, done.output
    (request,) = asked
    assert (request.missing, request.keep_going, request.frozen) == (True, True, False)
    assert json.loads(done.stdout)["on_registry"] == {}


JOB = {"id": "lane-1", "name": "jobs", "services": "jobs", "lane": "lane", "runner": "r"}


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a command sets for buildx goes with its process, and here with the test."""
    before = {**os.environ}
    for name in ("CACHE_FROM", "CACHE_TO"):
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run on an engine that can write caches."""
    monkeypatch.setattr(ci, "find", lambda: replace(ENGINE, version="28.5.0"))


def run_job(root: Path, *words: str, job: str = "", **more: str) -> Result:
    """Run `ci job` as a pipeline does."""
    text = job or json.dumps({**JOB, "platform": "", **more})
    env = {"JOB": text, "TAG": "v2+x", "REGISTRY": "other.example.com"}
    return CliRunner().invoke(
        slimbake, ["ci", "job", "-f", str(root / "services.yaml"), *words], env=env
    )


def test_a_job_builds_on_images_that_another_pushed(root: Path, asked: list[BakeRequest]) -> None:
    records = root / ".slimbake/records"
    pushed = {"runtime": f"{REGISTRY}/runtime@sha256:{'b' * 64}"}
    first = Released(Measurement(()), pushed=pushed)
    recorded(records / "lane.json", (), lambda: first)
    done = run_job(root, "--push")
    assert done.exception is None, done.output
    (request,) = asked
    assert (request.push, request.missing, request.keep_going, request.frozen) == (True,) * 4
    assert (request.targets, request.tag) == (("jobs",), "v2-x")
    assert request.registry == "other.example.com"
    assert request.pushed == pushed
    assert json.loads((records / "lane-1.json").read_text())["services"] == ["jobs"]
    place = f"type=registry,ref={REGISTRY}/{{target}}:buildcache.lane"
    assert os.environ["CACHE_FROM"] == place
    assert os.environ["CACHE_TO"].startswith(f"{place},mode=max,")


@pytest.mark.usefixtures("asked")
def test_an_old_engine_writes_no_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(root / ".slimbake/records/lane.json", (), lambda: Released(Measurement(())))
    monkeypatch.setattr(ci, "find", lambda: replace(ENGINE, version="26.1.5+dfsg1"))
    done = run_job(root, "--push")
    assert done.exception is None, done.output
    assert os.environ["CACHE_FROM"] and os.environ["CACHE_TO"] == ""
    assert "no cache is written: Docker 26.1.5+dfsg1 may crash there" in done.output


def test_a_job_of_a_pull_request_pushes_nothing(root: Path, asked: list[BakeRequest]) -> None:
    done = run_job(root, platform="linux/arm64")
    assert done.exception is None, done.output
    (request,) = asked
    assert (request.push, request.missing, request.frozen) == (False, False, True)
    assert (request.platform, request.tag) == ("linux/arm64", "v2-x-lane")
    assert os.environ["CACHE_TO"] == ""


@pytest.mark.parametrize("job", ["[]", "{", "{}", '"jobs"'])
def test_what_is_no_job_is_refused(root: Path, asked: list[BakeRequest], job: str) -> None:
    error = run_job(root, job=job).exception
    assert isinstance(error, UsageError)
    assert error.message == "--job is no job of a pipeline"


def test_a_job_whose_first_wave_left_nothing_says_so(root: Path, asked: list[BakeRequest]) -> None:
    error = run_job(root, "--push").exception
    assert isinstance(error, UsageError)
    assert ".slimbake/records/lane.json cannot be read" in error.message
    assert not asked


def test_what_failed_is_recorded_and_raised(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = replace(RELEASED, failures={"jobs": CheckError("no")})
    monkeypatch.setattr("slimbake.cli.bake.release", lambda *_: failed)
    done = run_job(root)
    assert isinstance(done.exception, CheckError)
    assert done.exception.message == "no"
    assert done.exception.hint == "tagged all the same: api\nnot tagged: jobs"
    assert json.loads((root / ".slimbake/records/lane-1.json").read_text())["failed"] == ["jobs"]
    assert done.stdout == ""
    as_json = bake(root, "--json")
    assert isinstance(as_json.exception, CheckError)
    assert json.loads(as_json.stdout)["failed"] == {"jobs": "no"}


def test_a_bake_that_pushes_nothing_goes_on_after_a_failure(
    root: Path, asked: list[BakeRequest]
) -> None:
    for words in ((), ("--keep-going",), ("--push",), ("--push", "--keep-going")):
        bake(root, *words)
    assert [request.keep_going for request in asked] == [True, True, False, True]


def test_names_and_digests_are_written_as_buildx_does(
    root: Path, asked: list[BakeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "out/metadata.json"
    assert bake(root, "--push", "--metadata-file", str(file)).exception is None
    pushed = {"containerimage.digest": f"sha256:{'a' * 64}", "image.name": f"{REGISTRY}/api:1"}
    assert json.loads(file.read_text()) == {"api": pushed}
    failed = replace(RELEASED, failures={"jobs": CheckError("no")})
    monkeypatch.setattr("slimbake.cli.bake.release", lambda *_: failed)
    file.unlink()
    assert isinstance(bake(root, "--metadata-file", str(file)).exception, CheckError)
    assert json.loads(file.read_text()) == {"api": pushed}
    refused = bake(root, "--metadata-file", str(root))
    assert refused.exit_code == MANIFEST and "is a directory" in refused.output
