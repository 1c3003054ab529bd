"""What the generated pipelines of GitHub and GitLab say and do."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from tests.commits import commit, git
from tests.ran import ran
from tests.workflow.workflows import FORMS, GITLAB_FORMS, GRYPE, UPGRADES, fleet, workflow

from slimbake.ci.summary import MARK as MARK_OF_COMMENT
from slimbake.config.model import Ci
from slimbake.errors import UsageError
from slimbake.render import MARK, quoting
from slimbake.render.generated import drift, laid_out, update
from slimbake.render.workflow import ACTION, ACTION_FOLDER, GITHUB, GITLAB, UPGRADE

Loaded = dict[str, Any]
forms = pytest.mark.parametrize("form", FORMS)
DECIDING = "Check the files, and decide the jobs"


def loaded(form: str) -> Loaded:
    """The workflow as YAML 1.1 reads it, where the key `on` is true."""
    return dict(yaml.safe_load(workflow(FORMS[form])))


def steps(jobs: Loaded) -> list[Loaded]:
    return [step for job in jobs.values() for step in job["steps"]]


@forms
def test_no_expression_stands_in_a_script(form: str) -> None:
    scripts = [step["run"] for step in steps(loaded(form)["jobs"]) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@forms
def test_it_may_read_and_only_jobs_that_push_to_github_or_comment_may_write(form: str) -> None:
    found = loaded(form)
    assert found["permissions"] == {"contents": "read"}
    jobs = found["jobs"].items()
    given = {name: job["permissions"] for name, job in jobs if "permissions" in job}
    assert given.pop("comment") == {"pull-requests": "write"}
    assert given.pop("commit") == {"actions": "read", "checks": "write", "contents": "write"}
    write = {"contents": "read", "packages": "write"}
    own = FORMS[form].registry.startswith("ghcr.io")
    packages = {"packages": "write"} if own else {}
    signing = {"signed": ["id-token"], "attested": ["attestations", "id-token"]}
    rights = signing.get(form.partition("-")[0], [])
    signs = {**dict.fromkeys(rights, "write"), **packages} if rights else {}
    assert given.pop("sign", {}) == signs
    read = {"contents": "read", "packages": "read"}
    pushing = dict.fromkeys(("shared", "services", "tag"), write)
    assert given == ({"plan": read, **pushing} if own else {})


@forms
def test_every_job_ends_in_time_and_leaves_no_credentials_in_the_checkout(form: str) -> None:
    jobs = loaded(form)["jobs"]
    assert all(isinstance(job["timeout-minutes"], int) for job in jobs.values())
    checkouts = [step for step in steps(jobs) if "checkout@" in step.get("uses", "")]
    assert {step["with"]["persist-credentials"] for step in checkouts} == {False}
    without = {name for name, job in jobs.items() if "checkout@" not in json.dumps(job)}
    # They run nothing of the repository, and need none of it.
    assert without == {"comment"} | {"sign"} & set(jobs)
    local = {name for name, job in jobs.items() if f"./{ACTION_FOLDER}" in json.dumps(job)}
    assert local == set(jobs) - without - {"commit"}


@forms
def test_actions_are_pinned_to_commits(form: str) -> None:
    text = workflow(FORMS[form]) + workflow(FORMS[form], path=ACTION)
    used = re.findall(r"uses: (\S+)(.*)", text)
    local = {action for action, _ in used if action.startswith("./")}
    assert local == {f"./{ACTION_FOLDER}"}
    others = [(action, note) for action, note in used if action not in local]
    assert len(others) >= 3
    for action, note in others:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) and re.fullmatch(r" # v\d\S*", note)


def test_github_s_default_form_is_short_enough_to_be_read() -> None:
    for form in ("registry", "registry-of-github", "no-registry"):
        assert len(workflow(FORMS[form]).splitlines()) <= 230
    assert len(workflow(GITLAB_FORMS["registry"]).splitlines()) <= 110


PUSHES = "(github.ref == 'refs/heads/main' || github.ref_type == 'tag')"


def test_only_the_branch_that_pushes_and_tags_have_the_account_of_the_registry() -> None:
    jobs = loaded("registry")["jobs"]
    planned = "${{ !cancelled() && needs.plan.result == 'success' && "
    assert jobs["check"]["if"].startswith(f"{planned}!{PUSHES} && ")
    assert jobs["shared"]["if"].startswith(f"{planned}{PUSHES} && ")
    assert f"&& {PUSHES}" in jobs["tag"]["if"]
    assert jobs["services"]["needs"] == ["plan", "shared"]
    check = json.dumps(jobs["check"])
    assert "secrets.REGISTRY" not in check
    assert "--push" not in check
    [setup] = [step for step in jobs["plan"]["steps"] if step.get("uses", "").startswith("./")]
    assert setup["with"]["password"] == (f"${{{{ {PUSHES} && secrets.REGISTRY_PASSWORD || '' }}}}")
    other = workflow(FORMS["another-branch"])
    assert 'branches: ["release/v1"]' in other
    assert "refs/heads/main" not in other and "'refs/heads/release/v1'" in other


def test_a_pull_request_a_merge_queue_and_a_person_start_it_too() -> None:
    on = loaded("registry")[True]  # type: ignore[index]
    assert set(on) == {"pull_request", "merge_group", "workflow_dispatch", "push"}
    assert "pull_request_target" not in workflow(FORMS["registry"])


def test_the_job_that_may_write_to_a_pull_request_runs_nothing_of_it_and_none_of_a_fork() -> None:
    job = loaded("registry")["jobs"]["comment"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    [download, comment] = job["steps"]
    assert download["uses"].startswith("actions/download-artifact@")
    assert MARK_OF_COMMENT in comment["run"]


def test_an_empty_matrix_starts_no_job() -> None:
    jobs = loaded("registry")["jobs"]
    for name in ("check", "shared"):
        assert "fromJSON(needs.plan.outputs.matrix).shared[0] != null" in jobs[name]["if"]
        assert jobs[name]["strategy"]["fail-fast"] is False
    assert jobs["services"]["if"] == "${{ !cancelled() && needs.shared.result == 'success' }}"


@forms
def test_no_job_is_skipped_because_no_bot_s_bump_was_locked(form: str) -> None:
    # Where a job was skipped, GitHub skips all that need it, near or far, if they do not ask.
    for name, job in loaded(form)["jobs"].items():
        assert name == "lock" or "!cancelled()" in job["if"], name


def test_without_a_registry_nothing_is_pushed() -> None:
    found = loaded("no-registry")
    assert list(found["jobs"]) == ["lock", "plan", "check", "summary", "commit", "comment"]
    assert PUSHES not in json.dumps(found)
    assert "password" not in workflow(FORMS["no-registry"], path=ACTION)


OWN_ACCOUNT = ("${{ secrets.REGISTRY_USERNAME }}", "${{ secrets.REGISTRY_PASSWORD }}")
LOGINS = [
    ("registry", "registry.example.com", OWN_ACCOUNT),
    ("registry-of-github", "ghcr.io", ("${{ github.actor }}", "${{ github.token }}")),
    ("registry-on-a-port", "localhost:5000", OWN_ACCOUNT),
    ("docker-hub", None, OWN_ACCOUNT),
]


@pytest.mark.parametrize(("form", "host", "account"), LOGINS)
def test_the_registry_is_logged_in_to_by_its_own_account(
    form: str, host: str | None, account: tuple[str, str]
) -> None:
    given = {
        name: (step["with"]["username"], step["with"]["password"])
        for name, job in loaded(form)["jobs"].items()
        for step in job["steps"]
        if "password" in step.get("with", {})
    }
    secret = account[1].removeprefix("${{ ").removesuffix(" }}")
    # `false && secret` would be the text "false", and a login with that.
    assert given.pop("plan") == (account[0], f"${{{{ {PUSHES} && {secret} || '' }}}}")
    assert given == dict.fromkeys(("shared", "services", "tag"), account)
    action = yaml.safe_load(workflow(FORMS[form], path=ACTION))
    [login] = [step for step in action["runs"]["steps"] if "login-action" in step.get("uses", "")]
    assert login["if"] == "inputs.password != ''"
    assert login["with"].pop("registry", None) == host


def test_build_secrets_reach_the_jobs_that_build_services_and_no_other() -> None:
    jobs = loaded("registry")["jobs"]
    given_to = {name for name, job in jobs.items() if "secrets.INDEX_TOKEN" in json.dumps(job)}
    assert given_to == {"check", "services"}
    for name in given_to:
        [step] = [step for step in jobs[name]["steps"] if "secrets.INDEX_TOKEN" in json.dumps(step)]
        assert step["run"].startswith("slimbake ci job")


def test_jobs_that_release_services_have_a_scanner_where_the_manifest_asks_for_scans() -> None:
    assert "grype" not in workflow(FORMS["registry"], path=ACTION)
    assert "grype" not in workflow(GITLAB_FORMS["registry"])
    jobs = loaded("scanned")["jobs"]
    having = {name for name, job in jobs.items() if '"scanner": true' in json.dumps(job)}
    assert having == {"check", "services", "tag"}
    made = yaml.safe_load(workflow(GITLAB_FORMS["scanned"]))
    adding = "apk add --quiet --no-cache grype"
    having = {name for name, job in made.items() if adding in json.dumps(job)}
    assert having == {".check", ".services", ".tag"}
    asked = Ci(upgrade="17 4 * * 1")
    upgrade = workflow(fleet(ci=asked, scan=GRYPE), path=UPGRADE)
    assert "scanner" not in upgrade, "what is still to be fixed must not stop what is"


def test_the_scanner_of_the_manifest_is_installed() -> None:
    github = workflow(FORMS["scanned-by-trivy"], path=ACTION)
    assert "aquasecurity/setup-trivy@" in github and "grype" not in github
    assert "anchore/scan-action/download-grype@" in workflow(FORMS["scanned"], path=ACTION)
    gitlab = workflow(GITLAB_FORMS["scanned-by-trivy"])
    assert "apk add --quiet --no-cache trivy" in gitlab and "grype" not in gitlab


def test_what_was_released_is_signed_by_a_job_that_runs_nothing_of_it() -> None:
    for form in ("signed", "attested", "signed-elsewhere", "attested-elsewhere"):
        jobs = loaded(form)["jobs"]
        # What other jobs released is signed although one has failed.
        assert jobs["tag"]["needs"] == ["plan", "services"]
        assert jobs["tag"]["if"].startswith("${{ !cancelled() && ")
        assert jobs["sign"]["needs"] == "tag"
        assert "slimbake" not in json.dumps(jobs["sign"])
    for form in set(FORMS) - {"signed", "signed-elsewhere", "attested", "attested-elsewhere"}:
        text = workflow(FORMS[form])
        assert "id-token" not in text
        assert "attestations" not in text
    job = yaml.safe_load(workflow(GITLAB_FORMS["signed"]))["sign"]
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
        env = {**project, value: "v1", "CI_COMMIT_REF_NAME": "v1"}
        words = ran(["sh", "-c", f'{line}; printf "%s\\n" "$@"'], env=env, check=True)
        assert words.stdout.split() == [
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
        assert "setup-qemu-action" not in workflow(FORMS[form], path=ACTION)
    assert "setup-qemu-action" in workflow(FORMS["two-platforms"], path=ACTION)


def test_a_name_from_outside_can_neither_break_out_of_the_file_nor_be_evaluated() -> None:
    strange, plain = loaded("strange-file"), loaded("registry")
    said = strange["env"].pop("SLIMBAKE_MANIFEST")
    assert said.replace("${{ '${{' }}", "${{") == FORMS["strange-file"].manifest
    plain["env"].pop("SLIMBAKE_MANIFEST")
    assert strange == plain


class Runner:
    """Runs a step's script as GitHub does, with stubs of the programs that it calls."""

    def __init__(self, folder: Path, checkout: Path | None = None) -> None:
        self.folder = folder
        self.checkout = checkout or folder
        self.calls = folder / "calls"
        self.output = folder / "output"
        self.printed = ""  # by the last step

    def stub(self, name: str, script: str = "") -> None:
        """A program that notes its arguments, one a line, then does what `script` says."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" {name} "$@" >> {self.calls}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, job: str, step: str, env: dict[str, str], of: Loaded | None = None) -> int:
        """Run the step of that name with the workflow's own fixed values and these; its exit code."""
        found = of or loaded("registry")
        step_ = next(each for each in found["jobs"][job]["steps"] if each.get("name") == step)
        sources = (found, found["jobs"][job], step_)
        fixed = {key: value for each in sources for key, value in each.get("env", {}).items()}
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
        done = ran(words, env={**values, **paths, **env}, cwd=self.checkout)
        self.printed = done.stdout + done.stderr
        return done.returncode

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.parametrize("form", ["registry", "no-registry"])
@pytest.mark.parametrize("since", ["", "abc"])
def test_the_jobs_are_what_slimbake_s_plan_says(runner: Runner, form: str, since: str) -> None:
    matrix = json.dumps({"shared": []})
    runner.stub("slimbake", f"echo '{matrix}'")
    assert runner.run("plan", DECIDING, {"SINCE": since}, loaded(form)) == 0
    assert runner.called() == ["slimbake", "ci", "plan", "--since", since]
    assert runner.output.read_text() == f"matrix={matrix}\n"


