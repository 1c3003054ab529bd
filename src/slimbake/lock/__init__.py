"""The lock stage: exact, hash-verified contents of each layer, in files made to be committed and
reviewed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake.config.model import Manifest
from slimbake.console import Console
from slimbake.fleet.platforms import of_bases, of_service
from slimbake.fleet.sources import externals, weights_sources
from slimbake.host.files import exclusively, write_atomically
from slimbake.host.machine import Machine
from slimbake.inside.debs import Deb
from slimbake.inside.debs import parse as parse_debs
from slimbake.lock import auto, packages
from slimbake.lock.files import (
    EXTERNALS_HEADER,
    SYSTEM_HEADER,
    WEIGHTS_HEADER,
    externals_text,
    parse_externals,
    weights_text,
)
from slimbake.lock.model import Pin as Pin
from slimbake.lock.model import families, is_auto
from slimbake.lock.packages import text
from slimbake.lock.record import FILE, Record, Stale, compare, digest, parse, render
from slimbake.lock.text import HEADER, parse_pins
from slimbake.plan.targets import LOCKS

EXTERNALS = "externals"
SYSTEM = ".system"  # the end of a lock's name
ALL = packages.ALL

_HEADERS = (HEADER, SYSTEM_HEADER, WEIGHTS_HEADER, EXTERNALS_HEADER)


def stale(manifest: Manifest) -> tuple[Stale, ...]:
    """The committed locks that do not answer what the manifest asks now, each with the reason."""
    recorded = parse(text(manifest, FILE) or "")
    asked = packages.asked(manifest)
    asked |= {name: digest(content) for name, content in _weights(manifest).items()}
    asked |= {name: _asked_system(names, manifest) for name, names in _systems(manifest).items()}
    asked[EXTERNALS] = _asked_externals(manifest)
    found = (compare(name, value, text(manifest, name), recorded) for name, value in asked.items())
    return tuple(each for each in found if each)


def lock(
    manifest: Manifest, machine: Machine, console: Console, upgrade: Collection[str] = ()
) -> tuple[str, ...]:
    """Resolve what is stale, and what holds a package of `upgrade` (ALL: everything); the names of
    changed files.

    Known pins are kept where they still fit. Raises ResolutionError where requirements contradict
    each other, SetupError where uv or an index fails; nothing is written then.
    """
    with exclusively(f"lock-{manifest.project}", console):
        return _lock(manifest, machine, console, upgrade)


def _lock(
    manifest: Manifest, machine: Machine, console: Console, upgrade: Collection[str]
) -> tuple[str, ...]:
    recorded = parse(text(manifest, FILE) or "")
    old = {each.name for each in stale(manifest)}
    texts = packages.resolved(manifest, machine, old, upgrade, console)
    asked = packages.asked(manifest, texts)
    texts |= (weights := _weights(manifest))
    asked |= {name: digest(content) for name, content in weights.items()}
    for name, system in _systems(manifest).items():
        asked[name] = _asked_system(system, manifest)
        held = {deb.name for deb in _debs(manifest, name)}
        if name in old or upgrade == ALL or held & set(upgrade):
            texts[name] = _system_text(name, system, manifest, machine, console)
    asked[EXTERNALS] = _asked_externals(manifest)
    if EXTERNALS in old or upgrade == ALL:
        texts[EXTERNALS] = _externals_text(manifest)
    records = {
        n: Record(d, digest(texts[n])) if n in texts else recorded[n] for n, d in asked.items()
    }
    files = {
        packages.file(name): content for name, content in (*texts.items(), (FILE, render(records)))
    }
    return _written(
        manifest.file.parent / LOCKS, files, {packages.file(name) for name in (*asked, FILE)}
    )


def _written(folder: Path, files: Mapping[str, str], live: Collection[str]) -> tuple[str, ...]:
    """Write what differs and remove locks of ours that nothing asks for any more."""
    changed = tuple(
        n
        for n, t in files.items()
        if not (folder / n).is_file() or (folder / n).read_text("utf-8") != t
    )
    for name in changed:
        write_atomically(folder / name, files[name].encode())
    arranged = folder / packages.file(packages.LAYERS)
    for path in (*folder.glob("*.txt"), *([arranged] if arranged.is_file() else [])):
        if path.name not in live and (
            path == arranged or path.read_text("utf-8").startswith(_HEADERS)
        ):
            path.unlink()
    return changed


def locked(manifest: Manifest) -> dict[str, tuple[Pin, ...]]:
    """The pins of every layer by its name, as the committed locks have them; a layer without a lock
    has none.
    """
    names = [layer.name for family in families(settled(manifest)) for layer in family.layers]
    return {name: parse_pins(text(manifest, name) or "") for name in names}


def _debs(manifest: Manifest, name: str) -> tuple[Deb, ...]:
    """The Debian packages of a layer's system lock, as committed; none without a lock."""
    return tuple(parse_debs(text(manifest, name) or ""))


