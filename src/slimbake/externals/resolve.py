"""The externals of a manifest: the real image where it can be had, a stand-in where it cannot."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from slimbake.config.model import External
from slimbake.docker.engine import Engine
from slimbake.errors import SetupError
from slimbake.externals.foreign import together, uv_program
from slimbake.externals.standin import LABEL, python_standin, root_digest
from slimbake.externals.tools import digest as tools_digest
from slimbake.externals.tools import tools_standin
from slimbake.host import process
from slimbake.host.files import state_folder
from slimbake.host.machine import Machine, machine
from slimbake.images import this_platform

Say = Callable[[str], None]

# seconds: where packets are dropped, each run waits so long; a busy machine needs a few
_REGISTRY_TIMEOUT = 15.0
STANDINS = ("python", "uv", "tools")
"""The externals that slimbake can replace, by their name in the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Where one external comes from in this run."""

    name: str
    image: str
    """As the manifest names it."""
    context: str
    """The value of a named context: `docker-image://...`, or a folder."""
    standin: bool
    digest: str
    """Changes when what it stands for does: an image's digest, a stand-in's content, uv's version.
    """


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
class Found:
    """An image that can be had: where, and its digest."""

    where: str  # engine, registry
    digest: str
    standin: bool = False


def resolve(
    externals: Iterable[External],
    python: str,
    engine: Engine,
    here: Machine,
    say: Say,
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
                else _stand_in(external, python, engine, here, say, install, on)
            )
            for external, found in zip(wanted, look(wanted, engine), strict=True)
        )
    )


def look(externals: Iterable[External], engine: Engine) -> tuple[Found | None, ...]:
    """Where each external can be had, None for one that cannot; nothing is made or pulled."""
    images = [external.image for external in externals]
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


def in_engine(image: str) -> Found | None:
    """An image as the engine holds it; the engine then builds from it without asking a registry."""
    shown = process.run(
        ["docker", "image", "inspect", "--format", "{{json .}}", image], timeout=process.LOOK
    )
    if not shown.ok:
        return None
    image_info = json.loads(shown.stdout)
    digests = [name.partition("@")[2] for name in image_info.get("RepoDigests") or []]
    # A stand-in under another name is still one.
    standin = LABEL in (image_info["Config"].get("Labels") or {})
    return Found("engine", digests[0] if digests else image_info["Id"], standin)


@functools.cache
def in_registry(image: str) -> Found | None:
    """An image as its registry holds it, asked once in a run, for 15 s at most."""
    words = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image]
    try:
        asked = process.run(words, timeout=_REGISTRY_TIMEOUT)
    except SetupError:  # a machine without Docker can lock
        return None
    try:
        return Found("registry", json.loads(asked.stdout)["digest"]) if asked.ok else None
    except (ValueError, KeyError):
        return None


def _real(external: External, found: Found) -> Resolved:
    image = external.image
    if found.where == "registry" and "@" not in image:
        image = f"{image}@{found.digest}"
    return Resolved(
        name=external.name,
        image=external.image,
        context=f"docker-image://{image}",
        standin=found.standin,
        digest=found.digest,
    )


def _stand_in(
    external: External,
    python: str,
    engine: Engine,
    here: Machine,
    say: Say,
    install: bool,
    platforms: tuple[str, ...],
) -> Resolved:
    unreachable = f"external {external.name}: {external.image} cannot be reached"
    if external.name not in STANDINS:
        raise SetupError(
            f"{unreachable}, and slimbake has no stand-in for it",
            f"make its registry reachable, or bring the image in: docker pull {external.image},"
            " docker load",
        )
    if engine.builder != "docker" and (external.name != "uv" or len(platforms) > 1):
        raise SetupError(
            f"{unreachable}, and a {engine.builder} builder sees no stand-in",
            "use the engine's own builder: --builder default",
        )
    made: dict[str, str] = {}
    digests = []
    for platform in platforms:
        other = "" if platform == this_platform() else platform
        if external.name == "uv":
            made[platform] = str(uv_standin(other, here))
            digests.append(f"uv-{uv_version()}")
        elif external.name == "tools":
            debian = python_standin(python, here, say, install, other)
            folder = tools_standin(f"docker-image://{debian}", platform)
            made[platform] = str(folder)
            digests.append(tools_digest(folder))
        else:
            reference = python_standin(python, here, say, install, other)
            made[platform] = f"docker-image://{reference}"
            digests.append(root_digest(reference))
    context = made[platforms[0]]
    if len(made) > 1:
        version = uv_version() if external.name == "uv" else python
        context = f"docker-image://{together(f'{external.name}:{version}', made)}"
    return _replaced(external, context, " ".join(digests))


def _replaced(external: External, context: str, digest: str) -> Resolved:
    return Resolved(
        name=external.name, image=external.image, context=context, standin=True, digest=digest
    )


def uv_version() -> str:
    """The version of the uv that slimbake depends on, and so has."""
    return importlib.metadata.version("uv")


def uv_standin(platform: str = "", here: Machine | None = None) -> Path:
    """A folder that holds `uv` and nothing else, as the image of uv does; made once for each
    version and platform.

    `platform`: another than this machine's, for which the index is asked. Raises SetupError.
    """
    folder = state_folder() / "-".join(
        filter(None, (f"uv-{uv_version()}", platform.replace("/", "-")))
    )
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".uv-") as name:
            made = Path(name) / "made"
            made.mkdir()
            if platform:
                uv_program(uv_version(), platform, here or machine(), made / "uv")
            else:
                shutil.copy(find_uv_bin(), made / "uv")
                (made / "uv").chmod(0o755)
            try:
                made.rename(folder)
            except OSError:
                # Another slimbake was faster; what it made is the same.
                if not folder.is_dir():
                    raise
    return folder