def test_a_matrix_that_cannot_be_made_ends_the_job(runner: Runner) -> None:
    runner.stub("slimbake", "exit 4")
    assert runner.run("plan", DECIDING, {"SINCE": ""}) == 4
    assert runner.output.read_text() == ""


INSTALLER = re.compile(r"\b(?:pip3? +(?:--\S+ +)*install|pipx|uvx?|npm|npx|curl|go install)\b")
REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
OWN = {file.name: file.read_text("utf-8") for file in FILES}
UPGRADING_FORMS = {name: workflow(plan, path=UPGRADE) for name, plan in UPGRADES.items()}
EVERY = {
    **{f"github-{name}": workflow(plan) for name, plan in FORMS.items()},
    **{f"action-{name}": workflow(plan, path=ACTION) for name, plan in FORMS.items()},
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


UPGRADING = "Upgrade, then build and check what that changed"
PROPOSING = "Open a pull request, or bring the open one up to date"


def upgrade(form: str) -> Loaded:
    return dict(yaml.safe_load(workflow(UPGRADES[form], path=UPGRADE)))


def test_only_the_job_that_opens_the_pull_request_may_write_and_it_runs_nothing_new() -> None:
    assert UPGRADES
    for form in UPGRADES:
        found = upgrade(form)
        assert found["permissions"] == {"contents": "read"}
        text = workflow(UPGRADES[form], path=UPGRADE)
        assert '  schedule:\n    - cron: "17 4 * * 1"\n' in text
        may = {name: job.get("permissions") for name, job in found["jobs"].items()}
        writes = {"contents": "write", "pull-requests": "write"}
        assert may == {"upgrade": None, "propose": writes}
        script = found["jobs"]["propose"]["steps"][-1]["run"]
        assert "slimbake" not in script.replace("slimbake/", "")


@pytest.mark.parametrize("form", UPGRADES)
@pytest.mark.parametrize("job", [{"services": "jobs api"}, None])
def test_an_upgrade_builds_what_it_changed_and_leaves_that(
    runner: Runner, form: str, job: dict[str, str] | None
) -> None:
    def git(*words: str) -> str:
        return ran(["git", *words], cwd=runner.folder, check=True).stdout

    git("init", "--quiet")
    (runner.folder / ".gitignore").write_text("*\n!bake\n!bake/**\n!docker-bake.hcl\n")
    for name in ("docker-bake.hcl", "bake/dockerfiles/api", "bake/locks/api.txt"):
        (runner.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (runner.folder / name).write_text("")
    jobs = json.dumps({"shared": [job] if job else []})
    runner.stub(
        "slimbake",
        f"case $* in 'ci plan'*) echo '{jobs}';; lock*) echo new > bake/locks/api.txt;;"
        " 'ci summary'*) echo '## Sizes';; esac",
    )
    assert runner.run("upgrade", UPGRADING, {}, of=upgrade(form)) == 0
    called = runner.called()
    assert called[called.index("plan") + 1 :][:2] == ["--since", "HEAD"]
    built = [json.dumps(job, separators=(",", ":"))] if job else []
    assert [called[at + 1] for at, word in enumerate(called) if word == "--job"] == built
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
    pushed = "push --force origin HEAD:refs/heads/slimbake/upgrade"
    assert said[said.index("push") :][:4] == pushed.split()
    assert (verb in said) and ({"create", "edit"} - {verb}).isdisjoint(said)


LOCKING = "Lock, if nothing but requirements was changed"


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        (["requirements.txt", "api/requirements.in", "api/pyproject.toml"], []),
        (["uv.lock", "api/poetry.lock", "services.yaml", "bake/locks/api.txt"], []),
        (["requirements.txt", "api/app.py"], ["api/app.py"]),
        (["uv.lock", ".github/workflows/x.yml", "a"], [".github/workflows/x.yml", "a"]),
        (["requirements.txt/app.py"], ["requirements.txt/app.py"]),
        (["requirements.txt", "bake/slimbake.txt"], ["bake/slimbake.txt"]),
        (["requirements.txt", "bake/programs/make.pyz"], ["bake/programs/make.pyz"]),
    ],
)
def test_a_bot_s_branch_is_locked_if_it_changes_nothing_but_requirements(
    runner: Runner, changed: list[str], refused: list[str]
) -> None:
    commit(runner.folder, {"README.md": ""})
    commit(runner.folder, dict.fromkeys(changed, "bumped"))
    runner.stub("slimbake", '[ "$2" != --check ]')
    code = runner.run("lock", LOCKING, {})
    locked = runner.called()[3:] == ["slimbake", "lock"]
    if not refused:
        assert (code, locked, runner.output.read_text()) == (0, True, "locked=true\n")
        return
    assert (code, locked, runner.output.read_text()) == (1, False, "")
    why = f"this branch of a bot changes more than requirements: {', '.join(refused)}"
    assert f"::error::not locked: {why}\n" in runner.printed


