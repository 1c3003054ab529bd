"""One image at a time: a shell in it, its reference for parity; and what is left of a project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from slimbake import docker
from slimbake.checks.surroundings import mounting, surroundings
from slimbake.docker.images import PROJECT
from slimbake.docker.volumes import remove_volumes
from slimbake.errors import SetupError
from slimbake.host.files import checkout, content, stands_for
from slimbake.inside import from_stdin, with_check_pyz
from slimbake.plan.model import Plan, Running

DEBUG = "slimbake.debug"
_TO_BECOME_NONROOT = (
    "--cap-add=SETUID",
    "--cap-add=SETGID",
    "--cap-add=DAC_READ_SEARCH",
    "--cap-add=KILL",
)

_NOT_FOUND = 127  # the exit code of `docker run` where the program is not in the image

DEBUG_DOCKERFILE = """\
FROM python AS tools
FROM image
USER 0:0
COPY --from=tools / /
COPY --from=image /etc/passwd /etc/group /etc/
USER {user}
ENV PS1='debug:\\w\\$ '
ENTRYPOINT []
CMD ["/bin/bash", "--norc"]
"""


def debug(plan: Plan, service: str, image: str, python: str, arguments: Sequence[str]) -> int:
    """A shell, or a command, in a derived image with the tools of the external Python image; never
    pushed.

    `python`: the context value of that external. An image with a Dockerfile of its own has what its
    base image has, as has one on an image of `from`: tools of another system on top of it would
    break it. Returns the exit code. Raises SetupError where such an image has no shell.
    """
    docker.image_ids({service: image})
    (running,) = plan.running([service])
    if running.own_dockerfile or running.image:
        return _debug_own(running, image, arguments)
    options = mounting(running)
    derived = f"slimbake-debug/{plan.project}-{service}"
    docker.build(
        DEBUG_DOCKERFILE.format(user=running.user),
        {"image": f"docker-image://{image}", "python": python},
        f"type=image,name={derived},compression=uncompressed",
        labels={DEBUG: "true", PROJECT: plan.project},
    )
    try:
        return docker.run_foreground(*options, derived, *arguments)
    finally:
        docker.remove_image(derived)


def _debug_own(service: Running, image: str, arguments: Sequence[str]) -> int:
    program, *rest = arguments or ("/bin/sh",)
    options = []
    if service.user:
        options.append(f"--user={service.user}")
    options += mounting(service)
    code = docker.run_foreground(*options, f"--entrypoint={program}", image, *rest)
    if code == _NOT_FOUND and not arguments:
        why = "its Dockerfile is not slimbake's, which would know how to add one"
        if service.image:
            why = f"there is none in {service.image}, from which it starts"
        raise SetupError(
            f"the image of {service.service} has no shell: {why}",
            f"run a program that it has: `slimbake debug {service.service} PROGRAM ARGUMENT...`",
        )
    return code


def record_reference(plan: Plan, service: str, image: str, root: Path) -> str:
    """What a service's smoke says of its own image as a reference for parity: JSON."""
    target = plan.target(f"{service}-smoke")
    (running,) = plan.running([service])
    source = content(root / target.context, target.smoke_files[0]).decode("latin-1")
    options = ["--network=none", *surroundings(running)]
    program = ["smoke", "--reference"]
    if running.user:
        options += ["--user=0:0", *_TO_BECOME_NONROOT]
        program.append("--as-nonroot")
    options += [f"--env={key}={value}" for key, value in target.checked_with]
    return docker.container_output(
        *options,
        f"--entrypoint={running.python}",
        image,
        *from_stdin(*program),
        stdin=with_check_pyz(json.dumps(source)),
    )


# Removes from the engine what slimbake made for one project, known by its labels.

OURS = ("slimbake/", "slimbake-debug/")  # names that slimbake gives, besides those of releases


def prune(project: str, root: Path, everything: bool) -> tuple[str, ...]:
    """Remove of a project what no release names, or all of it; the names of those that are gone.

    What another folder of the same project has built stays, as long as that folder is there. An
    image that a container still runs stays.
    """
    here = checkout(root)
    images = docker.project_images(project)
    gone = [
        *docker.remove_owned(docker.orphaned),
        *remove_volumes(project),
        *docker.remove_dangling(project),
    ]
    for names in images.values():
        others = {name for name in names if _of_another(name, here)}
        for name in names:
            if name in others or "<none>" in name:
                continue
            released = not name.startswith(OURS)
            if released and (others or not everything):
                continue
            if docker.remove_image(name):
                gone.append(name)
    return tuple(gone)


def _of_another(name: str, here: str) -> bool:
    """Whether a name was given while another folder, which is still there, was built."""
    word = name.rpartition(":")[2].partition("-")[2]
    return name.startswith(OURS) and word not in ("", here) and stands_for(word) is not None
