"""What the generated workflow of GitHub Actions says and does."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from tests.workflow.workflows import FORMS, fleet, workflow

from slimbake.errors import UsageError
from slimbake.generated import drift, generate, mend
from slimbake.render import MARK, quoting
from slimbake.render.workflow import PATH

Loaded = dict[str, Any]
forms = pytest.mark.parametrize("form", FORMS)


def loaded(form: str) -> Loaded:
    """The workflow as YAML 1.1 reads it, where the key `on` is true."""
    return dict(yaml.safe_load(workflow(FORMS[form])))


def steps(jobs: Loaded) -> list[Loaded]:
    return [step for job in jobs.values() for step in job["steps"]]


@forms
def test_its_first_line_says_who_made_it(form: str) -> None:
    assert MARK in workflow(FORMS[form]).partition("\n")[0]


@forms
def test_no_expression_stands_in_a_script(form: str) -> None:
    scripts = [step["run"] for step in steps(loaded(form)["jobs"]) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@forms
def test_it_may_read_and_only_jobs_that_push_to_github_may_write_packages(form: str) -> None:
    found = loaded(form)
    assert found["permissions"] == {"contents": "read"}
    writers = {name for name, job in found["jobs"].items() if "permissions" in job}
    assert writers == ({"bases", "services"} if form == "registry-of-github" else set())
    for name in writers:
        assert found["jobs"][name]["permissions"] == {"contents": "read", "packages": "write"}


@forms
def test_every_job_ends_in_time_and_leaves_no_credentials_in_the_checkout(form: str) -> None:
    jobs = loaded(form)["jobs"]
    assert all(isinstance(job["timeout-minutes"], int) for job in jobs.values())
    checkouts = [step for step in steps(jobs) if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(jobs)
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


@forms
def test_actions_are_pinned_to_commits(form: str) -> None:
    used = re.findall(r"uses: (\S+)(.*)", workflow(FORMS[form]))
    assert all(
        re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v\d\S*", note) for action, note in used
    )


def test_a_pull_request_builds_in_one_job_without_the_registry_account() -> None:
    jobs = loaded("registry")["jobs"]
    assert jobs["check"]["if"].startswith("github.event_name == 'pull_request' && ")
    assert jobs["bases"]["if"].startswith("github.event_name != 'pull_request' && ")
    assert jobs["services"]["needs"] == ["plan", "bases"]
    check = json.dumps(jobs["check"])
    assert "login-action" not in check
    assert "--push" not in check
    assert "CACHE_TO" not in check


def test_evidence_is_sampled_where_layers_carry_passes_and_by_nobody_who_may_push() -> None:
    assert "evidence" not in loaded("registry")["jobs"]
    job = loaded("proven")["jobs"]["evidence"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == "slimbake prove --verify --sample 3"
    assert not [step for step in job["steps"] if "login" in step.get("uses", "")]


def test_an_empty_matrix_starts_no_job() -> None:
    jobs = loaded("registry")["jobs"]
    assert all(
        "fromJSON(needs.plan.outputs.matrix).services.include[0] != null" in job["if"]
        for name, job in jobs.items()
        if name != "plan"
    )
    assert jobs["services"]["strategy"]["fail-fast"] is False


def test_without_a_registry_nothing_is_pushed() -> None:
    found = loaded("no-registry")
    assert list(found["jobs"]) == ["plan", "check"]
    assert "pull_request'" not in found["jobs"]["check"]["if"]
    assert set(found["env"]) == {"BUILDX_NO_DEFAULT_ATTESTATIONS"}


OWN_ACCOUNT = ("${{ secrets.REGISTRY_USERNAME }}", "${{ secrets.REGISTRY_PASSWORD }}")
LOGINS = [
    ("registry", "registry.example.com", OWN_ACCOUNT),
    ("registry-of-github", "ghcr.io", ("${{ github.actor }}", "${{ secrets.GITHUB_TOKEN }}")),
    ("registry-on-a-port", "localhost:5000", OWN_ACCOUNT),
    ("docker-hub", None, OWN_ACCOUNT),
]


@pytest.mark.parametrize(("form", "host", "account"), LOGINS)
def test_the_registry_is_logged_in_to_by_its_own_account(form: str, host: str | None, account: tuple[str, str]) -> None:
    jobs = loaded(form)["jobs"]
    found = {
        name: step["with"] for name, job in jobs.items() for step in job["steps"] if "login" in step.get("uses", "")
    }
    expected = {**({"registry": host} if host else {}), "username": account[0], "password": account[1]}
    assert found == {"bases": expected, "services": expected}


def test_build_secrets_reach_the_jobs_that_build_services_and_no_other() -> None:
    jobs = loaded("registry")["jobs"]
    given_to = {
        name: [step["env"].get("INDEX_TOKEN") for step in job["steps"] if "docker buildx bake" in step.get("run", "")]
        for name, job in jobs.items()
    }
    token = "${{ secrets.INDEX_TOKEN }}"  # noqa: S105
    assert given_to == {"plan": [], "check": [token], "bases": [None], "services": [token, token]}


def test_emulation_is_set_up_only_where_another_platform_is_built() -> None:
    assert "setup-qemu-action" not in workflow(FORMS["registry"])
    jobs = loaded("two-platforms")["jobs"]
    assert {n for n, job in jobs.items() if "setup-qemu" in json.dumps(job)} == {"check", "bases", "services"}


def test_caches_of_two_targets_never_collide_and_are_written_by_pushes_alone() -> None:
    found = loaded("registry")
    assert found["env"]["CACHE_FROM"] == "type=registry,ref=registry.example.com/toy/{target}:buildcache"
    writing = [step["run"] for step in steps(found["jobs"]) if "CACHE_TO" in step.get("env", {})]
    assert len(writing) == 2
    assert all("--push" in script for script in writing)


def test_a_name_from_outside_can_neither_break_out_of_the_file_nor_be_evaluated() -> None:
    strange, plain = loaded("strange-file"), loaded("registry")
    said = strange["jobs"]["plan"]["env"].pop("SLIMBAKE_MANIFEST")
    assert said.replace("${{ '${{' }}", "${{") == FORMS["strange-file"].manifest
    plain["jobs"]["plan"]["env"].pop("SLIMBAKE_MANIFEST")
    assert strange == plain


class Runner:
    """Runs a step's script as GitHub does, with stubs of the programs that it calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.output = folder / "output"

    def stub(self, name: str, script: str = "") -> None:
        """A program that notes its arguments, one a line, then does what `script` says."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" {name} "$@" >> {self.calls}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, job: str, step: str, env: dict[str, str]) -> int:
        """Run the step of that name with the workflow's own fixed values and these; its exit code."""
        found = loaded("registry")
        step_ = next(each for each in found["jobs"][job]["steps"] if each.get("name") == step)
        fixed = {**found["env"], **found["jobs"][job].get("env", {}), **step_.get("env", {})}
        self.calls.write_text("")
        self.output.write_text("")
        values = {key: value for key, value in fixed.items() if "${{" not in value}
        paths = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "GITHUB_OUTPUT": str(self.output),
            "RUNNER_TEMP": str(self.folder),
        }
        words = ["bash", "-e", "-c", step_["run"]]
        return subprocess.run(
            words, env={**values, **paths, **env}, cwd=self.folder, capture_output=True, check=False
        ).returncode

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_the_jobs_are_what_slimbake_matrix_says(runner: Runner) -> None:
    said = json.dumps({"bases": ["runtime"], "services": {"include": []}})
    runner.stub("slimbake", f"echo '{said}'")
    assert runner.run("plan", "Decide the jobs", {}) == 0
    assert runner.called() == ["slimbake", "matrix"]
    assert runner.output.read_text() == f"matrix={said}\n"


