"""What the generated pipelines of GitHub and GitLab say and do."""

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
from tests.workflow.workflows import FORMS, GITLAB_FORMS, GRYPE, UPGRADES, fleet, workflow

from slimbake.ci.summary import MARK as MARK_OF_COMMENT
from slimbake.config.model import Ci
from slimbake.errors import UsageError
from slimbake.render import MARK, quoting
from slimbake.render.generated import drift, generate, repair
from slimbake.render.workflow import GITHUB, GITLAB, UPGRADE

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
def test_it_may_read_and_only_jobs_that_push_to_github_or_comment_may_write(form: str) -> None:
    found = loaded(form)
    assert found["permissions"] == {"contents": "read"}
    given = {
        name: job["permissions"] for name, job in found["jobs"].items() if "permissions" in job
    }
    assert given.pop("comment") == {"pull-requests": "write"}
    write = {"contents": "read", "packages": "write"}
    pushing = {"bases": write, "services": write, "unchanged": write}
    own = 'registry: "ghcr.io"' in workflow(FORMS[form])
    packages = {"packages": "write"} if own else {}
    signing = {"signed": ["id-token"], "attested": ["attestations", "id-token"]}
    rights = signing.get(form.partition("-")[0], [])
    assert given.pop("sign", {}) == (
        {**dict.fromkeys(rights, "write"), **packages} if rights else {}
    )
    read = {"contents": "read", "packages": "read"}
    expected = {"plan": read, **({"released": read} if rights else {}), **pushing} if own else {}
    assert given == expected


