"""What every lock has to answer now, as digests, and which committed locks are stale."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from slimbake.config.naming import LOCKS
from slimbake.config.pyproject import PYPROJECT, SETUP_CFG, SETUP_PY
from slimbake.fleet import with_digests
from slimbake.fleet.model import Base, External, Fleet, Package, Scope, Service
from slimbake.host.files import content
from slimbake.host.wheels import MACHINES
from slimbake.inside.locked import meet
from slimbake.lock.locks import (
    EXTERNALS,
    Locks,
    Stale,
    lock_file,
    weights_text,
)
from slimbake.lock.model import Pin, locked_scopes, question, settled, text_digest
from slimbake.lock.text import lock_digest

# A line of pyproject.toml or setup.cfg, and what is before it in its table.
_OWN_VERSION = re.compile(
    r"^(\[(?:project|tool\.poetry|metadata)\].*\n(?:(?!\[).*\n)*?)version\s*[=:].*(?:\n|\Z)", re.M
)


@dataclass(frozen=True, slots=True)
class System:
    """The Debian packages that a scope asks for."""

    scope: Scope
    packages: tuple[str, ...]


def stale(fleet: Fleet, locks: Locks) -> tuple[Stale, ...]:
    """The locks that do not answer what the fleet, as its manifest alone has it, asks now."""
    outdated = []
    for name, digest in asks(fleet, lambda name: locks.text(name) or "").items():
        lock = locks.compared(name, digest)
        if lock:
            outdated.append(lock)
    outdated += _unfit(fleet, locks, {lock.name for lock in outdated})
    if all(lock.name != EXTERNALS for lock in outdated):
        outdated += _unknown(fleet, locks)
    changed = {lock.name for lock in outdated if not lock.why}
    if not changed:
        return tuple(outdated)
    reasons = _reasons(fleet, changed)
    return tuple(replace(lock, why=lock.why or reasons[lock.name]) for lock in outdated)


def _unfit(fleet: Fleet, locks: Locks, others: Collection[str]) -> Iterator[Stale]:
    """The locks, less these others, with a package that no platform of the fleet installs, or that
    a base below has already: nothing that `lock` writes.
    """
    for scope in locked_scopes(fleet):
        if scope.lock in others:
            continue
        machines = {MACHINES[platform] for platform in scope.platforms}
        below: dict[str, list[Pin]] = {}
        for base in scope.chain:
            for pin in locks.pins(base.lock):
                below.setdefault(pin.name, []).append(pin)
        for pin in locks.pins(scope.lock):
            file = f"{LOCKS}/{lock_file(scope.lock)}"
            if not machines.issuperset(pin.machines):
                why = f"{file} pins {pin.name} for a machine that {scope.name} is not built for"
                yield Stale(scope.lock, why, damaged=True)
                break
            if any(meet(pin.machines, other.machines) for other in below.get(pin.name, ())):
                why = f"{file} pins {pin.name}, which a base of {scope.name} has already"
                yield Stale(scope.lock, why, damaged=True)
                break


def _unknown(fleet: Fleet, locks: Locks) -> Iterator[Stale]:
    """The lock of externals, where it does not say what Python an image of `from` has."""
    known = with_digests(fleet, locks.digests, locks.interpreters)
    for external in known.externals:
        if external.version and external.interpreter is None:
            why = (
                f"no lock says where Python {external.version} is in {external.image}:"
                " `slimbake lock` runs it, which needs Docker"
            )
            yield Stale(EXTERNALS, why, damaged=True)
            return


def _reasons(fleet: Fleet, changed: Collection[str]) -> dict[str, str]:
    """What has changed of each lock that answers something else than is asked now, in words: of one
    above a base whose lock has changed, what has changed of that base.
    """
    reason_of = {
        EXTERNALS: "the images from outside (`externals`, `from`, `build`) have changed",
    }
    for weights in fleet.weights:
        reason = "`weights` has changed"
        if weights.source == "path":
            reason = f"the files in {weights.value} have changed"
        reason_of[weights.scope.lock] = reason
    owners: tuple[Base | Service | Package, ...] = (*fleet.packages, *fleet.bases, *fleet.services)
    for owner in owners:  # each after the base below it
        subject = f"the base {owner.name}" if isinstance(owner, Base) else owner.name
        asks = owner.scope.asks
        if isinstance(owner, Package) and owner.path:  # its project says more than what it requires
            files = _project_files(fleet, owner.path)
        else:
            folders = [package.path for package in asks.packages]
            files = (*asks.files, *_project_files(fleet, *folders))
        names = dict.fromkeys((fleet.manifest.file.name, *files))
        reason = f"what {subject} asks for has changed ({', '.join(names)})"
        for base in owner.scope.chain:
            if base.lock in changed:
                reason = reason_of[base.lock]
                break
        reason_of[owner.scope.lock] = reason
        reason_of[owner.scope.system_lock] = f"`system` of {owner.name} has changed"
    return reason_of


def asks(fleet: Fleet, text: Callable[[str], str]) -> dict[str, str]:
    """Of each lock by its name: the digest of all that it answers. `text`: of a lock by its name."""
    digests = {scope.lock: asked_of(scope, fleet, text) for scope in locked_scopes(fleet)}
    for package in fleet.packages:
        if package.source:
            name = package.scope.name
            digests[name] = text_digest(f"{digests[name]} {package.source.text()}")
    digests |= {name: text_digest(content) for name, content in weights_texts(fleet).items()}
    digests |= {system.scope.system_lock: _asked_system(system, fleet) for system in systems(fleet)}
    return digests | {EXTERNALS: text_digest("\n".join(map(_asked_image, fleet.externals)))}


def _asked_image(external: External) -> str:
    return f"{external.name} {external.image} {external.version}".rstrip()


def asked_of(scope: Scope, fleet: Fleet, text: Callable[[str], str]) -> str:
    """The digest of all that the lock of a scope answers."""
    projects = {package.path: _project(fleet, package.path) for package in scope.asks.packages}
    base_digests = [lock_digest([text(base.lock)]) for base in settled(scope)]
    return question(scope, projects, base_digests)


def weights_texts(fleet: Fleet) -> dict[str, str]:
    """The locks of weights that lie in the repository, as they are now."""
    texts = {}
    for weights in fleet.weights:
        if weights.source == "path" and not weights.export:
            texts[weights.scope.lock] = weights_text(fleet.root, weights.value)
    return texts


def systems(fleet: Fleet) -> Iterator[System]:
    """What is asked for of Debian."""
    owners: tuple[Base | Service | Package, ...] = (*fleet.bases, *fleet.services, *fleet.packages)
    for owner in owners:
        if owner.system:
            yield System(owner.scope, owner.system)


def _asked_system(system: System, fleet: Fleet) -> str:
    image = fleet.external(system.scope.runtime.external).image
    return text_digest("\n".join((image, *system.scope.platforms, *sorted(system.packages))))


def _project(fleet: Fleet, path: str) -> str:
    """What its files say, less its own version, which no lock holds. In setup.py that may be a part of
    what it requires.
    """
    texts = []
    for name in _project_files(fleet, path):
        text = content(fleet.root, name).decode("utf-8", "backslashreplace")
        if not name.endswith(SETUP_PY):
            text = _OWN_VERSION.sub(r"\1", text)
        texts.append(text)
    return "".join(texts)


def _project_files(fleet: Fleet, *paths: str) -> tuple[str, ...]:
    """The files in which these packages of the repository say what they require."""
    files = []
    for path in paths:
        for name in (PYPROJECT, SETUP_CFG, SETUP_PY):
            file = posixpath.normpath(f"{path}/{name}")
            if (fleet.root / file).is_file():
                files.append(file)
    return tuple(files)
