"""The images of the engine: inspect, tag, push, save, import and remove them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slimbake.docker.command import call, client
from slimbake.errors import SetupError
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
    # Not python-on-whales: a bake that builds nothing asks this.
    found = json.loads(call("image", "inspect", "--format={{json .}}", name, timeout=30))
    config = found.get("Config") or {}
    return EngineImage(
        id=found["Id"],
        digests=tuple(each.partition("@")[2] for each in found.get("RepoDigests") or ()),
        labels=config.get("Labels") or {},
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        layers=tuple(found.get("RootFS", {}).get("Layers") or ()),
    )


def find_image(name: str) -> EngineImage | None:
    """An image by its name or id; None where the engine has none.

    Raises SetupError where the engine does not answer.
    """
    try:
        return engine_image(name)
    except SetupError as error:
        if any(words in error.hint.lower() for words in _NO_IMAGE):
            return None
        raise


def image_ids(names: Mapping[str, str]) -> dict[str, str]:
    """The ids of images. `names`: service -> name of its image.

    Raises SetupError that lists the services whose image the engine does not have.
    """
    found = {of: find_image(name) for of, name in names.items()}
    if missing := [of for of, held in found.items() if held is None]:
        raise SetupError(
            f"the engine has no image of: {', '.join(missing)}", "`slimbake bake` builds them"
        )
    return {of: held.id for of, held in found.items() if held}


def same_image(*names: str) -> bool:
    """Whether these images have the same layers and the same configuration."""
    # Not python-on-whales: it drops the fields of a configuration that it does not know.
    form = "--format={{json .RootFS}} {{json .Config}}"
    return len(set(call("image", "inspect", form, *names).splitlines())) == 1


def image_history(name: str) -> list[str]:
    """The steps that made an image, as in its Dockerfile, the last one first."""
    # Not python-on-whales: its `history` is not implemented.
    return call("history", "--no-trunc", "--format={{.CreatedBy}}", name).splitlines()


def project_images(project: str) -> dict[str, tuple[str, ...]]:
    """The images of a project that the engine holds: their ids, each with its names."""
    form = "--format={{.ID}} {{.Repository}}:{{.Tag}}"
    label = f"--filter=label={PROJECT}={project}"
    found: dict[str, tuple[str, ...]] = {}
    for line in call("image", "ls", "--no-trunc", label, form).splitlines():
        id_, name = line.split(" ", 1)
        found[id_] = (*found.get(id_, ()), name)
    return found


def held_images(ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Those of these images that the engine holds: their ids, each with its names.

    `image ls` looks into every image of the engine: half a second where there are many. Raises
    SetupError where the engine does not answer.
    """
    if not ids:
        return {}
    form = "--format={{.Id}} {{json .RepoTags}}"
    done = process.execute(["docker", "image", "inspect", form, *ids], timeout=process.LOOK)
    if not done.ok and not any(words in done.stderr.lower() for words in _NO_IMAGE):
        raise SetupError("docker image failed", done.stderr.strip())
    found = (line.split(" ", 1) for line in done.stdout.splitlines() if line)
    return {id_: tuple(json.loads(names) or ()) for id_, names in found}


def image_sizes(names: Sequence[str]) -> dict[str, int]:
    """The bytes of those of these images that the engine holds, by the names asked for; of none,
    where there is no engine. An engine with the containerd store says how large they are compressed.
    """
    if not names:
        return {}
    form = "--format={{.Size}} {{json .RepoTags}}"
    try:
        done = process.execute(["docker", "image", "inspect", form, *names], timeout=process.LOOK)
    except SetupError:
        return {}
    found: dict[str, int] = {}
    for line in filter(None, done.stdout.splitlines()):
        size, tags = line.split(" ", 1)
        for tag in json.loads(tags) or ():
            found[tag] = found[tag.removesuffix(":latest")] = int(size)
    return {name: found[name] for name in names if name in found}


def remove_dangling(project: str) -> list[str]:
    """Remove the images of a project that lost their names to newer ones; returns their ids."""
    filters = ("--filter=dangling=true", f"--filter=label={PROJECT}={project}")
    found = call("image", "ls", "--quiet", "--no-trunc", *filters).split()
    form = "--format={{.Id}} {{len .RepoTags}}"
    lines = call("image", "inspect", form, *found).splitlines() if found else ()
    nameless = (line.removesuffix(" 0") for line in lines if line.endswith(" 0"))
    return [id_ for id_ in nameless if remove_image(id_)]


