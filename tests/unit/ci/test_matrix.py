"""`slimbake ci plan`: the jobs of a pipeline, in waves."""

import itertools
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.unit.fleets import asks, planned, service

from slimbake.ci.matrix import MOST_JOBS, Matrix, child, matrix
from slimbake.cli import slimbake
from slimbake.config.model import BaseEntry, Ci, Parity, ServiceEntry, StartCheck, WeightsEntry
from slimbake.errors import StaleFiles, UsageError
from slimbake.plan.model import Plan


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and generated files need not be fresh."""
    monkeypatch.setattr("slimbake.cli.ci.expect_fresh", lambda _: 0)


NONE = Ci()


def fleet(
    services: tuple[ServiceEntry, ...], platforms: tuple[str, ...] = (), ci: Ci = NONE
) -> Plan:
    bases = (
        BaseEntry("web", requirements=asks("fastapi")),
        BaseEntry("ml", extends="web", requirements=asks("torch")),
    )
    return planned(*services, bases=bases, platforms=platforms, ci=ci)


API = service("api", base="web", smoke="smoke.py")
MODEL = service("model", base="ml", smoke="smoke.py")
JOBS = service("jobs")
BOTH = ("linux/amd64", "linux/arm64")
JOBS_OF_GITLAB = ("check", "shared", "services", "tag", "summary")
NATIVE = Ci(runners=(("linux/arm64", "ubuntu-24.04-arm"),))


def many(count: int) -> tuple[ServiceEntry, ...]:
    return tuple(service(f"s{number}", base="web") for number in range(count))


def names(services: tuple[ServiceEntry, ...]) -> tuple[str, ...]:
    return tuple(service.name for service in services)


def shared(plan: Plan, jobs: Matrix) -> list[str]:
    """What the jobs of wave 1 build."""
    services = (tuple(job["services"].split()) for job in jobs["shared"])
    return [" ".join(target.name for target in plan.shared_by(names)) for names in services]


def test_bases_are_one_job_and_each_service_has_one_of_its_own_after_it() -> None:
    lane = {"lane": "linux_amd64", "runner": "ubuntu-latest", "platform": ""}
    every = {"id": "linux_amd64", "name": "linux_amd64", "services": "api model jobs"}
    assert matrix(fleet((API, MODEL, JOBS)), ("api", "model", "jobs")) == {
        "shared": [{**every, **lane}],
        "services": [
            {"id": f"linux_amd64-{number}", "name": name, "services": name, **lane}
            for number, name in enumerate(("api", "model", "jobs"))
        ],
        "unchanged": "",
    }


def test_services_that_start_beside_one_another_are_built_by_one_job() -> None:
    beside = tuple(
        service(name, start=StartCheck("runs", fleet=needs))
        for name, needs in (("web", ("api",)), ("alone", ()), ("api", ("db",)), ("db", ()))
    )
    found = matrix(fleet(beside), names(beside))["services"]
    assert [job["services"] for job in found] == ["web api db", "alone"]
    found = matrix(fleet(beside), names(beside), unchanged=("api",))["services"]
    assert [job["services"] for job in found] == ["web db", "alone"]


def test_only_the_bases_that_changed_services_need_are_built_each_after_its_own() -> None:
    made = fleet((API, MODEL, JOBS))
    found = matrix(made, ("api", "model", "jobs"), unchanged=("model", "jobs"))
    assert shared(made, found) == ["runtime base-web"]
    assert [job["name"] for job in found["services"]] == ["api"]
    assert found["unchanged"] == "model jobs"


def test_a_model_is_exported_in_the_first_wave_with_what_its_parity_is_measured_against() -> None:
    parity = Parity("parity.py", "texts/a.jsonl")
    model = WeightsEntry("package", "m")
    rank = service("rank", base="ml", weights=model, inference="onnx", parity=parity)
    found = fleet((API, rank))
    assert shared(found, matrix(found, ("rank",))) == [
        "runtime base-web base-ml-onnx weights-m-onnx-fp32 reference-m-a"
    ]
    assert shared(found, matrix(found, ("api",))) == ["runtime base-web"]


def test_no_services_and_nothing_that_changed_give_empty_lists() -> None:
    empty: Matrix = {"shared": [], "services": [], "unchanged": ""}
    assert matrix(fleet(()), ()) == empty
    assert matrix(fleet((API,)), ("api",), unchanged=("api",)) == {**empty, "unchanged": "api"}


def test_a_platform_with_runners_of_its_own_is_built_there_and_merged_in_the_end() -> None:
    one = service("model", base="ml", platforms=("linux/arm64",))
    made = fleet((API, one), BOTH, NATIVE)
    found = matrix(made, ("api", "model"))
    built = zip(found["shared"], shared(made, found), strict=True)
    bases = [(job["runner"], job["platform"], targets) for job, targets in built]
    assert bases == [
        ("ubuntu-latest", "linux/amd64", "runtime base-web"),
        ("ubuntu-24.04-arm", "linux/arm64", "runtime base-web base-ml"),
    ]
    jobs = [(job["name"], job["lane"]) for job in found["services"]]
    assert jobs == [("api", "linux_amd64"), ("api", "linux_arm64"), ("model", "linux_arm64")]


def test_a_platform_without_runners_is_emulated_and_one_job_builds_both() -> None:
    found = matrix(fleet((API,), BOTH), ("api",))
    assert [(job["lane"], job["platform"]) for job in found["shared"]] == [
        ("linux_amd64.linux_arm64", "")
    ]
    assert len(found["services"]) == 1
    assert fleet((API,), BOTH).pipeline.lanes[0].emulates
    assert fleet((API,), ("linux/arm64",)).pipeline.lanes[0].emulates


def test_beyond_256_services_are_put_together_in_jobs() -> None:
    services = many(600)
    found = matrix(fleet(services), names(services))
    jobs = [job["services"].split() for job in found["services"]]
    assert len(jobs) == MOST_JOBS
    assert sorted(itertools.chain(*jobs)) == sorted(names(services))
    assert {len(job) for job in jobs} == {2, 3}
    assert all(job["name"].endswith(" more") for job in found["services"])


def test_several_lanes_share_what_a_matrix_may_hold() -> None:
    services = many(300)
    found = matrix(fleet(services, BOTH, NATIVE), names(services))
    assert len(found["services"]) == MOST_JOBS
    ids = [job["id"] for job in found["services"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.usefixtures("fresh")
def test_the_command_prints_one_line_of_json_and_leaves_it_for_the_summary(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    file = tmp_path / "services.yaml"
    head = 'project: toy\npython: "3.11"\n'
    for services, names in (("{api: {context: api}}", ["api"]), ("{}", [])):
        file.write_text(f"{head}services: {services}\n")
        done = CliRunner().invoke(slimbake, ["ci", "plan", "--manifest", str(file)])
        assert done.exit_code == 0, done.exception
        found = json.loads(done.stdout)
        for wave in ("shared", "services"):
            assert [job["services"] for job in found[wave]] == names
        assert done.stdout.count("\n") == 1
        assert json.loads((tmp_path / ".slimbake/records/plan.json").read_text()) == found


def test_a_lock_that_is_stale_ends_it_as_check_does(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text('project: toy\npython: "3.11"\nservices: {}\n')
    error = CliRunner().invoke(slimbake, ["ci", "plan", "--manifest", str(file)]).exception
    assert isinstance(error, StaleFiles)
    assert error.message == "not locked yet: the digests of the base images"


def test_the_child_pipeline_of_gitlab_has_the_jobs_of_the_matrix() -> None:
    parent = {
        "variables": {"REGISTRY": "x"},
        "default": {"before_script": ["install"]},
        "plan": {"script": ["no part of it"]},
        **{f".{job}": {"script": [job]} for job in JOBS_OF_GITLAB},
    }
    gitlab = Ci(provider="gitlab", runners=(("linux/arm64", "arm"),))
    jobs = matrix(fleet((API, JOBS), BOTH, gitlab), ("api", "jobs"), ("jobs",))
    made = json.loads(child(parent, jobs))
    assert [name for name in made if not name.startswith(".")] == [
        *("stages", "variables", "default"),
        *("check (linux_amd64)", "shared (linux_amd64)"),
        *("check (linux_arm64)", "shared (linux_arm64)"),
        *("bake api (linux_amd64)", "bake api (linux_arm64)"),
        *("tag", "summary"),
    ]
    job = made["bake api (linux_arm64)"]
    assert json.loads(job["variables"]["JOB"].pop("value")) == jobs["services"][1]
    assert job == {
        "extends": ".services",
        "variables": {"JOB": {"expand": False}},
        "tags": ["arm"],
        "needs": ["shared (linux_arm64)"],
    }
    assert "tags" not in made["shared (linux_amd64)"]


def test_an_empty_matrix_leaves_a_child_pipeline_with_its_summary() -> None:
    parent: dict[str, object] = {"variables": {}, **{f".{job}": {} for job in JOBS_OF_GITLAB}}
    del parent[".tag"]
    made = json.loads(child(parent, matrix(fleet(()), ())))
    assert [name for name in made if not name.startswith(".")] == ["stages", "variables", "summary"]
    rest = {"shared": [], "unchanged": ""}
    assert json.loads(made["summary"]["variables"]["MATRIX"]["value"]) == rest


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("text", [None, "- a list\n", "a: [", "plan: {}\n"])
def test_a_child_pipeline_needs_the_file_of_its_jobs(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "services.yaml").write_text('project: toy\npython: "3.11"\nservices: {}\n')
    if text is not None:
        (tmp_path / ".gitlab-ci.yml").write_text(text)
    words = (f"--manifest={tmp_path / 'services.yaml'}", f"--gitlab={tmp_path / 'child.yml'}")
    done = CliRunner().invoke(slimbake, ["ci", "plan", *words])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message.startswith(".gitlab-ci.yml cannot be read: ")
    assert not (tmp_path / "child.yml").exists()


@pytest.mark.usefixtures("fresh")
def test_gitlabs_child_pipeline_is_yaml_too(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(
        'project: toy\npython: "3.11"\nci: {provider: gitlab}\nservices: {api: {context: api}}\n'
    )
    where = f"--manifest={tmp_path / 'services.yaml'}"
    for words in (("generate",), ("ci", "plan", f"--gitlab={tmp_path / 'child.yml'}")):
        assert CliRunner().invoke(slimbake, [*words, where]).exit_code == 0
    made = yaml.safe_load((tmp_path / "child.yml").read_text("utf-8"))
    assert made["check (linux_amd64)"]["extends"] == ".check"