@forms
def test_every_job_ends_in_time_and_leaves_no_credentials_in_the_checkout(form: str) -> None:
    jobs = loaded(form)["jobs"]
    assert all(isinstance(job["timeout-minutes"], int) for job in jobs.values())
    checkouts = [
        step for step in steps(jobs) if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    without = {
        name
        for name, job in jobs.items()
        if not any("checkout@" in s.get("uses", "") for s in job["steps"])
    }
    # They run nothing of the repository, and need none of it.
    assert without == {"comment"} | {"merge", "sign"} & set(jobs)


@forms
def test_actions_are_pinned_to_commits(form: str) -> None:
    used = re.findall(r"uses: (\S+)(.*)", workflow(FORMS[form]))
    assert all(
        re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v\d\S*", note)
        for action, note in used
    )


def test_a_pull_request_builds_in_one_job_without_the_registry_account() -> None:
    jobs = loaded("registry")["jobs"]
    assert jobs["check"]["if"].startswith("github.event_name == 'pull_request' && ")
    assert jobs["bases"]["if"].startswith("github.event_name != 'pull_request' && ")
    assert jobs["unchanged"]["if"].startswith("github.event_name != 'pull_request' && ")
    assert jobs["services"]["needs"] == ["plan", "bases"]
    check = json.dumps(jobs["check"])
    assert "login-action" not in check
    assert "--push" not in check
    assert "CACHE_TO" not in check
    [login] = [step for step in jobs["plan"]["steps"] if "login" in step.get("uses", "")]
    assert login["if"] == "github.event_name != 'pull_request'"


def test_the_job_that_may_write_to_a_pull_request_runs_nothing_of_it_and_none_of_a_fork() -> None:
    job = loaded("registry")["jobs"]["comment"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    [download, comment] = job["steps"]
    assert download["uses"].startswith("actions/download-artifact@")
    assert MARK_OF_COMMENT in comment["run"]


def test_an_empty_matrix_starts_no_job() -> None:
    jobs = loaded("registry")["jobs"]
    guards = {"check": "bases", "bases": "bases", "services": "services"}
    for name, wave in guards.items():
        assert f"fromJSON(needs.plan.outputs.matrix).{wave}.include[0] != null" in jobs[name]["if"]
        assert jobs[name]["strategy"]["fail-fast"] is False
    assert jobs["unchanged"]["if"].endswith("fromJSON(needs.plan.outputs.matrix).unchanged != ''")


@forms
def test_a_stale_lock_ends_the_plan_before_it_decides_any_job(form: str) -> None:
    scripts = [step.get("run", "") for step in loaded(form)["jobs"]["plan"]["steps"]]
    [check] = [at for at, script in enumerate(scripts) if script == "slimbake check"]
    [decides] = [at for at, script in enumerate(scripts) if "slimbake ci plan" in script]
    assert check < decides


@pytest.mark.parametrize("form", GITLAB_FORMS)
def test_a_stale_lock_ends_gitlabs_plan_too(form: str) -> None:
    assert gitlab(form)["plan"]["script"][0] == "slimbake check"


def test_without_a_registry_nothing_is_pushed() -> None:
    found = loaded("no-registry")
    assert list(found["jobs"]) == ["plan", "check", "summary", "comment"]
    assert "pull_request'" not in found["jobs"]["check"]["if"]
    assert set(found["env"]) == {"BUILDX_NO_DEFAULT_ATTESTATIONS", "SLIMBAKE_MANIFEST"}
    assert "CACHE" not in json.dumps(found)


OWN_ACCOUNT = ("${{ secrets.REGISTRY_USERNAME }}", "${{ secrets.REGISTRY_PASSWORD }}")
LOGINS = [
    ("registry", "registry.example.com", OWN_ACCOUNT),
    ("registry-of-github", "ghcr.io", ("${{ github.actor }}", "${{ secrets.GITHUB_TOKEN }}")),
    ("registry-on-a-port", "localhost:5000", OWN_ACCOUNT),
    ("docker-hub", None, OWN_ACCOUNT),
]


@pytest.mark.parametrize(("form", "host", "account"), LOGINS)
def test_the_registry_is_logged_in_to_by_its_own_account(
    form: str, host: str | None, account: tuple[str, str]
) -> None:
    jobs = loaded(form)["jobs"]
    found = {
        name: step["with"]
        for name, job in jobs.items()
        for step in job["steps"]
        if "login" in step.get("uses", "")
    }
    expected = {
        **({"registry": host} if host else {}),
        "username": account[0],
        "password": account[1],
    }
    assert found == dict.fromkeys(("plan", "bases", "services", "unchanged"), expected)


def test_build_secrets_reach_the_jobs_that_build_services_and_no_other() -> None:
    jobs = loaded("registry")["jobs"]
    given_to = {name for name, job in jobs.items() if "secrets.INDEX_TOKEN" in json.dumps(job)}
    assert given_to == {"check", "services", "unchanged"}
    for name in given_to:
        [step] = [step for step in jobs[name]["steps"] if "secrets.INDEX_TOKEN" in json.dumps(step)]
        assert step["run"].splitlines()[1].startswith(("slimbake bake ", "slimbake ci job "))


def test_jobs_that_release_services_have_a_scanner_where_the_manifest_asks_for_scans() -> None:
    assert "grype" not in workflow(FORMS["registry"])
    assert "grype" not in workflow(GITLAB_FORMS["registry"])
    jobs = loaded("scanned")["jobs"]
    having = {name for name, job in jobs.items() if "download-grype" in json.dumps(job)}
    assert having == {"check", "services", "unchanged"}
    made = yaml.safe_load(workflow(GITLAB_FORMS["scanned"]))
    having = {
        name for name, job in made.items() if "apk add --quiet --no-cache grype" in json.dumps(job)
    }
    assert having == {".check", ".services", ".unchanged"}
    asked = Ci(upgrade="17 4 * * 1")
    upgrade = workflow(fleet(ci=asked, scan=GRYPE), path=UPGRADE)
    assert "grype" not in upgrade, "what is still to be fixed must not stop what is"


def test_the_scanner_of_the_manifest_is_installed() -> None:
    github = workflow(FORMS["scanned-by-trivy"])
    assert "aquasecurity/setup-trivy@" in github and "grype" not in github
    gitlab = workflow(GITLAB_FORMS["scanned-by-trivy"])
    assert "apk add --quiet --no-cache trivy" in gitlab and "grype" not in gitlab


def test_what_was_released_is_signed_by_a_job_that_runs_nothing_of_it() -> None:
    for form in ("signed", "attested"):
        jobs = loaded(form)["jobs"]
        assert jobs["released"]["needs"] == ["plan", "services", "unchanged"]
        assert "github.event_name != 'pull_request'" in jobs["released"]["if"]
        assert "!failure()" in jobs["released"]["if"]
        assert jobs["sign"]["needs"] == "released"
        assert "slimbake" not in json.dumps(jobs["sign"])
    jobs = loaded("signed-elsewhere")["jobs"]
    assert jobs["released"]["needs"] == ["plan", "services", "merge"]
    for form in set(FORMS) - {"signed", "signed-elsewhere", "attested", "attested-elsewhere"}:
        text = workflow(FORMS[form])
        assert "id-token" not in text
        assert "attestations" not in text
    (sign,) = (name for name in yaml.safe_load(workflow(GITLAB_FORMS["signed"])) if name == "sign")
    job = yaml.safe_load(workflow(GITLAB_FORMS["signed"]))[sign]
    assert job["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}
    assert job["rules"][0]["when"] == "never", "not for a merge request"
    assert "id_tokens" not in workflow(GITLAB_FORMS["registry"])


def test_an_image_counts_as_signed_only_if_this_pipeline_signed_it_on_this_branch_or_tag() -> None:
    github = loaded("signed")["jobs"]["sign"]["steps"][-1]["run"]
    assert '--certificate-identity "$GITHUB_SERVER_URL/$GITHUB_WORKFLOW_REF"' in github
    assert '--certificate-oidc-issuer "https://token.actions.githubusercontent.com"' in github
    gitlab = yaml.safe_load(workflow(GITLAB_FORMS["signed"]))["sign"]["script"][-1]
    [line] = [line for line in gitlab.splitlines() if line.startswith("set -- ")]
    project = {"CI_PROJECT_URL": "https://g/a/b", "CI_SERVER_URL": "https://g"}
    for kind, value in (("heads", "CI_COMMIT_BRANCH"), ("tags", "CI_COMMIT_TAG")):
        words = subprocess.check_output(
            ["sh", "-c", f'{line}; printf "%s\\n" "$@"'],
            env={**project, value: "v1", "CI_COMMIT_REF_NAME": "v1"},
            text=True,
        ).split()
        assert words == [
            *("--certificate-identity", f"https://g/a/b//.gitlab-ci.yml@refs/{kind}/v1"),
            *("--certificate-oidc-issuer", "https://g"),
        ]


def test_provenance_and_sboms_are_attested_by_digest() -> None:
    job = loaded("attested")["jobs"]["sign"]
    provenance, sbom = (s for s in job["steps"] if s.get("uses", "").startswith("actions/attest@"))
    for step in (provenance, sbom):
        assert step["with"]["subject-name"] == "${{ matrix.released.repository }}"
        assert step["with"]["subject-digest"] == "${{ matrix.released.digest }}"
        assert step["with"]["push-to-registry"] is True
    assert "sbom-path" not in provenance["with"]
    assert sbom["with"]["sbom-path"].endswith("/released/${{ matrix.released.sbom }}")
    assert sbom["if"].endswith("matrix.released.sbom != ''")


def test_emulation_is_set_up_only_where_another_platform_is_built_than_the_runners() -> None:
    for form in ("registry", "native-runners"):
        assert "setup-qemu-action" not in workflow(FORMS[form])
    jobs = loaded("two-platforms")["jobs"]
    emulating = {n for n, job in jobs.items() if "setup-qemu" in json.dumps(job)}
    assert emulating == {"check", "bases", "services", "unchanged"}


def test_each_lane_has_tags_and_a_platform_of_its_own_and_the_images_are_merged() -> None:
    assert "merge" not in loaded("registry")["jobs"]
    jobs = loaded("native-runners")["jobs"]
    for name in ("bases", "services"):
        assert jobs[name]["env"]["TAG"].endswith("-${{ matrix.lane }}")
        assert jobs[name]["env"]["PLATFORM"] == "${{ matrix.platform }}"
    assert jobs["merge"]["needs"] == ["plan", "services"]
    # Fingerprints are of one lane: each job asks for its own.
    decide = next(step for step in jobs["plan"]["steps"] if step.get("id") == "matrix")
    assert "--missing" not in decide["run"]


CACHES = [
    (
        "registry",
        "type=registry,ref=registry.example.com/toy/{target}:buildcache.${{ matrix.lane }}",
    ),
    ("cache-of-github", "type=gha,scope=toy.{target}.${{ matrix.lane }}"),
    ("no-cache", None),
    ("no-registry", None),
]


@pytest.mark.parametrize(("form", "spec"), CACHES)
def test_caches_have_a_scope_for_each_target_and_lane_and_are_written_by_pushes_alone(
    form: str, spec: str | None
) -> None:
    jobs = loaded(form)["jobs"]
    reading = {
        name: job["env"]["CACHE_FROM"]
        for name, job in jobs.items()
        if "CACHE_FROM" in job.get("env", {})
    }
    writing = {
        name: step["env"]["CACHE_TO"]
        for name, job in jobs.items()
        for step in job["steps"]
        if "CACHE_TO" in step.get("env", {})
    }
    assert reading == ({} if spec is None else dict.fromkeys(("check", "bases", "services"), spec))
    assert set(writing) == (set() if spec is None else {"bases", "services"})
    assert all(each.startswith(f"{spec},mode=max") for each in writing.values())
    runtime = {name for name, job in jobs.items() if "ghaction-github-runtime" in json.dumps(job)}
    assert runtime == ({"check", "bases", "services"} if form == "cache-of-github" else set())


def test_a_name_from_outside_can_neither_break_out_of_the_file_nor_be_evaluated() -> None:
    strange, plain = loaded("strange-file"), loaded("registry")
    said = strange["env"].pop("SLIMBAKE_MANIFEST")
    assert said.replace("${{ '${{' }}", "${{") == FORMS["strange-file"].manifest
    plain["env"].pop("SLIMBAKE_MANIFEST")
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

    def run(
        self,
        job: str,
        step: str,
        env: dict[str, str],
        form: str = "registry",
        of: Loaded | None = None,
    ) -> int:
        """Run the step of that name with the workflow's own fixed values and these; its exit code."""
        found = of or loaded(form)
        step_ = next(each for each in found["jobs"][job]["steps"] if each.get("name") == step)
        fixed = {
            **found.get("env", {}),
            **found["jobs"][job].get("env", {}),
            **step_.get("env", {}),
        }
        self.calls.write_text("")
        self.output.write_text("")
        values = {key: value for key, value in fixed.items() if "${{" not in value}
        paths = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.folder / "said"),
            "GITHUB_REPOSITORY": "someone/toy",
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


DECISIONS = [
    ("registry", "", ["--missing"]),
    ("registry", "abc", ["--since", "abc"]),
    ("native-runners", "", []),
    ("no-registry", "abc", ["--since", "abc"]),
]


@pytest.mark.parametrize(("form", "since", "words"), DECISIONS)
def test_the_jobs_are_what_slimbake_matrix_says(
    runner: Runner, form: str, since: str, words: list[str]
) -> None:
    said = json.dumps({"bases": {"include": []}})
    runner.stub("slimbake", f"echo '{said}'")
    assert runner.run("plan", "Decide the jobs", {"SINCE": since}, form) == 0
    assert runner.called() == ["slimbake", "ci", "plan", *words]
    assert runner.output.read_text() == f"matrix={said}\n"
    assert (runner.folder / "matrix.json").read_text() == f"{said}\n"


def test_a_matrix_that_cannot_be_made_ends_the_job(runner: Runner) -> None:
    runner.stub("slimbake", "exit 2")
    assert runner.run("plan", "Decide the jobs", {"SINCE": ""}) == 2
    assert runner.output.read_text() == ""


INSTALLER = re.compile(r"\b(?:pip3? +(?:--\S+ +)*install|pipx|uvx?|npm|npx|curl|go install)\b")
REPOSITORY = Path(__file__).parents[2]
OWN = {
    file.name: file.read_text("utf-8")
    for file in sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
}
UPGRADING_FORMS = {name: workflow(plan, path=UPGRADE) for name, plan in UPGRADES.items()}
EVERY = {
    **{f"github-{name}": workflow(plan) for name, plan in FORMS.items()},
    **{f"gitlab-{name}": workflow(plan) for name, plan in GITLAB_FORMS.items()},
    **{f"upgrade-{name}": text for name, text in UPGRADING_FORMS.items()},
    **{f"own-{name}": text for name, text in OWN.items()},
}


def unpinned(text: str) -> list[str]:
    """What a pipeline would run of an action, image or package that another could change."""
    images = r"^\s*image: ['\"]?([^\s'\"]+)|services: \[['\"]([^'\"]+)|docker run (?:--\S+ )*(\S+)"
    used = [each for found in re.findall(images, text, re.M) for each in found if each]
    actions = re.findall(r"uses: ([^.\s]\S*)", text)
    installs = [line.strip() for line in text.splitlines() if INSTALLER.search(line)]
    return [
        *(image for image in used if not re.search(r"@sha256:[0-9a-f]{64}$", image)),
        *(action for action in actions if not re.search(r"@[0-9a-f]{40}$", action)),
        *(line for line in installs if not re.search(r"--require-hashes|--no-index", line)),
    ]


@pytest.mark.parametrize("form", EVERY)
def test_no_pipeline_runs_what_is_not_pinned(form: str) -> None:
    assert unpinned(EVERY[form]) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("--require-hashes", "--upgrade"),
        ("python3 -m venv /opt/slimbake", "pipx install slimbake"),
        ("docker:29-dind@sha256", "docker:29-dind #"),
        ("docker:29-cli@sha256", "docker:29-cli #"),
    ],
)
def test_what_is_not_pinned_is_found(good: str, bad: str) -> None:
    text = EVERY["gitlab-registry"]
    assert good in text
    assert unpinned(text.replace(good, bad))