def test_a_matrix_that_cannot_be_made_ends_the_job(runner: Runner) -> None:
    runner.stub("slimbake", "exit 2")
    assert runner.run("plan", "Decide the jobs", {}) == 2
    assert runner.output.read_text() == ""


def test_slimbake_is_installed_in_the_version_that_made_the_workflow(runner: Runner) -> None:
    runner.stub("pipx")
    assert runner.run("plan", "Install slimbake", {}) == 0
    assert runner.called() == ["pipx", "install", "slimbake==1.2.3"]


def test_a_pull_request_bakes_every_check_at_once(runner: Runner) -> None:
    runner.stub("docker")
    assert runner.run("check", "Build every image and run its smoke", {"CHECKS": "api-smoke jobs"}) == 0
    assert runner.called() == ["docker", "buildx", "bake", "--file", "docker-bake.hcl", "api-smoke", "jobs"]


def test_the_digests_of_what_was_pushed_go_on_to_the_services(runner: Runner) -> None:
    metadata = {
        "runtime": {"containerimage.digest": "sha256:aa", "image.name": "registry.example.com/toy/runtime:1"},
        "base-web": {"containerimage.digest": "sha256:bb", "buildx.build.ref": "x"},
        "buildx.build.warnings": [{"detail": "x"}],
    }
    (runner.folder / "metadata").write_text(json.dumps(metadata, indent=2))
    runner.stub("docker", f"cp {runner.folder}/metadata {runner.folder}/bases.json")
    assert runner.run("bases", "Build and push the bases", {"BASES": "runtime base-web"}) == 0
    assert runner.called() == [
        *("docker", "buildx", "bake", "--file", "docker-bake.hcl", "--push"),
        *("--metadata-file", f"{runner.folder}/bases.json", "runtime", "base-web"),
    ]
    assert runner.output.read_text() == 'digests={"runtime": "sha256:aa", "base-web": "sha256:bb"}\n'


