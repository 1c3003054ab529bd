"""Removes from the engine what slimbake made for one project, told by its labels."""

from __future__ import annotations

from slimbake import docker
from slimbake.deploy.containers import PROJECT
from slimbake.errors import SetupError

OURS = ("slimbake/", "slimbake-debug/")  # names that slimbake gives, besides those of releases


def prune(project: str, everything: bool) -> tuple[str, ...]:
    """Remove of a project what no release names, or all of it; the names of those that are gone.

    An image that a container still runs stays.
    """
    gone = remove_dangling(project)
    for image in docker.client().image.list(filters=[("label", f"{PROJECT}={project}")]):
        ours = (name for name in image.repo_tags if everything or name.startswith(OURS))
        gone += [name for name in ours if _removed(name)]
    return tuple(gone)


def remove_dangling(project: str) -> list[str]:
    """Remove the images of a project that lost their names to newer ones."""
    # Not by python-on-whales, whose `True` the engine does not take for `true`.
    filters = ("--filter=dangling=true", f"--filter=label={PROJECT}={project}")
    found = docker.call("image", "ls", "--quiet", "--no-trunc", *filters).split()
    names = (
        docker.call("image", "inspect", "--format={{.Id}} {{len .RepoTags}}", *found).splitlines()
        if found
        else ()
    )
    nameless = (line.removesuffix(" 0") for line in names if line.endswith(" 0"))
    return [name for name in nameless if _removed(name)]


def _removed(name: str) -> bool:
    try:
        docker.call("image", "rm", name)
    except SetupError:  # a container still runs it
        return False
    return True