def remove_image(name: str) -> bool:
    """Remove an image, or one of its names; false where a container still uses it."""
    try:
        call("image", "rm", name)  # not python-on-whales: each bake of an edit does so
    except SetupError:
        return False
    return True


def tag_image(name: str, other: str) -> None:
    """Give an image another name."""
    call("image", "tag", name, other)


PUSH_SILENCE = 300.0  # seconds; some registries need minutes to store a large layer
PUSH_TRIES = 3
# What may pass: the registry or the network failed, and nobody was refused.
_PASSING = re.compile(
    r"no progress|reset by peer|broken pipe|\bEOF\b|time(?:d )?-?out|temporar|too many requests"
    r"|bad gateway|unavailable|\b(?:429|50[0-4])\b",
    re.IGNORECASE,
)


def push_image(name: str) -> None:
    """Push an image under one of its names; what may pass is tried again, and layers that arrived
    are not sent again.

    Raises SetupError with the registry's words.
    """
    for attempt in range(PUSH_TRIES):
        if not (words := _push(name)):
            return
        if not _PASSING.search(words):
            break
        if attempt + 1 < PUSH_TRIES:
            time.sleep(2**attempt)
    raise SetupError("docker push failed", words)


def _push(name: str) -> str:
    """Push once; why that failed, or ""."""
    # Not python-on-whales: it has no limit of time. On a terminal, Docker shows the bytes that each
    # layer has sent. It draws the same lines again and again while none are taken.
    shown, terminal = os.openpty()
    with os.fdopen(shown, "rb", 0) as progress, tempfile.TemporaryFile() as said:
        running = subprocess.Popen(
            ["docker", "image", "push", name],
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=said,
            start_new_session=True,
        )
        os.close(terminal)
        try:
            if not _ends(progress):
                return f"no progress in {PUSH_SILENCE:g} s: the registry hangs"
            code = running.wait()
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
            return (words or f"exit code {code}") if code else ""
        finally:
            running.kill()
            running.wait()


def _ends(progress: IO[bytes]) -> bool:
    """Whether what Docker draws ends; false once it has drawn nothing new for PUSH_SILENCE."""
    drawn: set[bytes] = set()
    rest, last = b"", time.monotonic()
    while (left := last + PUSH_SILENCE - time.monotonic()) > 0:
        if not select.select([progress], [], [], left)[0]:
            continue
        try:
            *lines, rest = (rest + progress.read(1 << 16)).split(b"\r")
        except OSError:  # the other end is closed
            return True
        if not drawn.issuperset(lines):
            drawn.update(lines)
            last = time.monotonic()
    return False


def pull_image(name: str, platform: str) -> str:
    """Bring an image of a registry into the engine; returns its id. `name`: by its digest;
    `platform`: where it is not the engine's.
    """
    with client() as docker:
        docker.image.pull(name, quiet=True, platform=platform or None)
    return engine_image(name).id


def import_image(root: Path, name: str, changes: Sequence[str], platform: str = "") -> None:
    """Make an image of one layer from a tar file, and move the name once it is complete.

    `changes`: lines of a Dockerfile; `platform`: where it is not the engine's.
    """
    with client() as docker:
        docker.image.import_(root, name, changes, platform=platform or None)


@contextlib.contextmanager
def saved(images: Sequence[str]) -> Iterator[IO[bytes]]:
    """The images as one OCI layout in a tar stream, each shared blob once. Raises SetupError with
    Docker's words.
    """
    # Not python-on-whales: it yields lines, and tarfile reads from a file.
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


def registry_digest(name: str, seconds: float) -> str | None:
    """The digest of an image in its registry; None without an answer in so many seconds.

    A machine without Docker gets no answer either.
    """
    return registry_answer(name, seconds)[0] or None


def registry_answer(name: str, seconds: float) -> tuple[str, str]:
    """The digest of an image in its registry; else "", and what the registry says."""
    # Not python-on-whales: it has no timeout and does not return the digest.
    words = ("buildx", "imagetools", "inspect", "--format={{json .Manifest}}", name)
    try:
        return str(json.loads(call(*words, timeout=seconds))["digest"]), ""
    except SetupError as error:
        known = any(said in error.hint for said in ("not found", "does not exist"))
        return "", "has no such image" if known else "cannot be reached"
    except (ValueError, KeyError):
        return "", "cannot be reached"
