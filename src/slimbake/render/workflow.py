"""What the pipelines of GitHub and GitLab say of a plan. Services stand in the matrix, never in the
file.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimbake.config.naming import TOOL
from slimbake.plan.model import Plan
from slimbake.plan.pipeline import scope

GITHUB = ".github/workflows/bake.yml"
GITLAB = ".gitlab-ci.yml"
UPGRADE = ".github/workflows/upgrade.yml"
TEMPLATES = {"github": ("bake.yml.j2", GITHUB), "gitlab": ("gitlab-ci.yml.j2", GITLAB)}
PIPELINES = (GITHUB, GITLAB, UPGRADE)

GITHUB_REGISTRY = "ghcr.io"

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
    cache_from: str  # as the bake file reads it, with LANE for the lane's name; "" = nowhere
    cache_to: str


def workflow(plan: Plan, own: bool) -> Workflow:
    """Decide what a pipeline depends on. `own`: in slimbake's own repository."""
    host = plan.registry.partition("/")[0]
    login = host if "." in host or ":" in host or host == "localhost" else ""
    secrets = {s.name for target in plan.targets for s in target.secrets if s.source == "env"}
    cache_from, cache_to = _caches(plan)
    return Workflow(
        install=_OWN if own else (f"{_LOCKED} --requirement {TOOL}",),
        pushes=plan.registry != plan.project,
        login=login,
        own_token=login == GITHUB_REGISTRY,
        emulate=any(lane.emulates for lane in plan.pipeline.lanes),
        lanes=len(plan.pipeline.lanes) > 1,
        runner=plan.pipeline.lanes[0].runner,
        secrets=tuple(sorted(secrets)),
        cache_from=cache_from,
        cache_to=cache_to,
    )


def _caches(plan: Plan) -> tuple[str, str]:
    """Where a job reads the caches of targets, and where it writes them: one scope for each target
    and lane.
    """
    match plan.pipeline.cache:
        case "gha":
            at = f"type=gha,scope={scope(plan.project, '{target}', 'LANE')}"
            return at, f"{at},mode=max,ignore-error=true"
        case "registry":
            at = f"type=registry,ref={plan.registry}/{{target}}:buildcache.LANE"
            more = f"compression={plan.compression.type},ignore-error=true"
            return at, f"{at},mode=max,image-manifest=true,oci-mediatypes=true,{more}"
    return "", ""
