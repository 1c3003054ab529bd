"""The lock stage: exact, hash-verified packages of each layer, in files made to be committed and reviewed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from slimbake.lock.model import HEADER, Family, families, inputs, lock_text, parse_pins
from slimbake.machine import Machine
from slimbake.manifest.model import Manifest
from slimbake.plan.targets import LOCKS
from slimbake.state import write_atomically

INDEX = "inputs.json"  # lock file -> digest of what it was resolved from


def stale(manifest: Manifest) -> tuple[Family, ...]:
    """The families whose committed locks do not answer what the manifest asks now."""
    folder = manifest.file.parent / LOCKS
    recorded = _recorded(folder)
    return tuple(family for family in families(manifest) if _is_stale(family, manifest, folder, recorded))


def _is_stale(family: Family, manifest: Manifest, folder: Path, recorded: Mapping[str, str]) -> bool:
    return any(
        recorded.get(name) != digest or not (folder / f"{name}.txt").is_file()
        for name, digest in _inputs(family, manifest).items()
    )


def locked(manifest: Manifest) -> dict[str, str]:
    """The locks as they are, fresh or not: the name of each file and its text."""
    folder = manifest.file.parent / LOCKS
    names = (f"{layer.name}.txt" for family in families(manifest) for layer in family.layers)
    return {name: _text(folder / name) for name in names if (folder / name).is_file()}


def lock(manifest: Manifest, machine: Machine, say: Callable[[str], None], upgrade: bool = False) -> tuple[str, ...]:
    """Resolve what is stale (or, with `upgrade`, everything anew) and write `locks/`; the names of changed files.

    Raises ResolutionError where requirements contradict each other, SetupError where uv or an index fails.
    """
    from slimbake.lock.resolve import resolve  # packaging and uv cost time that a fresh lock need not spend

    folder = manifest.file.parent / LOCKS
    todo = families(manifest) if upgrade else stale(manifest)
    recorded = _recorded(folder)
    texts: dict[str, str] = {}
    for family in todo:
        say(f"locking {', '.join(layer.name for layer in family.layers)}")
        files = (folder / f"{layer.name}.txt" for layer in family.layers)
        known = () if upgrade else tuple(pin for f in files if f.is_file() for pin in parse_pins(f.read_text()))
        for name, pins in resolve(family, manifest.file.parent, manifest.python, machine, known).items():
            texts[f"{name}.txt"] = lock_text(pins)
        recorded |= _inputs(family, manifest)
    live = {layer.name for family in families(manifest) for layer in family.layers}
    index = {name: recorded[name] for name in sorted(live)}
    texts[INDEX] = json.dumps(index, indent=1) + "\n"
    changed = tuple(name for name, text in texts.items() if _text(folder / name) != text)
    for name in changed:
        write_atomically(folder / name, texts[name].encode())
    for path in folder.glob("*.txt"):
        if path.stem not in live and _text(path).startswith(HEADER):
            path.unlink()
    return changed


def _inputs(family: Family, manifest: Manifest) -> dict[str, str]:
    root = manifest.file.parent
    packages = {p.path for layer in family.layers for p in layer.packages}
    return inputs(family, manifest.python, {path: _text(root / path / "pyproject.toml") for path in packages})


def _recorded(folder: Path) -> dict[str, str]:
    try:
        recorded = json.loads(_text(folder / INDEX) or "{}")
    except ValueError:
        return {}  # a merge conflict, say: everything is resolved again
    return dict(recorded) if isinstance(recorded, dict) else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
