"""Volumes of the engine with the files of an image: engines before 28 mount no images."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tarfile
from typing import IO

from slimbake.console import QUIET
from slimbake.docker.command import call, succeeds
from slimbake.docker.images import PROJECT, find_image, pull_image, saved
from slimbake.errors import SetupError
from slimbake.host.files import exclusively

IMAGE = "slimbake.image"  # label of a volume: the image whose files it has
_PLACE = "/files"


def image_volume(image: str, project: str) -> str:
    """The volume with the files of an image of one layer; it is made where there is none.

    `image`: its name or id; one of a registry, by its digest, is pulled. `project`: whose `prune`
    removes the volume. Raises SetupError with Docker's own words.
    """
    engine_image = find_image(image)
    id_ = engine_image.id if engine_image else pull_image(image, "")
    name = f"slimbake-{id_.removeprefix('sha256:')[:24]}"
    with exclusively(name, QUIET):
        # One that was killed while it copied has left the container, too.
        if _listed("volume", name) and not _listed("container", name, "--all"):
            return name
        _discard(name)
        labels = (f"--label={PROJECT}={project}", f"--label={IMAGE}={id_}")
        call("volume", "create", *labels, name)
        call("container", "create", f"--name={name}", f"--volume={name}:{_PLACE}", id_, "none")
        try:
            with saved([id_]) as stream:
                _fill(stream, name)
        except BaseException:
            _discard(name)
            raise
        call("container", "rm", name)
    return name


def remove_volumes(project: str) -> list[str]:
    """Remove those of a project that no container has; their names."""
    filters = (f"--filter=label={PROJECT}={project}", f"--filter=label={IMAGE}")
    names = call("volume", "ls", "--quiet", *filters).split()
    return [name for name in names if succeeds("volume", "rm", name)]


def _discard(name: str) -> None:
    for kind in ("container", "volume"):
        succeeds(kind, "rm", "--force", name)


def _listed(kind: str, name: str, *options: str) -> bool:
    return bool(call(kind, "ls", *options, "--quiet", f"--filter=name=^{name}$").strip())


def _fill(stream: IO[bytes], container: str) -> None:
    """Copy the layer of a saved image to the volume of a container."""
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            blob = member.name.startswith("blobs/") or member.name.endswith("/layer.tar")
            content = tar.extractfile(member) if blob else None
            if content is None:
                continue
            first = content.read(1)
            if first not in (b"", b"{"):  # its other blobs are JSON
                _copy(first, content, container)


def _copy(first: bytes, content: IO[bytes], container: str) -> None:
    command = ["docker", "cp", "-", f"{container}:{_PLACE}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as copying:
        assert copying.stdin and copying.stderr  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its own words say why
            copying.stdin.write(first)
            shutil.copyfileobj(content, copying.stdin, 1 << 20)
            copying.stdin.close()
        error = copying.stderr.read().decode(errors="replace").strip()
    if copying.returncode:
        raise SetupError("the files of an image could not be copied to a volume", error)
