"""The images of the repository's own compose file that services need beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from slimbake import docker
from slimbake.config.document import Places
from slimbake.config.files import own_compose
from slimbake.console import Console
from slimbake.docker.beside import OwnServices
from slimbake.errors import SetupError
from slimbake.externals.resolve import in_engine


@dataclass(frozen=True, slots=True)
class BesideImage:
    """An image that a service of the compose file runs, and who needs it."""

    image: str
    place: str  # docker-compose.yml:3
    service: str  # of the compose file
    needed_by: tuple[str, ...]  # services of the fleet


def beside_images(
    file: Path, compose_services: OwnServices, needs: Mapping[str, Sequence[str]]
) -> tuple[BesideImage, ...]:
    """Each image that these services need. `needs`: service -> services of the compose file."""
    needing: dict[str, list[str]] = {}
    for service, names in needs.items():
        for neighbour in compose_services.needed(names):
            needing.setdefault(neighbour, []).append(service)
    document = own_compose(file.parent)
    places = Places(document.text)
    lines = {name: places.key(("services", name, "image")).line for name in document.services}
    return tuple(
        BesideImage(
            image=image,
            place=f"{file.name}:{lines[name]}" if name in lines else file.name,
            service=name,
            needed_by=tuple(needing[name]),
        )
        for name, image in compose_services.images(needing).items()
    )


def lacking(images: Sequence[BesideImage]) -> tuple[BesideImage, ...]:
    """Those of these images that the engine does not have."""
    with ThreadPoolExecutor() as pool:
        available = list(pool.map(lambda each: in_engine(each.image), images))
    return tuple(image for image, there in zip(images, available, strict=True) if not there)


def pull(images: Iterable[BesideImage], console: Console) -> None:
    """Have the engine pull these images. Raises SetupError for all that it cannot."""
    by_image: dict[str, list[BesideImage]] = {}
    for neighbour in images:
        by_image.setdefault(neighbour.image, []).append(neighbour)
    if not by_image:
        return
    console.say(f"pulling {', '.join(by_image)}")
    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(_pull, by_image))
    faults = []
    lines = []
    for name, why in zip(by_image, reasons, strict=True):
        if why:
            faults.append(name)
            lines += [_lacking_image(image, why) for image in by_image[name]]
    if faults:
        raise SetupError("\n".join(lines), how_to_get(faults))


def _pull(image: str) -> str:
    """Why an image cannot be pulled; "" where it can."""
    try:
        docker.pull_image(image, "")
    except SetupError as error:
        return error.hint.strip().rpartition("\n")[2].rpartition(": ")[2] or error.message
    return ""


def _lacking_image(missing: BesideImage, why: str) -> str:
    return (
        f"{missing.place}: the engine has no image {missing.image}, and cannot pull it ({why})\n"
        f"  {', '.join(missing.needed_by)} cannot start without '{missing.service}'"
    )


def how_to_get(images: Iterable[str]) -> str:
    """What to do about images that are missing."""
    return (
        f"make the registry reachable, or bring in {', '.join(images)} with `docker load`; or remove"
        " `start: {with: ...}` of services that start without"
    )