def test_fresh_locks_of_a_bot_s_branch_are_left_alone(runner: Runner) -> None:
    runner.stub("slimbake")
    assert runner.run("lock", LOCKING, {}) == 0
    assert runner.called() == ["slimbake", "lock", "--check"]
    assert runner.output.read_text() == ""


@pytest.mark.parametrize(
    ("file", "how"),
    [
        ("bake/locks/new.txt", "file"),
        ("bake/dockerfiles/layers/new", "file"),
        ("docker-bake.hcl", "file"),
        ("api/app.py", "other"),
        ("bake/slimbake.txt", "other"),
        ("bake/locks.txt", "other"),
        (".github/workflows/bake.yml", "other"),
        ("bake/locks/link.txt", "link"),
        ("bake/locks/program.txt", "program"),
    ],
)
def test_only_locks_and_generated_files_are_pushed_to_a_bot_s_branch(
    runner: Runner, file: str, how: str
) -> None:
    origin, clone = runner.folder / "origin", runner.folder / "clone"
    paths = ("bake/locks/api.txt", "bake/dockerfiles/api", "docker-bake.hcl")
    first = commit(origin, dict.fromkeys(paths, "old"))
    git(origin, "branch", "bot")
    git(runner.folder, "clone", "--quiet", "--branch=bot", str(origin), "clone")

    path = clone / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.write_text("new")
        path.chmod(0o755 if how == "program" else 0o644)
    git(clone, "add", "--all")
    patch = git(clone, "diff", "--cached", "--binary")
    git(clone, "reset", "--quiet", "--hard")
    (runner.folder / "bump.patch").write_text(f"{patch}\n")
    runner.stub("gh")

    moved = Runner(runner.folder, clone)
    code = moved.run("commit", "Push the locks to the bot's branch", {"BRANCH": "bot"})
    pushed = git(origin, "rev-parse", "bot") != first
    assert (code == 0, pushed) == ((True, True) if how == "file" else (False, False))
    if how != "file":
        assert "::error::nothing is pushed: " in moved.printed and file in moved.printed