UPGRADING = "Upgrade, then build and check everything"
PROPOSING = "Open a pull request, or bring the open one up to date"


def upgrade(form: str) -> Loaded:
    return dict(yaml.safe_load(workflow(UPGRADES[form], path=UPGRADE)))


def test_only_the_job_that_opens_the_pull_request_may_write_and_it_runs_nothing_new() -> None:
    for form in UPGRADES:
        found = upgrade(form)
        assert found["permissions"] == {"contents": "read"}
        text = workflow(UPGRADES[form], path=UPGRADE)
        assert '  schedule:\n    - cron: "17 4 * * 1"\n' in text
        may = {name: job.get("permissions") for name, job in found["jobs"].items()}
        writes = {"contents": "write", "pull-requests": "write"}
        assert may == {"upgrade": None, "propose": writes}
        assert "slimbake" not in found["jobs"]["propose"]["steps"][-1]["run"].replace(
            "slimbake/", ""
        )


@pytest.mark.parametrize("form", UPGRADES)
def test_an_upgrade_builds_every_service_and_leaves_what_it_changed(
    runner: Runner, form: str
) -> None:
    def git(*words: str) -> str:
        return subprocess.check_output(("git", *words), cwd=runner.folder, text=True)

    git("init", "--quiet")
    (runner.folder / ".gitignore").write_text("*\n!bake\n!bake/**\n")
    (runner.folder / "bake").mkdir()
    jobs = json.dumps({"services": {"include": [{"services": "jobs api"}, {"services": "api"}]}})
    runner.stub(
        "slimbake",
        f"case $* in 'ci plan'*) echo '{jobs}';; lock*) echo new > bake/lock;; 'ci summary'*) echo '## Sizes';; esac",
    )
    assert runner.run("upgrade", UPGRADING, {}, of=upgrade(form)) == 0
    said = runner.called()
    at = said.index("bake")
    record = f"{runner.folder}/record.json"
    assert said[at : at + 5] == ["bake", "--record", record, "api", "jobs"]
    assert "+new" in (runner.folder / "upgrade.patch").read_text()
    assert (runner.folder / "said").read_text() == "## Sizes\n"


