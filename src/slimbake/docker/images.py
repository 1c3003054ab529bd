"""The images of the engine: inspect, tag, push, save, import and remove them."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tarfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from slimbake.docker.command import call, succeeds
from slimbake.errors import DockerError, SetupError
from slimbake.host import process

PROJECT = "slimbake.project"  # label of a project's images, and so of every container from them
_NO_IMAGE = ("no such image", "invalid reference format")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """An image that the engine holds."""

    id: str
    # By which registries know it.
    digests: tuple[str, ...]
    labels: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    # Digests of their contents, the lowest first.
    layers: tuple[str, ...]


def engine_image(name: str) -> EngineImage:
    """An image by its name or id. Raises SetupError with Docker's own words."""
    details = json.loads(call("image", "inspect", "--format={{json .}}", name, timeout=30))
    config = details.get("Config") or {}
    digests = [name.partition("@")[2] for name in details.get("RepoDigests") or ()]
    return EngineImage(
        id=details["Id"],
        digests=tuple(digests),
        labels=config.get("Labels") or {},
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        layers=tuple(details.get("RootFS", {}).get("Layers") or ()),
    )


def find_image(name: str) -> EngineImage | None:
    """An image by its name or id; None where the engine has none.

    Raises SetupError where the engine does not answer.
    """
    try:
        return engine_image(name)
    except SetupError as error:
        if any(phrase in error.hint.lower() for phrase in _NO_IMAGE):
            return None
        raise


def image_ids(names: Mapping[str, str]) -> dict[str, str]:
    """The ids of images. `names`: service -> name of its image.

    Raises SetupError that lists the services whose image the engine does not have.
    """
    ids = found_ids(names)
    missing = [service for service in names if service not in ids]
    if missing:
        raise SetupError(
            f"the engine has no image of: {', '.join(missing)}", "`slimbake bake` builds them"
        )
    return ids


def found_ids(names: Mapping[str, str]) -> dict[str, str]:
    """The ids of those of these images that the engine has. `names`: as of `image_ids`."""
    ids = {}
    for service, name in names.items():
        image = find_image(name)
        if image:
            ids[service] = image.id
    return ids


def project_images(project: str) -> dict[str, tuple[str, ...]]:
    """The images of a project that the engine holds: their ids, each with its names."""
    options = ("--format={{.ID}} {{.Repository}}:{{.Tag}}", f"--filter=label={PROJECT}={project}")
    names_of = defaultdict[str, tuple[str, ...]](tuple)
    for line in call("image", "ls", "--no-trunc", *options).splitlines():
        id_, name = line.split(" ")
        names_of[id_] += (name,)
    return names_of


def held_images(ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Those of these images that the engine holds: their ids, each with its names.

    `image ls` looks into every image of the engine: half a second where there are many. Raises
    SetupError where the engine does not answer.
    """
    if not ids:
        return {}
    form = "--format={{.Id}} {{json .RepoTags}}"
    done = process.execute(["docker", "image", "inspect", form, *ids], timeout=process.LOOK)
    if not done.ok and not any(phrase in done.stderr.lower() for phrase in _NO_IMAGE):
        raise DockerError("docker image failed", done.stderr.strip())
    names_of = {}
    for line in done.stdout.splitlines():
        if line:
            id_, names = line.split(" ", 1)
            names_of[id_] = tuple(json.loads(names) or ())
    return names_of


def remove_dangling(project: str) -> list[str]:
    """Remove the images of a project that lost their names to newer ones; returns their ids."""
    filters = ("--filter=dangling=true", f"--filter=label={PROJECT}={project}")
    ids = call("image", "ls", "--quiet", "--no-trunc", *filters).split()
    if not ids:
        return []
    removed = []
    form = "--format={{.Id}} {{len .RepoTags}}"
    for line in call("image", "inspect", form, *ids).splitlines():
        id_, count = line.split(" ")
        if count == "0" and remove_image(id_):
            removed.append(id_)
    return removed


def remove_image(name: str) -> bool:
    """Remove an image, or one of its names; false where a container still uses it."""
    return succeeds("image", "rm", name)


def merge_images(name: str, images: Iterable[str]) -> None:
    """Have a registry know several images of it, each for other platforms, under one name; no engine
    is asked. Raises SetupError with Docker's own words.
    """
    call("buildx", "imagetools", "create", f"--tag={name}", *images)


def tag_image(name: str, other: str) -> None:
    """Give an image another name."""
    call("image", "tag", name, other)


PUSH_TRIES = 3
PUSH_LIMIT = 3600.0  # seconds of one try: a registry that hangs is not waited for for ever
_REFUSED = re.compile(r"denied|unauthorized|forbidden|no basic auth", re.IGNORECASE)


def push_image(name: str) -> None:
    """Push an image under one of its names; what a registry does not refuse is tried again, and
    layers that arrived are not sent again.

    Raises SetupError with the registry's words.
    """
    for attempt in range(PUSH_TRIES):
        time.sleep(attempt)
        done = process.execute(("docker", "image", "push", "--quiet", name), timeout=PUSH_LIMIT)
        if done.ok:
            return
        if _REFUSED.search(done.stderr):
            raise SetupError(
                "docker push failed",
                f"{done.stderr.strip()}\n`docker login` gives this machine an account that may push;"
                " a pipeline has it from the secrets REGISTRY_USERNAME and REGISTRY_PASSWORD",
            )
    raise SetupError("docker push failed", done.stderr.strip())


def pull_image(name: str, platform: str) -> str:
    """Bring an image of a registry into the engine; returns its id. `name`: by its digest;
    `platform`: where it is not the engine's.
    """
    options = [f"--platform={platform}"] if platform else []
    call("image", "pull", "--quiet", *options, name)
    return engine_image(name).id


@contextlib.contextmanager
def saved(images: Sequence[str]) -> Iterator[IO[bytes]]:
    """The images as one OCI layout in a tar stream, each shared blob once. Raises SetupError with
    Docker's words.
    """
    with subprocess.Popen(
        ["docker", "save", *images], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout and running.stderr  # noqa: S101 - for the type checker
        try:
            yield running.stdout
        except tarfile.TarError:
            pass  # the engine has ended early, and its own words say more
        except BaseException:
            running.kill()
            raise
        while running.stdout.read(1 << 20):  # what follows the end of the archive
            pass
        error = running.stderr.read().decode(errors="replace").strip()
        if running.wait():
            raise SetupError("the engine could not save images", error)


def registry_answer(name: str, seconds: float) -> tuple[str, str]:
    """The digest of an image in its registry; else "", and what the registry says."""
    arguments = ("buildx", "imagetools", "inspect", "--format={{json .Manifest}}", name)
    try:
        return str(json.loads(call(*arguments, timeout=seconds))["digest"]), ""
    except (SetupError, ValueError, KeyError) as error:
        if re.search("not found|does not exist", getattr(error, "hint", "")):
            return "", "has no such image"
        return "", "cannot be reached"
