"""What the GitHub Actions workflow says of a plan. Services stand in the matrix at run time, never in the file."""

from __future__ import annotations

from dataclasses import dataclass

from slimbake.plan.model import Plan

PATH = ".github/workflows/bake.yml"

GITHUB_REGISTRY = "ghcr.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What `bake.yml.j2` lays out."""

    tool: str  # what pip installs to get slimbake: `slimbake==1.2`, or `.` in its own checkout
    pushes: bool  # a manifest without a registry names nothing to push to
    login: str  # the registry's host, "" = Docker Hub
    own_token: bool  # the registry is GitHub's: the job's own token opens it
    proves: bool  # layers carry passes, whose evidence is sampled
    emulate: bool  # some image is for another platform than the runner's
    secrets: tuple[str, ...]  # the variables that hold build secrets


def workflow(plan: Plan, tool: str) -> Workflow:
    """Decide what the workflow depends on."""
    host = plan.registry.partition("/")[0]
    login = host if "." in host or ":" in host or host == "localhost" else ""
    platforms = {*plan.platforms, *(platform for target in plan.targets for platform in target.platforms)}
    secrets = {s.name for target in plan.targets for s in target.secrets if s.source == "env"}
    return Workflow(
        tool=tool,
        pushes=plan.registry != plan.project,
        login=login,
        own_token=login == GITHUB_REGISTRY,
        proves=any(t.recipe and t.recipe.install and t.recipe.install.passes for t in plan.targets),
        emulate=platforms != {"linux/amd64"},
        secrets=tuple(sorted(secrets)),
    )