@pytest.mark.parametrize(("open_", "verb"), [("", "create"), ("7", "edit")])
def test_an_upgrade_is_proposed_once_and_nothing_where_all_is_new(
    runner: Runner, open_: str, verb: str
) -> None:
    runner.stub("git")
    runner.stub("gh", f"[ $2 != list ] || echo '{open_}'")
    patch = runner.folder / "upgrade.patch"
    patch.write_text("")
    assert runner.run("propose", PROPOSING, {}, of=upgrade("registry")) == 0
    assert runner.called() == []
    patch.write_text("a patch")
    assert runner.run("propose", PROPOSING, {}, of=upgrade("registry")) == 0
    said = runner.called()
    pushed = ["push", "--force", "origin", "HEAD:refs/heads/slimbake/upgrade"]
    assert said[said.index("push") :][:4] == pushed
    assert (verb in said) and ({"create", "edit"} - {verb}).isdisjoint(said)


BUILDS = [
    (
        "check",
        "Build what has changed and run its smokes",
        ["bake", "--frozen", "--keep-going", "--record", "T/record.json"],
    ),
    (
        "bases",
        "Build and push what is missing of bases and exported models",
        ["ci", "shared", "--digests", "T/bases.json", "--record", "T/record.json"],
    ),
    (
        "services",
        "Build on what was pushed, check, and push what passes",
        ["ci", "job", "--shared", "T/bases.json", "--record", "T/record.json"],
    ),
    ("unchanged", "Tag what is unchanged", ["ci", "job"]),
]


