"""Both pipelines, run as a whole: GitHub's workflow by act, GitLab's by gitlab-ci-local, each job as a
program of this machine, on its engine, against a registry on loopback.

tests/workflow/actions has stand-ins for the published actions. A stand-in for Python's venv gives jobs
the slimbake under test: tests/release installs it as they do.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.commits import commit, git
from tests.engine.conftest import ROOT, Toy, call, engine, fleet, registry  # noqa: F401 - fixtures
from tests.engine.registries import Pushed
from tests.engine.toys import BROKEN, code, entry
from tests.ran import ran
from tests.workflow.test_validators import NODE, act_program, programs, tool  # noqa: F401

from slimbake import __version__
from slimbake.render.workflow import GITHUB, GITLAB

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ACTIONS = Path(__file__).parent / "actions"
WHEEL = f"slimbake-{__version__}-py3-none-any.whl"
SERVICES = ("api", "embed", "client")
OURS = "someone/toy"
SHIMS = {
    "python3": f"""\
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
mkdir -p "$3/bin" && cd "$3/bin" && [ ! -e slimbake ] || exit 0
printf '#!/bin/bash\\nexec {sys.executable} -m slimbake "$@"\\n' > slimbake
printf '#!/bin/bash\\n' > python
chmod +x slimbake python
""",
    "gh": """\
