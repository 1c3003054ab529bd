"""Removes from the engine what slimbake made for one project, told by its labels."""

from __future__ import annotations

from slimbake import docker

OURS = ("slimbake/", "slimbake-debug/")  # names that slimbake gives, besides those of releases


def prune(project: str, everything: bool) -> tuple[str, ...]:
    """Remove of a project what no release names, or all of it; the names of those that are gone.

    An image that a container still runs stays.
    """
    gone = docker.remove_dangling(project)
    for names in docker.project_images(project).values():
        ours = (name for name in names if everything or name.startswith(OURS))
        gone += [name for name in ours if "<none>" not in name and docker.remove_image(name)]
    return tuple(gone)