@pytest.mark.parametrize(("job", "step", "words"), BUILDS)
def test_a_job_builds_its_services_with_one_command_and_ends_as_that_does(
    runner: Runner, job: str, step: str, words: list[str]
) -> None:
    runner.stub("slimbake", "exit 6")
    assert runner.run(job, step, {"SERVICES": "api jobs"}) == 6
    expected = [word.replace("T/", f"{runner.folder}/") for word in words]
    assert runner.called() == ["slimbake", *expected, "api", "jobs"]


@pytest.mark.parametrize(("job", "step", "words"), BUILDS[:3])
def test_with_several_lanes_a_job_builds_for_its_own_platform(
    runner: Runner, job: str, step: str, words: list[str]
) -> None:
    runner.stub("slimbake")
    assert (
        runner.run(job, step, {"SERVICES": "api", "PLATFORM": "linux/arm64"}, "native-runners") == 0
    )
    called = runner.called()
    assert called[called.index("--platform") + 1] == "linux/arm64"


MERGE = {"MERGES": "api/linux_amd64,linux_arm64/ model/linux_arm64/-cuda", "TAG": "v1"}
AT = "registry.example.com/toy"
CREATE = ("docker", "buildx", "imagetools", "create", "--tag")
MERGED = [
    *(*CREATE, f"{AT}/api:v1", f"{AT}/api:v1-linux_amd64", f"{AT}/api:v1-linux_arm64"),
    *(*CREATE, f"{AT}/model:v1-cuda", f"{AT}/model:v1-linux_arm64-cuda"),
]