def test_a_bot_s_commit_gets_the_results_of_the_run_that_built_it(runner: Runner) -> None:
    head = commit(runner.folder, {"a": ""})
    runner.stub("gh", r"case $* in *attempts*) printf 'check a\tfailure\thttps://x\n' ;; esac")
    assert runner.run("commit", "Give that commit the results of this run", {}) == 0
    given = [line for line in runner.called() if "=" in line and not line.startswith(".")]
    assert given == [
        "name=check a",
        f"head_sha={head}",
        "status=completed",
        "conclusion=failure",
        "details_url=https://x",
    ]


def test_what_locks_a_bot_s_bump_has_no_secret_and_what_pushes_it_is_of_no_fork() -> None:
    for form in FORMS:
        jobs = loaded(form)["jobs"]
        assert "secrets." not in json.dumps(jobs["lock"])
        assert "permissions" not in jobs["lock"]
        own = "github.event.pull_request.head.repo.full_name == github.repository"
        assert f"{own} && github.event.pull_request.user.type == 'Bot'" in jobs["lock"]["if"]
        assert "needs.lock.outputs.locked == 'true'" in jobs["commit"]["if"]
        scripts = [step.get("run", "") for step in jobs["commit"]["steps"]]
        assert not [script for script in scripts if "slimbake " in script]


