"""Removes from the engine what slimbake made for one project, told by its labels."""

from __future__ import annotations

from slimbake import docker
from slimbake.docker import PROJECT, remove_dangling, removed

OURS = ("slimbake/", "slimbake-debug/")  # names that slimbake gives, besides those of releases


def prune(project: str, everything: bool) -> tuple[str, ...]:
    """Remove of a project what no release names, or all of it; the names of those that are gone.

    An image that a container still runs stays.
    """
    gone = remove_dangling(project)
    for image in docker.client().image.list(filters=[("label", f"{PROJECT}={project}")]):
        ours = (name for name in image.repo_tags if everything or name.startswith(OURS))
        gone += [name for name in ours if removed(name)]
    return tuple(gone)