def test_images_of_all_lanes_come_under_one_tag(runner: Runner) -> None:
    runner.stub("docker")
    step = "Put the images of each service under one tag"
    assert runner.run("merge", step, MERGE, "native-runners") == 0
    assert runner.called() == MERGED
    assert in_gitlab(runner, ".merge", MERGE, "native-runners") == 0
    assert runner.called() == MERGED


def test_the_summary_goes_to_the_run_and_to_the_next_job(runner: Runner) -> None:
    runner.stub("slimbake", "echo '## Images'")
    assert runner.run("summary", "Say what was built", {}) == 0
    plan = f"{runner.folder}/matrix.json"
    records = f"{runner.folder}/records"
    assert runner.called() == ["slimbake", "ci", "summary", "--plan", plan, records]
    for name in ("said", "summary.md"):
        assert (runner.folder / name).read_text() == "## Images\n"


@pytest.mark.parametrize(
    ("there", "method", "place"),
    [
        ("", "POST", "repos/someone/toy/issues/7/comments"),
        ("12\\n34", "PATCH", "repos/someone/toy/issues/comments/12"),
    ],
)
def test_one_comment_is_written_and_then_brought_up_to_date(
    runner: Runner, there: str, method: str, place: str
) -> None:
    runner.stub("gh", f"case $* in *--paginate*) printf '{there}' ;; esac")
    assert runner.run("comment", "Write the comment, or bring it up to date", {"NUMBER": "7"}) == 0
    called = runner.called()
    last = called[len(called) - called[::-1].index("gh") :]
    assert last[last.index("--method") + 1] == method
    assert place in last
    assert last[-2:] == ["--field", f"body=@{runner.folder}/summary.md"]