echo "$@" >> "$GH_CALLS"
case "$*" in *attempts/*) printf 'plan\tsuccess\thttps://example.com/1\n' ;; esac
""",
    "apk": "",
    "wget": "exit 8\n",  # no artifact of an earlier pipeline
    "rsync": 'mkdir -p "${@: -1}"\n',  # of gitlab-ci-local, for jobs in containers
}


@dataclass
class Run:
    """A pipeline that ended."""

    code: int
    text: str
    jobs: dict[str, str] = field(default_factory=dict)  # job -> how it ended


class Repository:
    """A fleet in a repository, with what outlives the runs of its pipelines."""

    def __init__(self, toy: Toy, registry: str, folder: Path) -> None:  # noqa: F811
        self.toy, self.registry, self.folder = toy, registry, folder
        (folder / "bin").mkdir(parents=True)
        for name, script in SHIMS.items():
            (folder / "bin" / name).write_text(f"#!/bin/bash\n{script}")
            (folder / "bin" / name).chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DOCKER_HOST"},
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "DOCKER_CONFIG": str(folder / "docker"),
            "ORIGIN": str(toy.root),
            "ARTIFACTS": str(folder / "artifacts"),
            "CACHE": str(folder / "known.json"),
            "LOGINS": str(folder / "logins"),
            "GH_CALLS": str(folder / "gh"),
        }

    def provider(self, name: str) -> None:
        """Write the fleet for a provider of CI, lock, generate and commit it."""
        web = "    base: web\n"
        self.toy.write(
            f"registry: {self.registry}/{self.toy.project}\n"
            f"ci: {{provider: {name}, slimbake: {WHEEL}}}\n"
            "bases:\n  web: {requirements: [six]}\nservices:\n"
            + entry("api", web)
            + entry("embed", web)
            + entry("client"),
            {
                **code(self.toy, *SERVICES),
                ".gitignore": ".slimbake/\n.gitlab-ci-local/\n",
                WHEEL: "",
            },
        )
        self.settle()

    def settle(self) -> None:
        for word in ("lock", "generate"):
            self.toy.done(word)
        commit(self.toy.root)

    def head(self) -> str:
        return git(self.toy.root, "rev-parse", "HEAD")

    def said(self, name: str) -> str:
        """What a stand-in noted in the last run."""
        file = self.folder / name
        return file.read_text() if file.is_file() else ""

    def digests(self, tag: str) -> dict[str, str]:
        """What a tag names, by service; of those that have it."""
        pushed = {name: Pushed(self.registry, self.toy, name) for name in SERVICES}
        return {name: at.manifest(tag)[0] for name, at in pushed.items() if tag in at.tags()}

    def act(self, event: str, payload: dict[str, Any], *secrets: str) -> Run:
        """Run what an event starts on GitHub."""
        for name in ("artifacts", "logins", "gh"):
            call("rm", "-rf", str(self.folder / name))
        file = self.folder / "event.json"
        file.write_text(json.dumps({"repository": {"full_name": OURS}, **payload}))
        words = [act_program(), event, "--json", "--workflows", GITHUB, "--eventpath", str(file)]
        words += ["--platform", "ubuntu-latest=-self-hosted", "--no-skip-checkout", "--pull=false"]
        words += ["--action-offline-mode", "--no-cache-server", "--env", "DOCKER_HOST="]
        words += ["--action-cache-path", str(self.folder / "act")]
        words += [f"--secret={secret}" for secret in secrets]
        for name in ("ORIGIN", "ARTIFACTS", "CACHE", "LOGINS", "GH_CALLS", "DOCKER_CONFIG"):
            words += ["--env", f"{name}={self.environment[name]}"]
        text = "".join(path.read_text() for path in (self.toy.root / ".github").rglob("*.yml"))
        for action, sha in set(re.findall(r"uses: ([\w-]+/[\w-]+)[\w/-]*@([0-9a-f]{40})", text)):
            folder = ACTIONS / action.partition("/")[2]
            assert folder.is_dir(), f"{action} has no stand-in"
            words += ["--local-repository", f"{action}@{sha}={folder}"]
        done = self._ended(words)
        lines = [json.loads(line) for line in done.text.splitlines() if line.startswith("{")]
        ended = {
            line["matrix"]["name"] if line["jobID"] == "services" else line["jobID"]: line[
                "jobResult"
            ]
            for line in lines
            if "jobResult" in line
        }
        return Run(done.code, "\n".join(line["msg"] for line in lines), ended)

    def _ended(self, words: list[str]) -> Run:
        done = ran(words, cwd=self.toy.root, env=self.environment)
        return Run(done.returncode, done.stdout + done.stderr)

    def gitlab(self, node: Path, programs: Path, **variables: str) -> Run:  # noqa: F811
        """Run a pipeline of GitLab, and its child."""
        run = Run(0, "")
        for file, jobs in ((GITLAB, ["plan"]), (".slimbake/child.yml", [])):
            pipeline = yaml.safe_load((self.toy.root / file).read_text("utf-8"))
            # Here no image of Docker can be had, and no job may write to /opt.
            del pipeline["default"]["image"], pipeline["default"]["services"]
            text = json.dumps(pipeline).replace("/opt/slimbake", str(self.folder / "venv"))
            text = text.replace("python3 -m venv", f"{self.folder}/bin/python3 -m venv")
            (self.toy.root / ".slimbake").mkdir(exist_ok=True)
            (self.toy.root / ".slimbake/run.yml").write_text(text)
            words = [str(node), str(programs / "node_modules/.bin/gitlab-ci-local"), *jobs]
            words += ["--file", ".slimbake/run.yml", "--force-shell-executor", "--no-color"]
            given = {
                "DOCKER_HOST": "",
                "DOCKER_TLS_VERIFY": "",
                "DOCKER_CERT_PATH": "",
                **variables,
            }
            words += [f"--variable={name}={value}" for name, value in given.items()]
            done = self._ended(words)
            ended = re.findall(r"^ *(PASS|FAIL)  (.+?) *$", done.text, re.MULTILINE)
            results = {name: "success" if how == "PASS" else "failure" for how, name in ended}
            run = Run(done.code, run.text + done.text, run.jobs | results)
            if run.code:
                break
        return run


ACCOUNT = ("REGISTRY_USERNAME=ada", "REGISTRY_PASSWORD=secret")
EVERY = ("plan", "shared", *SERVICES, "tag", "summary")


@pytest.fixture
def repository(tmp_path: Path, registry: str) -> Iterator[Repository]:  # noqa: F811
    with fleet(tmp_path / "repository") as toy:
        git(tmp_path, "init", "--quiet", "--initial-branch=main", "repository")
        git(toy.root, "remote", "add", "origin", f"https://github.com/{OURS}")
        yield Repository(toy, registry, tmp_path / "runs")


def pull_request(base: str, head: str = OURS, branch: str = "x", bot: str = "") -> dict[str, Any]:
    """`bot`: the last commit of a bot's branch."""
    request = {
        "base": {"sha": base, "ref": "main"},
        "head": {"ref": branch, "sha": bot, "repo": {"full_name": head}},
        "user": {"type": "Bot" if bot else "User"},
    }
    return {"number": 7, "pull_request": {"number": 7, **request}}


def succeeded(run: Run, *jobs: str) -> None:
    assert run.jobs == dict.fromkeys(jobs, "success"), run.text
    assert run.code == 0


MAIN = {"ref": "refs/heads/main"}


@pytest.fixture(scope="module")
def node() -> Path:
    """Node.js as gitlab-ci-local wants it, which Debian's is too old for."""
    words = (tool("uv"), "tool", "run", "--quiet", "--python", sys.executable, "--from", NODE)
    done = call(*words, "node", "-e", "console.log(process.execPath)")
    if done.code and os.environ.get("CI") != "true":
        pytest.skip(f"uv cannot get {NODE}: {done.stderr[-300:]}")
    assert done.code == 0, done.stderr
    return Path(done.stdout.strip())


def test_every_job_of_gitlab_s_pipeline_runs(
    repository: Repository,
    node: Path,
    programs: Path,  # noqa: F811
) -> None:
    made, toy = repository, repository.toy
    made.provider("gitlab")
    account = {"REGISTRY_USERNAME": "ada", "REGISTRY_PASSWORD": "secret"}

    # A push to an empty registry builds everything.
    lane = "(linux_amd64)"
    run = made.gitlab(node, programs, **account)
    builds = [f"bake {name} {lane}" for name in SERVICES]
    succeeded(run, "plan", f"shared {lane}", *builds, "tag", "summary")
    assert set(made.digests(made.head())) == set(SERVICES)
    ran = {*run.jobs}

    # A merge request builds what it changes, and logs in nowhere.
    base = made.head()
    toy.file("api/app.py", f"print('merged')  # {toy.project}\n")
    made.settle()
    request = {
        "CI_MERGE_REQUEST_ID": "1",
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
    }
    run = made.gitlab(node, programs, **request)
    succeeded(run, "plan", f"check {lane}", "summary")
    assert "Login Succeeded" not in run.text
    assert made.digests(made.head()) == {}
    ran |= {*run.jobs}

    pipeline = yaml.safe_load((toy.root / GITLAB).read_text())
    names = {
        name.removeprefix(".").replace("services", "bake")
        for name in pipeline
        if "script" in pipeline[name]
    }
    assert {re.split(r"[ (]", job)[0] for job in ran} == names


def test_every_job_of_github_s_workflow_runs_from_an_empty_registry_to_a_failing_smoke(
    repository: Repository,
) -> None:
    made, toy = repository, repository.toy
    made.provider("github")
    ran: set[str] = set()

    # A push to an empty registry builds everything.
    run = made.act("push", MAIN, *ACCOUNT)
    succeeded(run, *EVERY)
    ran |= run.jobs.keys()
    first = made.digests(made.head())
    assert set(first) == set(SERVICES)
    assert sorted(set(made.said("logins").split())) == ["ada", "plan", "services", "shared", "tag"]

    # An edit builds one service, and the others get the tag.
    base = made.head()
    toy.file("api/app.py", f"print('edited')  # {toy.project}\n")
    made.settle()
    run = made.act("push", MAIN, *ACCOUNT)
    succeeded(run, "plan", "shared", "api", "tag", "summary")
    second = made.digests(made.head())
    assert {name for name in SERVICES if second[name] != first[name]} == {"api"}
    assert "Unchanged, and not built: 2." in run.text

    # A tag builds nothing; an image's tag has `-` for what Git allows and a registry does not.
    run = made.act("push", {"ref": "refs/tags/v1+x"}, *ACCOUNT)
    succeeded(run, "plan", "tag", "summary")
    assert made.digests("v1-x") == second

    # A pull request of a fork builds what it changes, logs in nowhere, pushes and writes nothing.
    toy.file("client/app.py", f"print('of a fork')  # {toy.project}\n")
    made.settle()
    run = made.act("pull_request", pull_request(base, "stranger/toy"))
    succeeded(run, "plan", "check", "summary")
    ran |= run.jobs.keys()
    assert made.digests(made.head()) == {}
    assert made.said("logins") == ""
    assert "comments" not in made.said("gh")

    # One of the repository's own has a comment.
    run = made.act("pull_request", pull_request(made.head()), *ACCOUNT)
    succeeded(run, "plan", "summary", "comment")
    ran |= run.jobs.keys()
    assert f"repos/{OURS}/issues/7/comments" in made.said("gh")
    assert made.said("logins") == ""

    # A requirement without `slimbake lock` is red, and nothing is built.
    manifest = (toy.root / "services.yaml").read_text()
    toy.file("services.yaml", manifest.replace("[six]", "[six, toolz]"))
    commit(toy.root)
    run = made.act("pull_request", pull_request(base), *ACCOUNT)
    assert run.jobs == {"plan": "failure"}, run.text
    assert "slimbake lock" in run.text
    toy.file("services.yaml", manifest)

    # A smoke that fails keeps its service from the tag, and the summary says why.
    toy.file("client/smoke.py", BROKEN)
    made.settle()
    run = made.act("push", MAIN, *ACCOUNT)
    assert run.code != 0
    assert run.jobs["client"] == "failure", run.text
    assert {name for name, how in run.jobs.items() if how == "failure"} == {"client"}
    assert set(made.digests(made.head())) == {"api", "embed"}
    assert "| <code>client</code> | failed |" in run.text
    assert "the weights are wrong" in run.text

    # All that a user gets has run; of a bot's bump, below.
    jobs = yaml.safe_load((toy.root / GITHUB).read_text())["jobs"]
    assert {("services" if job in SERVICES else job) for job in ran} == {*jobs} - {"lock", "commit"}


POETRY = """\
[tool.poetry]
name = "poetry"
version = "1"

[tool.poetry.dependencies]
python = ">=3.11"
six = "*"
"""
PACKAGE = '[[package]]\nname = "six"\nversion = "1.16.0"\n'
BUMPED = {
    "of-plain": ("requirements.txt", {"requirements.txt": "six==1.16.0\n"}),
    "of-project": (
        "pyproject.toml",
        {
            "pyproject.toml": '[project]\nname = "p"\nversion = "1"\ndependencies = ["six==1.16.0"]\n'
        },
    ),
    "of-uv": (
        "uv.lock",
        {
            "pyproject.toml": '[project]\nname = "u"\nversion = "1"\ndependencies = ["six"]\n',
            "uv.lock": f"version = 1\n{PACKAGE}"
            'source = { registry = "https://pypi.org/simple" }\n'
            '[[package]]\nname = "u"\nversion = "1"\nsource = { virtual = "." }\n'
            'dependencies = [{ name = "six" }]\n',
        },
    ),
    "of-poetry": (
        "poetry.lock",
        {"pyproject.toml": POETRY, "poetry.lock": f'{PACKAGE}[metadata]\nlock-version = "2.1"\n'},
    ),
}


def test_a_bot_s_bump_is_green_without_a_person(repository: Repository) -> None:
    made, toy = repository, repository.toy
    entries = ""
    files: dict[str, str] = {}
    for name, (_, written) in BUMPED.items():
        project = "pyproject.toml" if "pyproject.toml" in written else "requirements.txt"
        entries += entry(name, f"    requirements: {project}\n")
        files |= {f"{name}/{file}": text for file, text in written.items()}
    toy.write(
        f"registry: {made.registry}/{toy.project}\nci: {{slimbake: {WHEEL}}}\nservices:\n{entries}",
        {**code(toy, *BUMPED), **files, ".gitignore": ".slimbake/\n", WHEEL: ""},
    )
    made.settle()
    git(toy.root, "config", "receive.denyCurrentBranch", "ignore")
    plain, *others = BUMPED
    for branch, names in (("bot/one", [plain]), ("bot/group", others)):
        base = made.head()
        git(toy.root, "checkout", "--quiet", "-b", branch)
        for name in names:
            toy.edit("1.16.0", "1.17.0", f"{name}/{BUMPED[name][0]}")
        bump = commit(toy.root)
        run = made.act("pull_request", pull_request(base, branch=branch, bot=bump), *ACCOUNT)
        succeeded(run, "lock", "plan", "check", "summary", "commit", "comment")
        assert made.said("logins") == ""

        # The branch has one commit more, of locks and what is generated from them, and that commit has
        # the results of this run.
        git(toy.root, "reset", "--quiet", "--hard", branch)
        assert git(toy.root, "rev-parse", "HEAD^") == bump
        changed = git(toy.root, "diff", "--name-only", "HEAD^").split()
        locks = [file for file in changed if not file.startswith(("bake/dockerfiles/", "docker-"))]
        assert locks == sorted(
            [*(f"bake/locks/{name}.txt" for name in names), "bake/locks/inputs.json"]
        )
        for name in names:
            assert "six==1.17.0" in (toy.root / f"bake/locks/{name}.txt").read_text()
        assert f"--raw-field head_sha={made.head()} " in made.said("gh")
        toy.done("check")

    # A bot's branch that changes more gets no commit, and says why. Nor does a fork's.
    base = made.head()
    git(toy.root, "checkout", "--quiet", "-b", "bot/more")
    toy.edit("six==1.17.0", "six<1.17", f"{plain}/requirements.txt")
    toy.file(f"{plain}/app.py", "import six\n")
    more = commit(toy.root)
    run = made.act("pull_request", pull_request(base, branch="bot/more", bot=more), *ACCOUNT)
    assert run.jobs == {"lock": "failure"}, run.text
    assert f"changes more than requirements: {plain}/app.py" in run.text
    run = made.act("pull_request", pull_request(base, "stranger/toy", "bot/more", more))
    assert run.jobs == {"plan": "failure"}, run.text
    assert git(toy.root, "rev-parse", "bot/more") == more


EXAMPLE = ("bake", "examples", "libs", "templates", "docker-bake.hcl.j2", "pyproject.toml")


def test_a_bot_s_bump_of_a_light_package_of_the_example_pushes_one_layer(
    tmp_path: Path,
    registry: str,  # noqa: F811
    request: pytest.FixtureRequest,
) -> None:
    toy = Toy(tmp_path / "repository", "atlas")
    made = Repository(toy, registry, tmp_path / "runs")
    toy.root.mkdir()
    call("cp", "-r", *EXAMPLE, ".gitignore", str(toy.root))
    manifest = yaml.safe_load((ROOT / "services.yaml").read_text("utf-8"))
    manifest["registry"] = f"{registry}/atlas"
    services = manifest["services"]
    if not request.config.getoption("--example"):
        manifest["bases"].pop("ml")
        for name in [name for name, service in services.items() if service.get("base") == "ml"]:
            services.pop(name)
    toy.file("services.yaml", yaml.safe_dump(manifest, sort_keys=False))
    requirements = "examples/atlas/services/control/requirements.txt"
    toy.edit("prometheus-client>=0.21,<1", "prometheus-client==0.25.0", requirements)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "repository")
    git(toy.root, "remote", "add", "origin", f"https://github.com/{OURS}")
    git(toy.root, "config", "receive.denyCurrentBranch", "ignore")
    made.settle()

    succeeded(made.act("push", MAIN, *ACCOUNT), "plan", "shared", *services, "tag", "summary")
    pushed = {name: Pushed(registry, toy, name) for name in services}
    first = {name: image.manifest(made.head()) for name, image in pushed.items()}

    base = made.head()
    branch = "dependabot/pip/prometheus-client-0.26.0"
    git(toy.root, "checkout", "--quiet", "-b", branch)
    toy.edit("0.25.0", "0.26.0", requirements)
    bump = commit(toy.root)
    run = made.act("pull_request", pull_request(base, branch=branch, bot=bump), *ACCOUNT)
    succeeded(run, "lock", "plan", "check", "summary", "commit", "comment")

    # Merged, it pushes one image, of which the registry lacks one layer.
    git(toy.root, "reset", "--quiet", "--hard", branch)
    run = made.act("push", MAIN, *ACCOUNT)
    succeeded(run, "plan", "shared", "control", "tag", "summary")
    second = {name: image.manifest(made.head()) for name, image in pushed.items()}
    assert {name for name in services if second[name] != first[name]} == {"control"}
    known = {layer["digest"] for layer in first["control"][1]["layers"]}
    new = [each for each in second["control"][1]["layers"] if each["digest"] not in known]
    assert len(new) == 1 and new[0]["size"] < 1_000_000
