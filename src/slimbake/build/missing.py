"""Which images a registry has already, by their fingerprints; what is in doubt counts as missing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from slimbake.build.released import tag
from slimbake.console import Console
from slimbake.plan.model import Plan
from slimbake.registry import ImageRepository
from slimbake.registry.address import endpoint
from slimbake.registry.errors import RegistryError
from slimbake.registry.together import ask_together

if TYPE_CHECKING:  # requests costs 0.1 s
    from slimbake.registry.session import Host

T = TypeVar("T")
State = Literal["held", "absent", "doubt"]

SECONDS = 60.0
"""For the answers to one question about all images: a registry that needs more is not asked on."""
THREADS = 16
_NAMED = 3  # images that a line about doubts names for each reason


@dataclass(frozen=True, slots=True)
class Found:
    """What a registry says of the image that a target would be built to."""

    target: str
    state: State
    digest: str = ""  # of what is held
    why: str = ""  # there is a doubt, in a few words


def missing(
    plan: Plan,
    targets: Iterable[str],
    fingerprints: Mapping[str, str],
    registry: str,
    console: Console,
    ca_bundle: str = "",
    seconds: float = SECONDS,
) -> tuple[Found, ...]:
    """Ask a registry for the images of these services and bases, and give what it says of each, in
    order.

    One HEAD for each, several at once. `fingerprints`: what `released` gives; what has none is
    absent. All but `held` is to be built. Doubts are said, in one line; nothing that the registry
    does or leaves undone is raised.
    """
    names = tuple(targets)
    found = {name: Found(name, "absent") for name in names}
    asked = {
        name: f"{registry}/{plan.target(name).repository}" for name in names if name in fingerprints
    }
    for name, answer in answers(
        asked, lambda name, at: at.digest(tag(fingerprints[name])), ca_bundle, seconds
    ).items():
        found[name] = (
            doubted(name, answer) if isinstance(answer, RegistryError) else _found(name, answer)
        )
    told(found.values(), console)
    return tuple(found.values())


def answers(
    repositories: Mapping[str, str],
    ask: Callable[[str, ImageRepository], T],
    ca_bundle: str,
    seconds: float,
) -> dict[str, T | RegistryError]:
    """What a registry answers for each image, or why it gives no answer that can be used.

    `repositories`: target -> repository, all of one registry; `ask`: what is asked of each, on one
    of many threads.
    """
    from slimbake.registry.session import Host

    if not repositories:
        return {}
    where = endpoint(next(iter(repositories.values())))
    (host,) = ask_together([lambda: Host(where, ca_bundle)], seconds, 1)
    if isinstance(host, RegistryError):
        return dict.fromkeys(repositories, host)
    with contextlib.closing(host):
        calls = [
            partial(_asked, ask, name, repository, host)
            for name, repository in repositories.items()
        ]
        return dict(zip(repositories, ask_together(calls, seconds, THREADS), strict=True))


def _asked(ask: Callable[[str, ImageRepository], T], name: str, repository: str, host: Host) -> T:
    return ask(name, ImageRepository(repository, at=host))


def _found(name: str, digest: str | None) -> Found:
    return Found(name, "held", digest) if digest else Found(name, "absent")


def doubted(name: str, error: RegistryError) -> Found:
    """A target for whose image the registry gave no usable answer."""
    return Found(name, "doubt", why=error.why)


def told(found: Iterable[Found], console: Console) -> None:
    """Say in one line which targets are built to be sure, and why."""
    reasons: dict[str, list[str]] = {}
    for each in found:
        if each.state == "doubt":
            reasons.setdefault(each.why, []).append(each.target)
    if reasons:
        words = "; ".join(f"{_some(names)}: the registry {why}" for why, names in reasons.items())
        console.say(f"built to be sure: {words}")


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_NAMED])} and {more} others"