def gitlab(form: str) -> Loaded:
    return dict(yaml.safe_load(workflow(GITLAB_FORMS[form])))


@pytest.mark.parametrize("form", GITLAB_FORMS)
def test_a_merge_request_of_gitlab_is_built_by_jobs_that_neither_log_in_nor_push(form: str) -> None:
    found = gitlab(form)
    assert MARK in workflow(GITLAB_FORMS[form]).partition("\n")[0]
    check = json.dumps(found[".check"])
    assert "docker login" not in check
    assert "--push" not in check
    assert "CACHE_TO" not in check
    pushing = {".bases", ".services", ".unchanged", ".merge"} & found.keys()
    for name in pushing:
        assert found[name]["rules"][0] == {"if": "$CI_MERGE_REQUEST_ID", "when": "never"}
    assert bool(pushing) == (".bases" in found) == (form != "no-registry")
    assert (".merge" in found) == (form in ("native-runners", "signed-in-lanes"))


def in_gitlab(runner: Runner, job: str, env: dict[str, str], form: str = "registry") -> int:
    """Run a job's script as GitLab's runner does, in the shell of its image, with stubs."""
    found = gitlab(form)
    said = {**found["variables"], **found[job].get("variables", {})}
    values = {
        name: value["value"] if isinstance(value, dict) else value for name, value in said.items()
    }
    (runner.folder / ".slimbake/records").mkdir(parents=True, exist_ok=True)
    runner.calls.write_text("")
    script = "\n".join(found[job]["script"])
    paths = {"PATH": f"{runner.folder}/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-e", "-c", script],
        env={**values, **paths, **env},
        cwd=runner.folder,
        capture_output=True,
        check=False,
    ).returncode


