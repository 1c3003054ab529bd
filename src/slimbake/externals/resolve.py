"""The externals of a manifest: the real image where it can be had, a stand-in where it cannot."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from slimbake import docker
from slimbake.console import Console
from slimbake.docker.engine import DockerEngine
from slimbake.errors import SetupError
from slimbake.externals.standin import EPOCH, LABEL, python_standin, root_digest, uv_standin
from slimbake.fleet.model import External
from slimbake.host.machine import Machine
from slimbake.host.uv import uv_version
from slimbake.images import this_platform

# seconds: where packets are dropped, each run waits so long; a busy machine needs a few
_REGISTRY_TIMEOUT = 15.0
# The externals that slimbake can replace, by their name in the manifest.
STANDINS = ("python", "uv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Where one external comes from in this run."""

    name: str
    # As the manifest names it.
    image: str
    # The value of a named context: `docker-image://...`, or a folder.
    context: str
    standin: bool
    # Changes when what it stands for does: an image's digest, a stand-in's content, uv's version.
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
        """The names of those that are stood in for; an image made with one is not pushed beyond
        loopback.
        """
        return tuple(external.name for external in self.resolved if external.standin)


@dataclass(frozen=True, slots=True)
class AvailableImage:
    """An image that can be had: where, and its digest."""

    where: str  # engine, registry
    digest: str
    standin: bool = False


def resolve_externals(
    externals: Iterable[External],
    python: str,
    engine: DockerEngine,
    here: Machine,
    console: Console,
    install: bool = False,
    platforms: Iterable[str] = (),
) -> Externals:
    """Decide for each external whether it is the real image or a stand-in, and make the stand-ins.

    `python` is the manifest's version (`3.11`); `install` lets what a stand-in needs be installed;
    `platforms`: what is built for, if not for this machine's alone. Raises SetupError for an
    external that can neither be had nor stood in for.
    """
    wanted, on = tuple(externals), tuple(sorted(platforms)) or (this_platform(),)
    return Externals(
        tuple(
            (
                _real(external, found)
                if found
                else _stand_in(external, python, engine, here, console, install, on)
            )
            for external, found in zip(wanted, available_images(wanted, engine), strict=True)
        )
    )


def expect_available(externals: Iterable[External], engine: DockerEngine) -> None:
    """Raise SetupError for an external that can neither be had nor stood in for. Asks only for
    those that have no stand-in.
    """
    wanted = [external for external in externals if external.name not in STANDINS]
    for external, found in zip(wanted, available_images(wanted, engine), strict=True):
        if found is None:
            raise _missing(external)


def _missing(external: External) -> SetupError:
    return SetupError(
        f"{_unreachable(external)}, and slimbake has no stand-in for it",
        f"make its registry reachable, or bring the image in: docker pull {external.reference},"
        " docker load",
    )


def _unreachable(external: External) -> str:
    return f"external {external.name}: {external.reference} cannot be reached"


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
        if held := docker.find_image(image):
            digest = held.digests[0] if held.digests else held.id
            # A stand-in under another name is still one.
            return AvailableImage("engine", digest, standin=LABEL in held.labels)
    return None


@functools.cache
def in_registry(image: str) -> AvailableImage | None:
    """An image as its registry holds it, asked once in a run and for a few seconds at most."""
    digest = docker.registry_digest(image, _REGISTRY_TIMEOUT)
    return AvailableImage("registry", digest) if digest else None


def _real(external: External, found: AvailableImage) -> Resolved:
    image = external.reference
    if found.where == "registry" and "@" not in image:
        image = f"{image}@{found.digest}"
    return Resolved(
        name=external.name,
        image=external.reference,
        context=f"docker-image://{image}",
        standin=found.standin,
        digest=found.digest,
    )


def _stand_in(
    external: External,
    python: str,
    engine: DockerEngine,
    here: Machine,
    console: Console,
    install: bool,
    platforms: tuple[str, ...],
) -> Resolved:
    if external.name not in STANDINS:
        raise _missing(external)
    if engine.builder != "docker" and (external.name != "uv" or len(platforms) > 1):
        raise SetupError(
            f"{_unreachable(external)}, and a {engine.builder} builder sees no stand-in",
            "use the engine's own builder: --builder default",
        )
    made: dict[str, str] = {}
    digests = []
    for platform in platforms:
        other = "" if platform == this_platform() else platform
        if external.name == "uv":
            made[platform] = str(uv_standin(other, here))
            digests.append(f"uv-{uv_version()}")
        else:
            reference = python_standin(python, here, console, install, other)
            made[platform] = f"docker-image://{reference}"
            digests.append(root_digest(reference))
    context = made[platforms[0]]
    if len(made) > 1:
        version = uv_version() if external.name == "uv" else python
        context = f"docker-image://{multi_platform_standin(f'{external.name}:{version}', made)}"
    return Resolved(
        name=external.name,
        image=external.reference,
        context=context,
        standin=True,
        digest=" ".join(digests),
    )


def headers_standin(
    python: str,
    here: Machine,
    console: Console,
    install: bool = False,
    platforms: Iterable[str] = (),
) -> str:
    """The context that stands in for Python where something is compiled: with headers, as its
    official image has them. Raises SetupError.
    """
    made = {
        platform: python_standin(
            python,
            here,
            console,
            install,
            "" if platform == this_platform() else platform,
            headers=True,
        )
        for platform in tuple(sorted(platforms)) or (this_platform(),)
    }
    contexts = {platform: f"docker-image://{reference}" for platform, reference in made.items()}
    if len(contexts) == 1:
        return next(iter(contexts.values()))
    return f"docker-image://{multi_platform_standin(f'python:{python}-headers', contexts)}"


def multi_platform_standin(name: str, contexts: Mapping[str, str]) -> str:
    """One image for several platforms out of a stand-in for each; its reference. `contexts`:
    platform -> context value.

    Takes a second. Raises SetupError where the engine holds no such images: one without the
    containerd store.
    """
    named = {platform.rpartition("/")[2]: value for platform, value in sorted(contexts.items())}
    reference = f"slimbake-standin/{name}-{'-'.join(named)}"
    try:
        docker.build_image(
            "FROM standin-${TARGETARCH}\n",
            reference,
            {f"standin-{arch}": value for arch, value in named.items()},
            arguments={"SOURCE_DATE_EPOCH": str(EPOCH)},
            platforms=contexts,
        )
    except SetupError as error:
        raise SetupError(
            "the engine makes no stand-in for several platforms:\n"
            + "\n".join(error.hint.splitlines()[-8:]),
            "build one platform at a time: PLATFORMS=linux/amd64 slimbake bake",
        ) from None
    return reference
