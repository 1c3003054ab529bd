"""The locks of Python packages: of hand-written layers, each family cut by ownership, and of layers that are found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from slimbake.layers.bases import Bases
from slimbake.lock import auto
from slimbake.lock.model import Family, Pin, families, inputs, is_auto
from slimbake.lock.record import FILE, digest
from slimbake.lock.text import lock_text, parse_pins
from slimbake.machine import Machine
from slimbake.manifest.model import Manifest
from slimbake.plan.sources import weights_sources
from slimbake.plan.targets import LOCKS

ALL = ("*",)  # packages to upgrade
LAYERS = "layers"  # the record of what was found; its file is no .txt

Say = Callable[[str], None]


def asked(manifest: Manifest, texts: Mapping[str, str] = {}) -> dict[str, str]:
    """Of each of these locks by its name: the digest of all that it answers. `texts`: locks as they are to become."""
    found = {name: value for family in families(manifest) for name, value in _inputs(family, manifest).items()}
    if is_auto(manifest):
        known = auto.parse(texts.get(LAYERS) or text(manifest, LAYERS) or "")
        weights = {s.name: s.weights.value for s in manifest.services if s.weights and s.name in found}
        found |= {name: digest(f"{found[name]} {value}") for name, value in weights.items()}
        found |= {f"base-{base.name}": _asked_layers(manifest) for base in auto.installing(manifest, known)}
        if any(service.name in found for service in manifest.services):
            found[LAYERS] = _asked_layers(manifest)
    return found


def resolved(
    manifest: Manifest, machine: Machine, old: Collection[str], upgrade: Collection[str], say: Say
) -> dict[str, str]:
    """The texts of these locks that are stale or hold a package of `upgrade`, by the lock's name. Raises as `lock`."""
    texts: dict[str, str] = {}
    for family in reversed(families(manifest)):  # weights first: the layers that are found depend on their bytes
        known = {pin.name: pin for name in _names(family, manifest) for pin in parse_pins(text(manifest, name) or "")}
        wanted = known.keys() if upgrade == ALL else known.keys() & set(upgrade)
        names = {*_names(family, manifest), *([LAYERS] if is_found(family, manifest) else ())}
        if not wanted and names.isdisjoint(old):
            continue
        found = _resolve(family, manifest, machine, [pin for name, pin in known.items() if name not in wanted], say)
        if is_found(family, manifest):
            layers = arranged(manifest, found, texts)
            texts[LAYERS], found = auto.text(layers), auto.cut(manifest, layers, found)
        texts |= {name: lock_text(pins) for name, pins in found.items()}
    return texts


def is_found(family: Family, manifest: Manifest) -> bool:
    """Whether this is the family whose layers slimbake finds."""
    return is_auto(manifest) and any(service.name == family.layers[0].name for service in manifest.services)


def _names(family: Family, manifest: Manifest) -> tuple[str, ...]:
    own = tuple(layer.name for layer in family.layers)
    if not is_found(family, manifest):
        return own
    known = auto.parse(text(manifest, LAYERS) or "")
    return (*(f"base-{base.name}" for base in auto.installing(manifest, known)), *own)


def _resolve(
    family: Family, manifest: Manifest, machine: Machine, known: list[Pin], say: Say
) -> Mapping[str, tuple[Pin, ...]]:
    from slimbake.lock.resolve import resolve  # packaging and uv cost time that a fresh lock need not spend

    say(f"locking {', '.join(layer.name for layer in family.layers)}")
    return resolve(family, manifest.file.parent, manifest.python, machine, known, say)


def arranged(manifest: Manifest, closures: auto.Closures, texts: Mapping[str, str]) -> Bases:
    """The layers that the planner finds for what each service needs. `texts`: locks as they are to become."""
    previous = auto.parse(text(manifest, LAYERS) or "")
    return auto.arrange(manifest, closures, dict(_weights(manifest, texts)), previous)


def _weights(manifest: Manifest, texts: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The bytes of each model's weights."""
    for source in weights_sources(manifest).values():
        name = f"weights-{source.name}"
        if source.weights.source == "path":
            folder = manifest.file.parent / source.weights.value
            yield name, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        else:
            pins = parse_pins(texts.get(name) or text(manifest, name) or "")
            yield name, sum(wheel.bytes or auto.UNKNOWN for pin in pins for wheel in pin.wheels)


def _asked_layers(manifest: Manifest) -> str:
    return digest(f"layers {manifest.layer_limit}")


def _inputs(family: Family, manifest: Manifest) -> Mapping[str, str]:
    root = manifest.file.parent
    packages = {p.path for layer in family.layers for p in layer.packages}
    return inputs(family, manifest.python, {path: _project(root / path) for path in packages})


def _project(folder: Path) -> str:
    file = folder / "pyproject.toml"
    return file.read_text("utf-8") if file.is_file() else ""


def file(name: str) -> str:
    """The name of a lock's file."""
    return f"{name}.json" if name in {LAYERS, FILE} else f"{name}.txt"


def text(manifest: Manifest, name: str) -> str | None:
    """The text of a lock as it is, None where there is none."""
    path = manifest.file.parent / LOCKS / file(name)
    return path.read_text("utf-8") if path.is_file() else None