def test_bases_that_do_not_build_end_the_job(runner: Runner) -> None:
    runner.stub("docker", "exit 1")
    assert runner.run("bases", "Build and push the bases", {"BASES": "runtime"}) == 1
    assert runner.output.read_text() == ""


def test_a_service_is_checked_on_the_pushed_bases_and_then_pushed_from_the_same(runner: Runner) -> None:
    runner.stub("docker")
    values = {"SERVICE": "api", "CHECK": "api-smoke", "BASE": "base-web@sha256:bb", "RUNTIME": "runtime@sha256:aa"}
    on = [
        *("--set", "api.contexts.base=docker-image://registry.example.com/toy/base-web@sha256:bb"),
        *("--set", "*.contexts.runtime=docker-image://registry.example.com/toy/runtime@sha256:aa"),
    ]
    bake = ["docker", "buildx", "bake", "--file", "docker-bake.hcl"]
    assert runner.run("services", "Build the image on the pushed base and run its smoke", values) == 0
    assert runner.called() == [*bake, *on, "api-smoke"]
    assert runner.run("services", "Push what was checked", values) == 0
    assert runner.called() == [*bake, "--push", *on, "api"]


def test_slimbakes_own_checkout_installs_itself_and_others_the_version(tmp_path: Path) -> None:
    def tool() -> str:
        text = next(file.text for file in generate(fleet(), tmp_path) if file.path == PATH)
        return str(yaml.safe_load(text)["jobs"]["plan"]["steps"][1]["env"]["SLIMBAKE"])

    assert tool().startswith("slimbake==")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert tool().startswith("slimbake==")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "slimbake"\n')
    assert tool() == "."


def test_an_empty_template_means_no_workflow_and_removes_the_generated_one(tmp_path: Path) -> None:
    mend(drift(generate(fleet(), tmp_path), tmp_path), tmp_path)
    assert (tmp_path / PATH).is_file()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/bake.yml.j2").write_text("")
    found = drift(generate(fleet(), tmp_path), tmp_path)
    assert (found.write, found.remove) == ((), (PATH,))


def test_a_workflow_that_a_person_wrote_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / PATH).parent.mkdir(parents=True)
    (tmp_path / PATH).write_text("name: mine\n")
    with pytest.raises(UsageError) as raised:
        drift(generate(fleet(), tmp_path), tmp_path)
    assert raised.value.message == f"{PATH} is not slimbake's: its first line does not say 'Generated by slimbake'"
    assert raised.value.hint == (
        "move it away, or put an empty templates/bake.yml.j2 beside the manifest: slimbake then generates no workflow"
    )


@given(st.text())
@example("\x00\x7f\x85\xa0\u2028\u2029\ufeff\U0001f600")
@example('": x\n- "')
def test_a_quoted_text_arrives_in_yaml_as_that_text_on_one_line(text: str) -> None:
    quoted = quoting.yaml(text)
    assert yaml.safe_load(f"key: {quoted} # comment\n") == {"key": text}
    assert len(quoted.splitlines()) == 1


@given(st.text(alphabet="${} 'a"))
def test_a_text_in_a_workflow_begins_no_expression_of_its_own(text: str) -> None:
    said = str(yaml.safe_load(quoting.workflow(text)))
    assert "${{" not in said.replace("${{ '${{' }}", "")
    assert said.replace("${{ '${{' }}", "${{") == text


@given(st.text())
def test_a_text_in_a_comment_never_ends_the_line(text: str) -> None:
    assert len(f"# {quoting.comment(text)}".splitlines()) == 1
