"""The externals of a manifest: where each image can be had."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from slimbake import docker
from slimbake.docker.engine import DockerEngine, expect_engine
from slimbake.errors import SetupError
from slimbake.fleet.model import External

# seconds: where packets are dropped, each run waits so long; a busy machine needs a few
_REGISTRY_TIMEOUT = 15.0
LABEL = "slimbake.standin"
"""The label of a local image that stands in for one that no registry gives here; what is made with
it is not pushed beyond loopback.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Where one external comes from in this run."""

    name: str
    # As the manifest names it.
    image: str
    context: str  # the value of a named context: `docker-image://...`
    standin: bool
    # Changes when the image does: its digest; of a stand-in, that of its first layer.
    digest: str


@dataclass(frozen=True, slots=True)
class Externals:
    """Where every external comes from in this run, in the manifest's order."""

    resolved: tuple[Resolved, ...]

    def __getitem__(self, name: str) -> Resolved:
        """The external of that name; KeyError where there is none."""
        return {external.name: external for external in self.resolved}[name]

    @property
    def standins(self) -> tuple[str, ...]:
        """The names of those that a local image stands in for; what is made with one is not pushed
        beyond loopback.
        """
        return tuple(external.name for external in self.resolved if external.standin)


@dataclass(frozen=True, slots=True)
class AvailableImage:
    """An image that can be had: where, and its digest."""

    where: str  # engine, registry
    digest: str
    standin: bool = False


def resolve_externals(externals: Iterable[External], engine: DockerEngine) -> Externals:
    """Where each external can be had: in the engine, or in its registry.

    Raises SetupError for one that is in neither.
    """
    requested = tuple(externals)
    there = zip(requested, available_images(requested, engine), strict=True)
    return Externals(
        tuple(_resolved(external, available_image, engine) for external, available_image in there)
    )


def available_images(
    externals: Iterable[External], engine: DockerEngine
) -> tuple[AvailableImage | None, ...]:
    """Where each external can be had, None for one that cannot; nothing is made or pulled."""
    images = [external.reference for external in externals]
    if not images:
        return ()
    # Only the engine's own builder sees the engine's images.
    local = engine.builder == "docker"
    with ThreadPoolExecutor(len(images)) as pool:
        return tuple(
            pool.map(
                lambda image: (in_engine(image) if local else None) or in_registry(image), images
            )
        )


def in_engine(image: str) -> AvailableImage | None:
    """An image as the engine holds it; the engine then builds from it without asking a registry."""
    with contextlib.suppress(SetupError):  # an engine that does not answer holds none
        if engine_image := docker.find_image(image):
            digest = engine_image.digests[0] if engine_image.digests else engine_image.id
            if LABEL in engine_image.labels and engine_image.layers:
                # each engine gives what it imports another digest
                return AvailableImage("engine", engine_image.layers[0], standin=True)
            return AvailableImage("engine", digest)
    return None


@functools.cache
def in_registry(image: str) -> AvailableImage | None:
    """An image as its registry holds it, asked once in a run and for a few seconds at most."""
    digest, _ = docker.registry_answer(image, _REGISTRY_TIMEOUT)
    return AvailableImage("registry", digest) if digest else None


def _resolved(
    external: External, available: AvailableImage | None, engine: DockerEngine
) -> Resolved:
    image = external.reference
    if available is None:
        bring = f"bring the image in: docker pull {image}, docker load"
        if engine.builder != "docker":
            bring = "name an image under `externals:` that the builder reaches: it sees none of"
            bring += " this machine's engine"
        raise SetupError(
            f"external {external.name}: {image} cannot be reached",
            f"make its registry reachable, or {bring}",
        )
    if available.where == "registry" and "@" not in image:
        image = f"{image}@{available.digest}"
    return Resolved(
        name=external.name,
        image=external.reference,
        context=f"docker-image://{image}",
        standin=available.standin,
        digest=available.digest,
    )


def context_of(external: External) -> str:
    """Where one external can be had now, as a named context. Raises SetupError."""
    (resolved,) = resolve_externals((external,), expect_engine()).resolved
    return resolved.context