COMMANDS = {
    "check": "slimbake ci job",
    "shared": "slimbake ci shared",
    "services": "slimbake ci job --push",
    "tag": "slimbake ci tag",
}


@forms
def test_each_job_is_one_command_that_is_given_its_entry_of_the_matrix(form: str) -> None:
    jobs = loaded(form)["jobs"]
    assert MARK in workflow(FORMS[form]).partition("\n")[0]
    assert "check" in jobs
    for name in COMMANDS.keys() & jobs.keys() - ({"tag"} if "sign" in jobs else set()):
        [step] = [step for step in jobs[name]["steps"] if "run" in step]
        assert step["run"] == COMMANDS[name]
        entry = None if name == "tag" else "${{ toJSON(matrix) }}"
        assert step.get("env", {}).get("JOB") == entry


@pytest.mark.parametrize("form", ["signed", "attested"])
def test_what_is_signed_goes_to_the_job_that_signs(runner: Runner, form: str) -> None:
    image = {"service": "api", "platform": "", "repository": "r/api", "digest": "d", "sbom": ""}
    listed = json.dumps({"images": [{**image, "image": "r/api@d"}]})
    runner.stub("slimbake", f"echo '{listed}'")
    assert (
        runner.run("tag", "Tag what is unchanged, and list what was released", {}, loaded(form))
        == 0
    )
    assert json.loads(runner.output.read_text().removeprefix("images=")) == [image]
    assert json.loads((runner.folder / "released/images.json").read_text())["images"]