GITLAB_DECISIONS = [
    ("registry", {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc"}, ["--since", "abc"]),
    ("registry", {}, ["--missing"]),
    ("native-runners", {}, []),
    ("no-registry", {"CI_COMMIT_BEFORE_SHA": "def"}, ["--since", "def"]),
]


@pytest.mark.parametrize(("form", "env", "words"), GITLAB_DECISIONS)
def test_gitlabs_plan_decides_as_githubs_does(
    runner: Runner, form: str, env: dict[str, str], words: list[str]
) -> None:
    for name, script in (("slimbake", "echo said"), ("docker", ""), ("wget", "exit 8")):
        runner.stub(name, script)
    assert in_gitlab(runner, "plan", env, form) == 0
    called = runner.called()
    assert called[called.index("ci") :] == ["ci", "plan", *words, "--gitlab", ".slimbake/child.yml"]
    assert ("login" in called) == (words == ["--missing"])
    assert (runner.folder / ".slimbake/matrix.json").read_text() == "said\n"


GITLAB_BUILDS = [
    (".check", ["bake", "--frozen", "--keep-going", "--record", ".slimbake/records/7.json"]),
    (
        ".bases",
        [
            *("ci", "shared", "--digests", ".slimbake/bases.json"),
            *("--record", ".slimbake/records/bases-linux_amd64.json"),
        ],
    ),
    (
        ".services",
        [
            *("ci", "job"),
            *("--shared", ".slimbake/bases.json", "--record", ".slimbake/records/7.json"),
        ],
    ),
    (".unchanged", ["ci", "job"]),
]


@pytest.mark.parametrize(("job", "words"), GITLAB_BUILDS)
def test_gitlabs_jobs_run_the_same_commands(runner: Runner, job: str, words: list[str]) -> None:
    runner.stub("slimbake", "exit 6")
    values = {"SERVICES": "api jobs", "RECORD": "7", "LANE": "linux_amd64"}
    assert in_gitlab(runner, job, values) == 6
    assert runner.called() == ["slimbake", *words, "api", "jobs"]


def test_gitlabs_summary_reads_the_matrix_of_its_variable(runner: Runner) -> None:
    runner.stub("slimbake", "echo '## Images'")
    runner.stub("wget", "exit 8")
    matrix = '{"unchanged":"a \'b\' $c"}'
    assert in_gitlab(runner, ".summary", {"MATRIX": matrix}) == 0
    assert (runner.folder / ".slimbake/matrix.json").read_text() == matrix
    assert (runner.folder / "summary.md").read_text() == "## Images\n"


def test_gitlab_expands_no_variable_in_a_name_from_outside() -> None:
    found = gitlab("strange-file")["variables"]["SLIMBAKE_MANIFEST"]
    assert found == {"value": GITLAB_FORMS["strange-file"].manifest, "expand": False}


def test_slimbakes_own_checkout_installs_itself_and_others_what_is_locked(tmp_path: Path) -> None:
    def installs() -> list[str]:
        text = next(file.text for file in generate(fleet(), tmp_path) if file.path == GITHUB)
        script: str = yaml.safe_load(text)["jobs"]["plan"]["steps"][1]["run"]
        return [line.partition(" install ")[2] for line in script.splitlines()[1:-1]]

    locked = "--quiet --only-binary :all: --require-hashes --requirement "
    assert installs() == [f"{locked}bake/slimbake.txt"]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert installs() == [f"{locked}bake/slimbake.txt"]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "slimbake"\n')
    assert installs() == [
        f"{locked}requirements/runtime.txt --requirement requirements/build.txt",
        "--quiet --no-index --no-deps --no-build-isolation .",
    ]


def test_an_empty_template_means_no_workflow_and_removes_the_generated_one(tmp_path: Path) -> None:
    repair(drift(generate(fleet(), tmp_path), tmp_path), tmp_path)
    assert (tmp_path / GITHUB).is_file()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/bake.yml.j2").write_text("")
    found = drift(generate(fleet(), tmp_path), tmp_path)
    assert (found.write, found.remove) == ((), (GITHUB,))


def test_a_workflow_that_a_person_wrote_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / GITHUB).parent.mkdir(parents=True)
    (tmp_path / GITHUB).write_text("name: mine\n")
    with pytest.raises(UsageError) as raised:
        drift(generate(fleet(), tmp_path), tmp_path)
    assert (
        raised.value.message
        == f"{GITHUB} is not slimbake's: its first line does not say 'Generated by slimbake'"
    )
    assert (
        raised.value.hint
        == "move it away, or remove `ci:` from the manifest: slimbake then generates no pipeline"
    )


@pytest.mark.parametrize(
    ("ci", "left"), [(None, set()), (Ci(provider="none"), set()), (Ci(provider="gitlab"), {GITLAB})]
)
def test_another_provider_has_another_file_and_removes_that_of_the_last(
    tmp_path: Path, ci: Ci | None, left: set[str]
) -> None:
    repair(drift(generate(fleet(), tmp_path), tmp_path), tmp_path)
    repair(drift(generate(fleet(ci=ci), tmp_path), tmp_path), tmp_path)
    assert {path for path in (GITHUB, GITLAB) if (tmp_path / path).exists()} == left


@given(st.text())
@example("\x00\x7f\x85\xa0\u2028\u2029\ufeff\U0001f600")
@example('": x\n- "')
def test_a_quoted_text_arrives_in_yaml_as_that_text_on_one_line(text: str) -> None:
    quoted = quoting.yaml(text)
    assert yaml.safe_load(f"key: {quoted} # comment\n") == {"key": text}
    assert len(quoted.splitlines()) == 1


@given(st.text(alphabet="${} 'a"))
def test_a_text_in_a_workflow_begins_no_expression_of_its_own(text: str) -> None:
    said = str(yaml.safe_load(quoting.workflow_text(text)))
    assert "${{" not in said.replace("${{ '${{' }}", "x")
    assert said.replace("${{ '${{' }}", "${{") == text


@given(st.text())
def test_a_text_in_a_comment_never_ends_the_line(text: str) -> None:
    assert len(f"# {quoting.comment(text)}".splitlines()) == 1
