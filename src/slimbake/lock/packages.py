"""The locks of Python packages: of hand-written layers, each family cut by ownership, and of layers
that are found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from slimbake.config.model import Manifest
from slimbake.console import Console
from slimbake.fleet.sources import weights_sources
from slimbake.host.machine import Machine
from slimbake.layering.bases import Bases
from slimbake.layering.model import Limits
from slimbake.lock import auto
from slimbake.lock.explain import ResolutionError
from slimbake.lock.model import Family, Pin, families, inputs
from slimbake.lock.record import FILE, digest
from slimbake.lock.text import lock_text, parse_pins
from slimbake.plan.targets import LOCKS

ALL = ("*",)  # packages to upgrade
LAYERS = "layers"  # the record of what was found; its file is no .txt


def asked(manifest: Manifest, texts: Mapping[str, str] = {}) -> dict[str, str]:
    """Of each of these locks by its name: the digest of all that it answers. `texts`: locks as they
    are to become.
    """
    all_ = families(manifest)
    found = {name: value for family in all_ for name, value in _inputs(family, manifest).items()}
    if any(family.found for family in all_):
        known = auto.parse(texts.get(LAYERS) or text(manifest, LAYERS) or "")
        # a base may hold them: which ones is a part of the question
        for name, weights in _weighted(manifest).items():
            found[name] = digest(f"{found.get(name, '')} {weights}")
        found |= {
            f"base-{base.name}": _asked_layers(manifest)
            for base in auto.installing(manifest, known)
        }
        found[LAYERS] = _asked_layers(manifest)
    return found


def resolved(
    manifest: Manifest,
    machine: Machine,
    old: Collection[str],
    upgrade: Collection[str],
    console: Console,
) -> dict[str, str]:
    """The texts of these locks that are stale or hold a package of `upgrade`, by the lock's name.
    Raises as `lock`.
    """
    texts: dict[str, str] = {}
    # weights first: the layers that are found depend on their bytes
    for family in reversed(families(manifest)):
        known = pinned(family, manifest)
        wanted = known.keys() if upgrade == ALL else known.keys() & set(upgrade)
        if not wanted and _names(family, manifest).isdisjoint(old):
            if family.found and (layers := found_layers(manifest)):
                texts[LAYERS] = auto.text(auto.kept(manifest, layers))
            continue
        found = _resolve(
            family,
            manifest,
            machine,
            [pin for name, pin in known.items() if name not in wanted],
            console,
        )
        if family.found:
            if text(manifest, LAYERS) and not found_layers(manifest):
                console.say(f"{LOCKS}/{file(LAYERS)} cannot be read: the layers are found anew")
            layers = arranged(manifest, found, texts)
            texts[LAYERS], found = auto.text(layers), auto.cut(manifest, layers, found)
        texts |= {name: lock_text(pins) for name, pins in found.items()}
    return texts


def pinned(family: Family, manifest: Manifest) -> dict[str, Pin]:
    """What the locks pin of a family, by the package's name: also in bases that it has no more, or
    that were found.
    """
    layers = {layer.name for each in families(manifest) for layer in each.layers}
    apart = family.layers[0].name.startswith(("weights-", "wheel-"))
    bases = () if apart else (manifest.file.parent / LOCKS).glob("base-*.txt")
    gone = sorted({path.stem for path in bases} - layers)
    names = (*gone, *(layer.name for layer in family.layers))
    return {pin.name: pin for name in names for pin in parse_pins(text(manifest, name) or "")}


def _names(family: Family, manifest: Manifest) -> frozenset[str]:
    """The locks that answer a family."""
    own = {layer.name for layer in family.layers}
    if family.found:
        known = found_layers(manifest)
        own |= {f"base-{base.name}" for base in auto.installing(manifest, known)} | {
            LAYERS,
            *_weighted(manifest),
        }
    return frozenset(own)


def found_layers(manifest: Manifest) -> Bases | None:
    """The layers that were found, as they are committed; None where there are none, or where they
    cannot be read.
    """
    return auto.parse(text(manifest, LAYERS) or "")


def _weighted(manifest: Manifest) -> dict[str, str]:
    """The weights of each service that has some: where they come from, and what they are called."""
    sources = weights_sources(manifest)
    return {
        service.name: (
            f"{service.weights.source}:{service.weights.value} {sources[service.weights].name}"
        )
        for service in manifest.services
        if service.weights
    }


def _resolve(
    family: Family, manifest: Manifest, machine: Machine, known: list[Pin], console: Console
) -> Mapping[str, tuple[Pin, ...]]:
    # packaging and uv cost time that a fresh lock need not spend
    from slimbake.lock.resolve import resolve

    console.say(f"locking {', '.join(layer.name for layer in family.layers)}")
    return resolve(family, manifest.file.parent, manifest.python, machine, known, console)


def arranged(manifest: Manifest, closures: auto.Closures, texts: Mapping[str, str]) -> Bases:
    """The layers that the planner finds for what each service needs. `texts`: locks as they are to
    become.

    Raises ResolutionError where no plan keeps the manifest's limit.
    """
    try:
        return auto.arrange(
            manifest, closures, dict(_weights(manifest, texts)), found_layers(manifest)
        )
    except ValueError as error:
        limit = manifest.layer_limit or Limits().layers
        raise ResolutionError(
            f"layers: {{limit: {limit}}} is too few: {error}",
            "raise the limit: the runtime has two layers, the code one, weights and packages one"
            " each at least",
        ) from None


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