def test_the_summary_goes_to_the_run_and_to_the_next_job(runner: Runner) -> None:
    runner.stub("slimbake", "echo '## Images'")
    assert runner.run("summary", "Say what was built", {}) == 0
    assert runner.called() == ["slimbake", "ci", "summary"]
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
    assert found[".check"]["script"][-1] == "slimbake ci job"
    pushing = {".shared", ".services", ".tag"} if form != "no-registry" else set()
    assert {name for name in found if name.startswith(".")} == {".check", ".summary", *pushing}
    for name in pushing:
        assert found[name]["rules"][0] == {"if": "$CI_MERGE_REQUEST_ID", "when": "never"}
    logins = [line for line in found["default"]["before_script"] if "docker login" in line]
    assert len(logins) == bool(pushing)
    assert all(line.startswith('test -n "$CI_MERGE_REQUEST_ID" || ') for line in logins)


def test_gitlab_expands_no_variable_in_a_name_from_outside() -> None:
    found = gitlab("strange-file")["variables"]["SLIMBAKE_MANIFEST"]
    assert found == {"value": GITLAB_FORMS["strange-file"].manifest, "expand": False}


def test_slimbakes_own_checkout_installs_itself_and_others_what_is_locked(tmp_path: Path) -> None:
    def installs() -> list[str]:
        text = next(file.text for file in laid_out(fleet(), tmp_path) if file.path == ACTION)
        steps = yaml.safe_load(text)["runs"]["steps"]
        [script] = [step["run"] for step in steps if " install " in step.get("run", "")]
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


