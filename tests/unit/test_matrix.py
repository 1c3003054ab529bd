"""`slimbake matrix`: the jobs of a CI matrix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from slimbake.cli import slimbake
from slimbake.errors import UsageError
from slimbake.manifest.model import Base, Manifest, Requirements, Service
from slimbake.matrix import matrix
from slimbake.plan import plan
from slimbake.plan.model import Plan


def fleet(services: tuple[Service, ...]) -> Plan:
    web = Base(name="web", requirements=Requirements(specs=("fastapi",)))
    ml = Base(name="ml", extends="web", requirements=Requirements(specs=("numpy",)))
    return plan(Manifest(file=Path("/services.yaml"), project="toy", python="3.11", bases=(web, ml), services=services))


API = Service(name="api", context="api", base="web", smoke="smoke.py")
MODEL = Service(name="model", context="model", base="ml", smoke="smoke.py", platforms=("linux/amd64", "linux/arm64"))
JOBS = Service(name="jobs", context="jobs")


def test_each_service_has_a_job_with_its_check_and_its_base() -> None:
    assert matrix(fleet((API, MODEL, JOBS)), ("api", "model", "jobs")) == {
        "bases": ["runtime", "base-web", "base-ml"],
        "services": {
            "include": [
                {
                    "service": "api",
                    "check": "api-smoke",
                    "base": "base-web",
                    "repository": "base-web",
                    "platforms": "linux/amd64",
                },
                {
                    "service": "model",
                    "check": "model-smoke",
                    "base": "base-ml",
                    "repository": "base-ml",
                    "platforms": "linux/amd64,linux/arm64",
                },
                {
                    "service": "jobs",
                    "check": "jobs",
                    "base": "runtime",
                    "repository": "runtime",
                    "platforms": "linux/amd64",
                },
            ]
        },
    }


def test_only_the_bases_that_the_selected_services_need_are_built() -> None:
    found = matrix(fleet((API, MODEL, JOBS)), ("api",))
    assert found["bases"] == ["runtime", "base-web"]
    assert [job["service"] for job in found["services"]["include"]] == ["api"]


def test_no_services_give_empty_lists() -> None:
    assert matrix(fleet(()), ()) == {"bases": [], "services": {"include": []}}


def test_more_jobs_than_github_takes_are_refused() -> None:
    services = tuple(Service(name=f"s{number}", context="s") for number in range(257))
    names = tuple(service.name for service in services)
    assert len(matrix(fleet(services), names[:256])["services"]["include"]) == 256
    with pytest.raises(UsageError, match="257 services, and one matrix holds 256 jobs at most"):
        matrix(fleet(services), names)


def test_the_command_prints_one_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    file = tmp_path / "services.yaml"
    head = 'project: toy\npython: "3.11"\n'
    file.write_text(f"{head}services:\n  api:\n    context: api\n")
    done = CliRunner().invoke(slimbake, ["matrix", "--manifest", str(file)])
    assert done.exit_code == 0, done.output
    job = {"service": "api", "check": "api", "base": "runtime", "repository": "runtime", "platforms": "linux/amd64"}
    assert json.loads(done.stdout) == {"bases": ["runtime"], "services": {"include": [job]}}
    assert done.stdout.count("\n") == 1

    file.write_text(f"{head}services: {{}}\n")
    done = CliRunner().invoke(slimbake, ["matrix", "--manifest", str(file)])
    assert json.loads(done.stdout) == {"bases": [], "services": {"include": []}}