def lock_texts(manifest: Manifest) -> dict[str, str]:
    """The locks as they are, fresh or not: the name of each file and its text."""
    folder = manifest.file.parent / LOCKS
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))}


def system_locks(manifest: Manifest) -> dict[str, tuple[Deb, ...]]:
    """The Debian packages of every layer that carries some, by the lock's name."""
    return {name: _debs(manifest, name) for name in _systems(manifest)}


def settled(manifest: Manifest) -> Manifest:
    """The manifest as its locks settle it: with the bases that slimbake found, and externals at
    their digests.
    """
    if is_auto(manifest) and (found := packages.found_layers(manifest)):
        manifest = auto.applied(manifest, found)
    digests = parse_externals(text(manifest, EXTERNALS) or "")
    images = (
        (
            replace(external, image=f"{external.image}@{digests[external.image]}")
            if external.image in digests and "@" not in external.image
            else external
        )
        for external in externals(manifest)
    )
    return replace(manifest, externals=tuple(images))


def _externals_text(manifest: Manifest) -> str:
    """Externals with the digests that their registries give now. A stand-in's never enters a lock."""
    from slimbake.externals.resolve import in_registry

    found = ((external, in_registry(external.image)) for external in externals(manifest))
    return externals_text((external, image.digest if image else "") for external, image in found)


def _asked_externals(manifest: Manifest) -> str:
    return digest(
        "\n".join(f"{external.name} {external.image}" for external in externals(manifest))
    )


@dataclass(frozen=True, slots=True)
class _System:
    """The Debian packages that a layer asks for, and what it is built for."""

    packages: tuple[str, ...]
    platforms: tuple[str, ...]


def _systems(manifest: Manifest) -> dict[str, _System]:
    """By the name of the lock."""
    on = of_bases(manifest)
    asked = {f"base-{base.name}": _System(base.system, on[base.name]) for base in manifest.bases}
    asked |= {s.name: _System(s.system, of_service(s, manifest)) for s in manifest.services}
    return {f"{name}{SYSTEM}": system for name, system in asked.items() if system.packages}


def _asked_system(system: _System, manifest: Manifest) -> str:
    python = next(external.image for external in externals(manifest) if external.name == "python")
    return digest("\n".join((python, *system.platforms, *sorted(system.packages))))


def _system_text(
    name: str, system: _System, manifest: Manifest, machine: Machine, console: Console
) -> str:
    from slimbake.externals.debs import Apt

    console.say(f"locking {name}: {', '.join(system.packages)}")
    return SYSTEM_HEADER + Apt(manifest, machine, console).lock(system.packages, system.platforms)


def _weights(manifest: Manifest) -> dict[str, str]:
    """The locks of weights that lie in the repository, as they are now."""
    root = manifest.file.parent
    found = {
        f"weights-{source.name}": weights for weights, source in weights_sources(manifest).items()
    }
    return {
        n: weights_text(root / w.value)
        for n, w in found.items()
        if w.source == "path" and not w.export
    }
