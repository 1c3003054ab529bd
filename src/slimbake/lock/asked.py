"""What every lock has to answer now, as digests: compared with what the committed ones answer."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from slimbake.config.naming import base_layer
from slimbake.config.pyproject import PYPROJECT, SETUP_CFG, SETUP_PY
from slimbake.fleet.layering.sharing import Sharing
from slimbake.fleet.model import Base, Fleet, Layer, Package, Service
from slimbake.host.files import content
from slimbake.lock.locks import (
    EXTERNALS,
    LAYERS,
    Locks,
    Stale,
    weights_text,
)
from slimbake.lock.model import locked_layers, question, settled, text_digest
from slimbake.lock.text import lock_digest

# A line of pyproject.toml or setup.cfg, and what is before it in its table.
_OWN_VERSION = re.compile(
    r"^(\[(?:project|tool\.poetry|metadata)\].*\n(?:(?!\[).*\n)*?)version\s*[=:].*(?:\n|\Z)", re.M
)

_LAYERS_CHANGED = "the `layers` that slimbake may make have changed"


@dataclass(frozen=True, slots=True)
class System:
    """The Debian packages that a layer asks for."""

    layer: Layer
    packages: tuple[str, ...]


def stale(fleet: Fleet, locks: Locks) -> tuple[Stale, ...]:
    """The locks that do not answer what the fleet, as its manifest alone has it, asks now."""
    digests = asks(fleet, locks.layers, lambda name: locks.text(name) or "")
    outdated = tuple(
        lock for name, value in digests.items() if (lock := locks.compared(name, value))
    )
    changed = {lock.name for lock in outdated if not lock.why}
    if not changed:
        return outdated
    reasons = defaultdict(lambda: _LAYERS_CHANGED, _reasons(fleet, changed))
    return tuple(lock if lock.why else replace(lock, why=reasons[lock.name]) for lock in outdated)


def _reasons(fleet: Fleet, changed: Collection[str]) -> dict[str, str]:
    """What has changed of each lock that answers something else than is asked now, in words: of one
    above a base whose lock has changed, what has changed of that base.
    """
    reason_of = {
        EXTERNALS: "the images from outside (`externals`, `build`) have changed",
    }
    for weights in fleet.weights:
        edited = f"the files in {weights.value} have changed"
        reason_of[weights.layer.lock] = (
            edited if weights.source == "path" else "`weights` has changed"
        )
    owners: tuple[Base | Service | Package, ...] = (*fleet.packages, *fleet.bases, *fleet.services)
    for owner in owners:  # each after the base below it
        who = f"the base {owner.name}" if isinstance(owner, Base) else owner.name
        asks = owner.layer.asks
        if isinstance(owner, Package) and owner.path:  # its project says more than what it requires
            files = _project_files(fleet, owner.path)
        else:
            files = (
                *asks.files,
                *_project_files(fleet, *(package.path for package in asks.packages)),
            )
        where = dict.fromkeys((fleet.manifest.file.name, *files))
        reason_of[owner.layer.system_lock] = f"`system` of {owner.name} has changed"
        reason = f"what {who} asks for has changed ({', '.join(where)})"
        changed_base = next(
            (layer.lock for layer in owner.layer.chain if layer.lock in changed), ""
        )
        reason_of[owner.layer.lock] = reason_of.get(changed_base, reason)
    return reason_of


def asks(fleet: Fleet, sharing: Sharing, text: Callable[[str], str]) -> dict[str, str]:
    """Of each lock by its name: the digest of all that it answers. `sharing`: the layers that the
    locks share; `text`: of a lock by its name.
    """
    digests = {layer.lock: asked_of(layer, fleet, text) for layer in locked_layers(fleet)}
    if not fleet.auto:  # their locks hold a part of what they need now
        digests |= {name: f"{digests[name]} alone" for name in sharing.services if name in digests}
    elif sharing.layers or sum(service.shares for service in fleet.services) > 1:
        layers = dict.fromkeys(base_layer(layer.lock) for layer in sharing.layers)
        digests |= dict.fromkeys((*layers, LAYERS), asked_layers(fleet))
    for package in fleet.packages:
        if package.source:
            name = package.layer.name
            digests[name] = text_digest(f"{digests[name]} {package.source.text()}")
    digests |= {name: text_digest(content) for name, content in weights_texts(fleet).items()}
    digests |= {system.layer.system_lock: _asked_system(system, fleet) for system in systems(fleet)}
    images = (f"{external.name} {external.image}" for external in fleet.externals)
    return digests | {EXTERNALS: text_digest("\n".join(images))}


def asked_of(layer: Layer, fleet: Fleet, text: Callable[[str], str]) -> str:
    """The digest of all that the lock of a layer answers."""
    projects = {package.path: _project(fleet, package.path) for package in layer.asks.packages}
    base_digests = [lock_digest([text(base.lock)]) for base in settled(layer)]
    return question(layer, fleet.python, projects, base_digests)


def weights_texts(fleet: Fleet) -> dict[str, str]:
    """The locks of weights that lie in the repository, as they are now."""
    return {
        weight.layer.lock: weights_text(fleet.root / weight.value)
        for weight in fleet.weights
        if weight.source == "path" and not weight.export
    }


def systems(fleet: Fleet) -> Iterator[System]:
    """What is asked for of Debian."""
    every: tuple[Base | Service | Package, ...] = (
        *fleet.bases,
        *fleet.services,
        *fleet.packages,
    )
    return (System(owner.layer, owner.system) for owner in every if owner.system)


def _asked_system(system: System, fleet: Fleet) -> str:
    image = fleet.external("python").image
    return text_digest("\n".join((image, *system.layer.platforms, *sorted(system.packages))))


def asked_layers(fleet: Fleet) -> str:
    """The digest of what the manifest says of layers that services share."""
    rows = [(service.name, service.optimize, service.shares) for service in fleet.services]
    odd = [row for row in rows if row[1:] != (True, True)]
    return text_digest(f"layers {fleet.manifest.layer_limit} {odd}")


def _project(fleet: Fleet, path: str) -> str:
    """What its files say, less its own version, which no lock holds. In setup.py that may be a part of
    what it requires.
    """
    return "".join(
        text if name.endswith(SETUP_PY) else _OWN_VERSION.sub(r"\1", text)
        for name in _project_files(fleet, path)
        for text in (content(fleet.root, name).decode("utf-8", "backslashreplace"),)
    )


def _project_files(fleet: Fleet, *paths: str) -> tuple[str, ...]:
    """The files in which these packages of the repository say what they require."""
    names = (
        posixpath.normpath(f"{path}/{name}")
        for path in paths
        for name in (PYPROJECT, SETUP_CFG, SETUP_PY)
    )
    return tuple(name for name in names if (fleet.root / name).is_file())
