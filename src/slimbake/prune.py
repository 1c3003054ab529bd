"""Removes from the engine what slimbake made for one project, told by its labels."""

from __future__ import annotations

from slimbake import docker
from slimbake.containers import DEBUG, PROJECT


def prune(project: str, everything: bool) -> tuple[str, ...]:
    """Remove untagged and debug images of a project, or all its images; the names of those that are gone.

    An image that a container still runs stays.
    """
    from python_on_whales.exceptions import DockerException

    client = docker.client()
    of_project = {"label": f"{PROJECT}={project}"}
    images = client.image.list(filters=of_project) if everything else [
        *client.image.list(filters=of_project | {"dangling": "true"}),
        *client.image.list(filters={"label": [f"{PROJECT}={project}", DEBUG]}),
    ]  # fmt: skip
    gone = []
    for image in images:
        for name in image.repo_tags or [image.id]:
            try:
                client.image.remove(name)
            except DockerException:
                continue
            gone.append(name)
    return tuple(gone)