NEWER = {
    "uses: actions/checkout@": f"{'a' * 40} # v8.0.0",
    "image: docker:": f"30-cli@sha256:{'b' * 64}",
}


@pytest.mark.parametrize(("provider", "path"), [("github", GITHUB), ("gitlab", GITLAB)])
def test_a_pin_that_a_bot_changed_stays_and_no_file_is_stale(
    tmp_path: Path, provider: Literal["github", "gitlab"], path: str
) -> None:
    plan = fleet(ci=Ci(provider=provider))
    update(laid_out(plan, tmp_path), tmp_path)
    file = tmp_path / path
    pin = r"(uses: actions/checkout@|image: docker:)[^\s]+( # v\S+)?"
    changed = re.sub(pin, lambda match: match[1] + NEWER[match[1]], file.read_text())
    assert changed != file.read_text()
    file.write_text(changed)
    assert not drift(laid_out(plan, tmp_path), tmp_path)
    file.write_text(changed.replace("timeout", "time-out"))
    update(laid_out(plan, tmp_path), tmp_path)
    assert file.read_text() == changed


@pytest.mark.parametrize("other", ["v8", "main", "a" * 39])
def test_a_pin_that_is_no_commit_makes_the_file_stale(tmp_path: Path, other: str) -> None:
    update(laid_out(fleet(), tmp_path), tmp_path)
    file = tmp_path / GITHUB
    file.write_text(re.sub(r"(actions/checkout@)\S+", rf"\g<1>{other}", file.read_text()))
    assert [each.path for each in drift(laid_out(fleet(), tmp_path), tmp_path).write] == [GITHUB]


def test_an_empty_template_means_no_workflow_and_removes_the_generated_one(tmp_path: Path) -> None:
    update(laid_out(fleet(), tmp_path), tmp_path)
    assert (tmp_path / GITHUB).is_file()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/bake.yml.j2").write_text("")
    found = drift(laid_out(fleet(), tmp_path), tmp_path)
    assert (found.write, found.remove) == ((), (GITHUB,))


def test_a_workflow_that_a_person_wrote_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / GITHUB).parent.mkdir(parents=True)
    (tmp_path / GITHUB).write_text("name: mine\n")
    with pytest.raises(UsageError) as raised:
        drift(laid_out(fleet(), tmp_path), tmp_path)
    why = "is not slimbake's: its first line does not say 'Generated by slimbake'"
    assert raised.value.message == f"{GITHUB} {why}"
    assert raised.value.hint == "move it away, or remove `ci:` from the manifest"


@pytest.mark.parametrize(
    ("ci", "left"), [(None, set()), (Ci(provider="none"), set()), (Ci(provider="gitlab"), {GITLAB})]
)
def test_another_provider_has_another_file_and_removes_that_of_the_last(
    tmp_path: Path, ci: Ci | None, left: set[str]
) -> None:
    update(laid_out(fleet(), tmp_path), tmp_path)
    update(laid_out(fleet(ci=ci), tmp_path), tmp_path)
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
