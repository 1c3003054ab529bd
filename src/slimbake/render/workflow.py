"""What the pipelines of GitHub and GitLab say of a plan. Services are in the matrix, never in the
file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slimbake.config.naming import TOOL
from slimbake.plan.model import Plan

GITHUB = ".github/workflows/bake.yml"
GITLAB = ".gitlab-ci.yml"
UPGRADE = ".github/workflows/upgrade.yml"
ACTION_FOLDER = ".github/actions/slimbake"  # what jobs of GitHub's workflows begin with
ACTION = f"{ACTION_FOLDER}/action.yml"
TEMPLATES = {
    "github": {GITHUB: "bake.yml.j2", ACTION: "action.yml.j2"},
    "gitlab": {GITLAB: "gitlab-ci.yml.j2"},
    "none": {},
}
PIPELINES = (GITHUB, ACTION, GITLAB, UPGRADE)

GITHUB_REGISTRY = "ghcr.io"

# an action at a commit, with its version; an image with its tag, at a digest
_PIN = re.compile(
    r"((?:uses: |image: |services: \[\")[\w./-]+[@:])"
    r"((?:[\w.-]+@sha256:)?[0-9a-f]{40,64}(?: # v[\w.]+)?)"
)

_LOCKED = "--only-binary :all: --require-hashes"
_OWN = (
    f"{_LOCKED} --requirement requirements/runtime.txt --requirement requirements/build.txt",
    "--no-index --no-deps --no-build-isolation .",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What a template of a pipeline lays out."""

    install: tuple[str, ...]  # the arguments of each `pip install` that it takes to get slimbake
    pushes: bool  # a manifest without a registry names nothing to push to
    login: str  # the registry's host, "" = Docker Hub
    own_token: bool  # the registry is GitHub's: the job's own token opens it
    emulate: bool  # some image is for another platform than its runner's
    lanes: bool  # there are several: each pushes images of its own, which are merged
    runner: str  # of jobs that build nothing for a platform
    secrets: tuple[str, ...]  # the variables that hold build secrets
    action: str = ACTION_FOLDER


def workflow(plan: Plan, own_repository: bool) -> Workflow:
    """Decide what a pipeline depends on. `own_repository`: in slimbake's own repository."""
    host = plan.registry.partition("/")[0]
    login = ""
    if "." in host or ":" in host or host == "localhost":
        login = host
    secrets = set()
    for target in plan.targets:
        for secret in target.secrets:
            if secret.source == "env":
                secrets.add(secret.name)
    install: tuple[str, ...] = (f"{_LOCKED} --requirement {TOOL}",)
    if own_repository:
        install = _OWN
    return Workflow(
        install=install,
        pushes=plan.registry != plan.project,
        login=login,
        own_token=login == GITHUB_REGISTRY,
        emulate=any(lane.emulates for lane in plan.pipeline.lanes),
        lanes=len(plan.pipeline.lanes) > 1,
        runner=plan.pipeline.lanes[0].runner,
        secrets=tuple(sorted(secrets)),
    )


def with_pins(text: str, old: str) -> str:
    """A pipeline with the pins of the old file: Dependabot and Renovate change them, and a pin that
    is no full commit or digest does not count.
    """
    pins = dict(_PIN.findall(old))
    return _PIN.sub(lambda match: f"{match[1]}{pins.get(match[1], match[2])}", text)
