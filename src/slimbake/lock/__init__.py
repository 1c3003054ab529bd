"""The lock stage: exact, hash-verified contents of each layer, in files made to be committed and reviewed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake.inside.debs import Deb
from slimbake.inside.debs import parse as parse_debs
from slimbake.lock.files import (
    EXTERNALS_HEADER,
    SYSTEM_HEADER,
    WEIGHTS_HEADER,
    externals_text,
    parse_externals,
    weights_text,
)
from slimbake.lock.model import Family, families, inputs
from slimbake.lock.model import Pin as Pin
from slimbake.lock.record import FILE, Record, Stale, compare, digest, parse, render
from slimbake.lock.text import HEADER, lock_text, parse_pins
from slimbake.machine import Machine
from slimbake.manifest.model import Manifest
from slimbake.plan.platforms import of_bases, of_service
from slimbake.plan.sources import externals, weights_sources
from slimbake.plan.targets import LOCKS
from slimbake.state import write_atomically

EXTERNALS = "externals"
SYSTEM = ".system"  # the end of a lock's name
ALL = ("*",)  # packages to upgrade

_HEADERS = (HEADER, SYSTEM_HEADER, WEIGHTS_HEADER, EXTERNALS_HEADER)

Say = Callable[[str], None]


def stale(manifest: Manifest) -> tuple[Stale, ...]:
    """The committed locks that do not answer what the manifest asks now, each with the reason."""
    folder = manifest.file.parent / LOCKS
    recorded = parse(_text(folder / FILE) or "")
    asked = [each for family in families(manifest) for each in _inputs(family, manifest).items()]
    asked += [(name, digest(text)) for name, text in _weights(manifest).items()]
    asked += [(name, _asked_system(each, manifest)) for name, each in _systems(manifest).items()]
    asked.append((EXTERNALS, _asked_externals(manifest)))
    found = (compare(name, value, _text(folder / f"{name}.txt"), recorded) for name, value in asked)
    return tuple(each for each in found if each)


def lock(manifest: Manifest, machine: Machine, say: Say, upgrade: Collection[str] = ()) -> tuple[str, ...]:
    """Resolve what is stale, and what holds a package of `upgrade` (ALL: everything); the names of changed files.

    Known pins are kept where they still fit. Raises ResolutionError where requirements contradict each other,
    SetupError where uv or an index fails; nothing is written then.
    """
    folder = manifest.file.parent / LOCKS
    recorded = parse(_text(folder / FILE) or "")
    old = {each.name for each in stale(manifest)}
    texts: dict[str, str] = {}
    asked: dict[str, str] = {}
    for family in families(manifest):
        asked |= (digests := _inputs(family, manifest))
        known = _known(family, folder)
        wanted = known.keys() if upgrade == ALL else known.keys() & set(upgrade)
        if wanted or not old.isdisjoint(digests):
            texts |= _resolved(family, manifest, machine, [known[name] for name in known if name not in wanted], say)
    texts |= (weights := _weights(manifest))
    asked |= {name: digest(text) for name, text in weights.items()}
    for name, system in _systems(manifest).items():
        asked[name] = _asked_system(system, manifest)
        held = {deb.name for deb in _debs(manifest, name)}
        if name in old or upgrade == ALL or held & set(upgrade):
            texts[name] = _system_text(name, system, manifest, machine, say)
    asked[EXTERNALS] = _asked_externals(manifest)
    if EXTERNALS in old or upgrade == ALL:
        texts[EXTERNALS] = _externals_text(manifest)
    records = {n: Record(d, digest(texts[n])) if n in texts else recorded[n] for n, d in asked.items()}
    files = {f"{name}.txt": text for name, text in texts.items()} | {FILE: render(records)}
    changed = tuple(name for name, text in files.items() if _text(folder / name) != text)
    for name in changed:
        write_atomically(folder / name, files[name].encode())
    for path in folder.glob("*.txt"):
        if path.stem not in asked and (_text(path) or "").startswith(_HEADERS):
            path.unlink()
    return changed


def locked(manifest: Manifest) -> dict[str, tuple[Pin, ...]]:
    """The pins of every layer by its name, as the committed locks have them; a layer without a lock has none."""
    folder = manifest.file.parent / LOCKS
    names = [layer.name for family in families(manifest) for layer in family.layers]
    return {name: parse_pins(_text(folder / f"{name}.txt") or "") for name in names}


def _debs(manifest: Manifest, name: str) -> tuple[Deb, ...]:
    """The Debian packages of a layer's system lock, as committed; none without a lock."""
    return tuple(parse_debs(_text(manifest.file.parent / LOCKS / f"{name}.txt") or ""))


def lock_texts(manifest: Manifest) -> dict[str, str]:
    """The locks as they are, fresh or not: the name of each file and its text."""
    folder = manifest.file.parent / LOCKS
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))}


def system_locks(manifest: Manifest) -> dict[str, tuple[Deb, ...]]:
    """The Debian packages of every layer that carries some, by the lock's name."""
    return {name: _debs(manifest, name) for name in _systems(manifest)}


def pinned(manifest: Manifest) -> Manifest:
    """The manifest with its externals at the digests that the lock has."""
    digests = parse_externals(_text(manifest.file.parent / LOCKS / f"{EXTERNALS}.txt") or "")
    images = (
        replace(external, image=f"{external.image}@{digests[external.image]}")
        if external.image in digests and "@" not in external.image
        else external
        for external in externals(manifest)
    )
    return replace(manifest, externals=tuple(images))


def _resolved(family: Family, manifest: Manifest, machine: Machine, known: list[Pin], say: Say) -> dict[str, str]:
    from slimbake.lock.resolve import resolve  # packaging and uv cost time that a fresh lock need not spend

    say(f"locking {', '.join(layer.name for layer in family.layers)}")
    found = resolve(family, manifest.file.parent, manifest.python, machine, known, say)
    return {name: lock_text(pins) for name, pins in found.items()}


def _known(family: Family, folder: Path) -> dict[str, Pin]:
    texts = (_text(folder / f"{layer.name}.txt") or "" for layer in family.layers)
    return {pin.name: pin for text in texts for pin in parse_pins(text)}


def _externals_text(manifest: Manifest) -> str:
    """Externals with the digests that their registries give now. A stand-in's never enters a lock."""
    from slimbake.externals import in_registry

    found = ((external, in_registry(external.image)) for external in externals(manifest))
    return externals_text((external, image.digest if image else "") for external, image in found)


def _asked_externals(manifest: Manifest) -> str:
    return digest("\n".join(f"{external.name} {external.image}" for external in externals(manifest)))


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


def _system_text(name: str, system: _System, manifest: Manifest, machine: Machine, say: Say) -> str:
    from slimbake.debs import Apt

    say(f"locking {name}: {', '.join(system.packages)}")
    return SYSTEM_HEADER + Apt(manifest, machine, say).lock(system.packages, system.platforms)


def _weights(manifest: Manifest) -> dict[str, str]:
    """The locks of weights that lie in the repository, as they are now."""
    root = manifest.file.parent
    sources = (source for source in weights_sources(manifest).values() if source.weights.source == "path")
    return {f"weights-{source.name}": weights_text(root / source.weights.value) for source in sources}


def _inputs(family: Family, manifest: Manifest) -> Mapping[str, str]:
    root = manifest.file.parent
    packages = {p.path for layer in family.layers for p in layer.packages}
    return inputs(family, manifest.python, {path: _text(root / path / "pyproject.toml") or "" for path in packages})


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
